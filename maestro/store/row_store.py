"""`RowStore`: what all stores over SQLite's rows have in common, which is how they are read."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import orjson

from maestro.store.base import LastWrite, Reading, Store, StoreError
from maestro.store.documents import DocumentDB, RowTable
from maestro.store.ledger_rows import LedgerRows
from maestro.store.rows import Rows, Source


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

    @property
    def documents(self) -> DocumentDB:
        """The store as TinyDB: `documents.table("units").search(where("branch") == "b1")`."""
        return self._documents

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
