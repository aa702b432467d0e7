"""SQLite's errors in the words of `maestro.store.base`."""

import sqlite3
from pathlib import Path
from typing import Final

from maestro.store.base import StoreDamaged, StoreError, StoreFull, StoreLocked

_KINDS: Final[dict[int, type[StoreError]]] = {
    sqlite3.SQLITE_BUSY: StoreLocked,
    sqlite3.SQLITE_LOCKED: StoreLocked,
    sqlite3.SQLITE_FULL: StoreFull,
    sqlite3.SQLITE_IOERR: StoreFull,
    sqlite3.SQLITE_CORRUPT: StoreDamaged,
    sqlite3.SQLITE_NOTADB: StoreDamaged,
    # A failed sync is no matter of trying again: the kernel forgets the pages it could not write, and the next
    # sync succeeds without them. Only opening it again, which copies the log into the file, writes them again.
    sqlite3.SQLITE_IOERR_FSYNC: StoreError,
    sqlite3.SQLITE_IOERR_DIR_FSYNC: StoreError,
    sqlite3.SQLITE_IOERR_READ: StoreError,
    sqlite3.SQLITE_IOERR_SHORT_READ: StoreDamaged,
}


def translated(path: Path, error: sqlite3.Error) -> StoreError:
    """Return the `StoreError` that `error` means for the file `path`."""
    code = getattr(error, "sqlite_errorcode", 0)  # absent when Python's wrapper, not SQLite, raised it
    kind = _KINDS.get(code) or _KINDS.get(code & 0xFF, StoreError)
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    return kind(f"{path}: {error} ({name})")
