"""`RowStore`: what all stores over SQLite's rows have in common, which is how they are read."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import orjson

from maestro.store.base import Commit, LastWrite, Put, Reading, Store, StoreError, Write
from maestro.store.documents import DocumentDB, RowTable
from maestro.store.ledger_rows import LedgerRows
from maestro.store.rows import Rows, Source
from maestro.store.tail import Row


class Sizes(NamedTuple):
    """Bytes that a store takes on disk, and that are free there."""

    used: int
    free: int


class RowStore(Store):
    """A store whose rows are read from an SQLite database. One call at a time, from any thread of the process."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._rows = Rows(source)
        self._ledger = LedgerRows(source)
        self._documents = DocumentDB(source)
        #: Called whenever `problem` has come, or is gone.
        self.on_problem: Callable[[], None] = lambda: None

    @property
    def documents(self) -> DocumentDB:
        """The store as TinyDB: `documents.table("units").search(where("branch") == "b1")`."""
        return self._documents

    @property
    def source(self) -> Source:
        """What its rows are read from."""
        return self._source

    @property
    def problem(self) -> str:
        """What keeps commits from being done just now; empty: nothing."""
        return ""

    @property
    def waits(self) -> float:
        """For how many seconds the oldest commit that is not done has waited."""
        return 0.0

    def sizes(self) -> Sizes | None:
        """Return what it takes on this machine's disk; None: nothing, or it is not known."""
        return None

    def table(self, name: str) -> RowTable:
        """Return a TinyDB table."""
        return self._documents.table(name)

    def commit(self, writes: Sequence[Write], *, durable: bool) -> Commit:
        """See `Store.commit`."""
        return self.save([encoded(write) for write in writes], durable=durable)

    def save(self, rows: Sequence[Row], *, durable: bool) -> Commit:
        """Commit rows that are encoded already; see `Store.commit`."""
        raise NotImplementedError

    def show_lock(self, facts: bytes) -> None:
        """See `Store.show_lock`: only the owner reads it."""

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

    def check(self) -> list[str]:
        """Read everything and return what is wrong with it, a line each: empty means sound. Takes as long as that."""
        problems = [f"{self._source.name}: {line}" for (line,) in self._integrity() if line != "ok"]
        problems.extend(self._rows.problems())
        problems.extend(self._ledger.problems())
        return problems

    def close(self) -> None:
        """See `Store.close`. In a forked child it does nothing."""
        self._documents.close()

    def _integrity(self) -> list[tuple[Any, ...]]:
        try:
            return self._source.query("PRAGMA integrity_check")
        except StoreError as error:
            return [(str(error),)]


def encoded(write: Write) -> Row:
    """Return a write as it is stored. Raises `TypeError` for what is no JSON."""
    return write.table, write.key, orjson.dumps(write.fields) if isinstance(write, Put) else None


def contents(source: Source) -> Iterator[Row]:
    """Yield all that is stored, as commits write it: rows by table and key, then the ledger by number.

    Raises:
        StoreDamaged: it comes to a row that is.
    """
    rows = Rows(source)
    for table in rows.tables():
        for key, json in rows.scan(table):
            yield table, key, json
    yield from LedgerRows(source).contents()
