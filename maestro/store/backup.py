"""Consistent copies of a live store, through the owner's own connection."""

import sqlite3
from contextlib import closing
from pathlib import Path

from maestro.store.base import StoreError
from maestro.store.database import Database
from maestro.store.errors import translated
from maestro.whole_file import sync_folder


def back_up(database: Database, path: Path) -> None:
    """Copy `database` to `path`, which is replaced only by a complete and synced copy.

    Raises:
        StoreFull: no space; `path` is as before.
        StoreError: `path` is the live file, or cannot be written.
    """
    if path.resolve() == database.path.resolve():
        raise StoreError(f"{path}: is the store itself")
    database.fold()
    live = database.connection
    part = path.with_name(path.name + ".part")
    try:
        part.unlink(missing_ok=True)
        with closing(sqlite3.connect(part, isolation_level=None)) as copy:
            live.backup(copy)
        part.replace(path)
        sync_folder(path.parent)
    except sqlite3.Error as error:
        part.unlink(missing_ok=True)
        raise translated(path, error) from error
    except OSError as error:
        raise StoreError(f"{path}: cannot be written: {error.strerror}") from error
