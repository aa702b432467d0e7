"""`SystemStore`: one system's documents in TinyDB tables over one crash-safe SQLite file."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson

from maestro.store.backup import back_up
from maestro.store.base import LastWrite, Put, Reading, Store, StoreError, Write
from maestro.store.database import Database
from maestro.store.documents import DocumentDB, RowTable
from maestro.store.ledger_rows import LedgerRows
from maestro.store.rows import Rows
from maestro.store.tail import Row


class SystemStore(Store):
    """A `maestro.store.base.Store` over one file. One call at a time, from any thread of the owning process."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._rows = Rows(database)
        self._ledger = LedgerRows(database)
        self._documents = DocumentDB(database)

    @property
    def documents(self) -> DocumentDB:
        """The store as TinyDB: `documents.table("units").search(where("branch") == "b1")`."""
        return self._documents

    @property
    def path(self) -> Path:
        """The file."""
        return self._database.path

    def table(self, name: str) -> RowTable:
        """Return a TinyDB table."""
        return self._documents.table(name)

    def commit(self, writes: Sequence[Write], *, durable: bool) -> None:
        """See `Store.commit`."""
        self._database.save([_row(write) for write in writes], durable=durable)

    def get(self, table: str, key: str) -> dict[str, Any] | None:
        """See `Store.get`."""
        json = self._rows.get(table, key)
        return None if json is None else orjson.loads(json)

    def rows(self, table: str, prefix: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
        """See `Store.rows`."""
        return ((key, orjson.loads(json)) for key, json in self._rows.scan(table, prefix))

    def count(self, table: str, prefix: str = "") -> int:
        """See `Store.count`."""
        return self._rows.count(table, prefix)

    def last_writes(self, rows: Iterable[int]) -> dict[int, LastWrite]:
        """See `Store.last_writes`."""
        return self._ledger.last_writes(rows)

    def readings(self, rows: Iterable[int]) -> list[Reading]:
        """See `Store.readings`."""
        return self._ledger.readings(rows)

    def backup(self, path: str) -> None:
        """See `Store.backup`. An older file at `path` is replaced once the new one is complete.

        Raises:
            StoreFull: no space for it; `path` is as before, and so is the store.
            StoreError: `path` is the store itself, or cannot be written.
        """
        back_up(self._database, Path(path))

    def check(self) -> list[str]:
        """Read everything and return what is wrong with it, a line each: empty means sound. Takes as long as that."""
        problems = [f"{self.path}: {line}" for (line,) in self._integrity() if line != "ok"]
        problems.extend(self._rows.problems())
        problems.extend(self._ledger.problems())
        return problems

    def close(self) -> None:
        """See `Store.close`. In a forked child it does nothing."""
        self._documents.close()

    def _integrity(self) -> list[tuple[Any, ...]]:
        try:
            return self._database.query("PRAGMA integrity_check")
        except StoreError as error:
            return [(str(error),)]


def _row(write: Write) -> Row:
    return write.table, write.key, orjson.dumps(write.fields) if isinstance(write, Put) else None


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
