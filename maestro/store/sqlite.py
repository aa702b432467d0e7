"""`SystemStore`: one system's documents in TinyDB tables over one crash-safe SQLite file."""

import os
from collections.abc import Sequence
from pathlib import Path

from maestro.store.backup import back_up
from maestro.store.base import DONE, Commit, StoreError
from maestro.store.database import Database
from maestro.store.places import LOGS
from maestro.store.row_store import RowStore, Sizes
from maestro.store.tail import Row


class SystemStore(RowStore):
    """A `maestro.store.base.Store` over one file. One call at a time, from any thread of the owning process."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._database = database

    @property
    def path(self) -> Path:
        """The file."""
        return self._database.path

    def sizes(self) -> Sizes | None:
        """See `RowStore.sizes`. The log is part of it."""
        try:
            beside = (self.path.with_name(self.path.name + suffix) for suffix in LOGS)
            used = self.path.stat().st_size + sum(file.stat().st_size for file in beside if file.exists())
            disk = os.statvfs(self.path.parent)
        except OSError:
            return None
        return Sizes(used, disk.f_bavail * disk.f_frsize)

    def save(self, rows: Sequence[Row], *, durable: bool) -> Commit:
        """See `RowStore.save`."""
        self._database.save(rows, durable=durable)
        return DONE

    def backup(self, path: str) -> None:
        """See `Store.backup`. An older file at `path` is replaced once the new one is complete.

        Raises:
            StoreFull: no space for it; `path` is as before, and so is the store.
            StoreError: `path` is the store itself, or cannot be written.
        """
        back_up(self._database, Path(path))


def open_store(path: Path) -> SystemStore:
    """Open the store at `path`, made if it is not there, and own it until `close`.

    Beside it stand `<path>.lock` (the owner), `<path>.last` (the last acknowledged commit) and, while it is in use,
    `<path>-tail` (what is committed and not in the database yet).

    Raises:
        StoreLocked: another owner has it; known at once, or within a second.
        StoreDamaged: it is not what was written, or acknowledged commits are missing.
        StoreError: it cannot be opened, is no store, or was written by a newer version.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{path}: its folder cannot be made: {error.strerror}") from error
    return SystemStore(Database(path))
