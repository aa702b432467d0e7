"""`MemoryStore`: a store without a disk, for tests and simulation, that can crash and run full on demand."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson

from maestro.store.base import (
    DONE,
    LEDGER_READS,
    LEDGER_WRITES,
    Commit,
    LastWrite,
    Put,
    Reading,
    Store,
    StoreError,
    StoreFull,
    Write,
)

_Table = dict[str, bytes]
_Place = tuple[str, str]


class _ByRow:
    """One of the ledger's tables by the domain's rows: it is looked up far more often than written."""

    def __init__(self) -> None:
        #: Of each row, what each number says: that number, the place under it, the row, and the rest.
        self._found: dict[int, dict[int, list[tuple[Any, ...]]]] = {}
        self._rows: dict[int, list[int]] = {}

    def put(self, number: int, said: list[tuple[Any, ...]]) -> None:
        """Have this be all that a number says, row by row."""
        for row in self._rows.pop(number, ()):
            self._found[row].pop(number, None)
        self._rows[number] = [row for row, *_ in said]
        for place, (row, *rest) in enumerate(said):
            self._found.setdefault(row, {}).setdefault(number, []).append((number, place, row, *rest))

    def look_up(self, rows: Iterable[int]) -> list[tuple[Any, ...]]:
        """Return what is said of these rows, in the order of numbers."""
        by_number = (self._found[row].values() for row in set(rows) if row in self._found)
        return sorted(one for found in by_number for said in found for one in said)


def _said(table: str, json: bytes | None) -> list[tuple[Any, ...]]:
    """Return what a row of one of the ledger's tables says of rows of the domain."""
    if json is None:
        return []
    fields = orjson.loads(json)
    if table == LEDGER_WRITES:
        return [(row, fields["writer"]) for row in fields["rows"]]
    return [tuple(read) for read in fields["reads"]]


class MemoryStore(Store):
    """A `maestro.store.base.Store` in memory. Rows are kept as JSON: what is read is never what was handed in."""

    def __init__(self) -> None:
        #: Set to make every commit fail like one on a full disk.
        self.full = False
        self._tables: defaultdict[str, _Table] = defaultdict(dict)
        self._by_row = {LEDGER_WRITES: _ByRow(), LEDGER_READS: _ByRow()}
        self._closed = False
        # What the rows changed since the last durable commit were before: what a loss of power may bring back.
        self._unsynced: dict[_Place, bytes | None] = {}

    @classmethod
    def restored(cls, path: str) -> "MemoryStore":
        """Return a store with the rows that `backup` wrote to `path`."""
        store = cls()
        tables = orjson.loads(Path(path).read_bytes())
        for name, rows in tables.items():
            for key, fields in rows.items():
                store._apply(name, key, orjson.dumps(fields))
        return store

    def commit(self, writes: Sequence[Write], *, durable: bool) -> Commit:
        """See `Store.commit`."""
        self._check_open()
        if self.full:
            raise StoreFull("memory: full, as asked for")
        changes = [
            (write.table, write.key, orjson.dumps(write.fields) if isinstance(write, Put) else None) for write in writes
        ]  # all encoded before the first is applied: one that is no JSON leaves nothing behind
        for table, key, json in changes:
            if not durable:
                self._unsynced.setdefault((table, key), self._tables[table].get(key))
            self._apply(table, key, json)
        if durable:
            self._unsynced.clear()
        return DONE

    def show_lock(self, facts: bytes) -> None:
        """See `Store.show_lock`: only the owner reads it."""

    def get(self, table: str, key: str) -> dict[str, Any] | None:
        """See `Store.get`."""
        self._check_open()
        json = self._tables[table].get(key)
        return None if json is None else orjson.loads(json)

    def rows(self, table: str, prefix: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
        """See `Store.rows`."""
        self._check_open()
        rows = self._tables[table]
        found = sorted((key, json) for key, json in rows.items() if key.startswith(prefix))
        return ((key, orjson.loads(json)) for key, json in found)

    def count(self, table: str, prefix: str = "") -> int:
        """See `Store.count`."""
        self._check_open()
        return sum(key.startswith(prefix) for key in self._tables[table])

    def last_writes(self, rows: Iterable[int]) -> dict[int, LastWrite]:
        """See `Store.last_writes`."""
        self._check_open()
        found = self._by_row[LEDGER_WRITES].look_up(rows)
        return {row: LastWrite(number, writer) for number, _, row, writer in found}

    def readings(self, rows: Iterable[int]) -> list[Reading]:
        """See `Store.readings`."""
        self._check_open()
        found = self._by_row[LEDGER_READS].look_up(rows)
        return [Reading(row, number, version, wrote) for number, _, row, version, wrote in found]

    def backup(self, path: str) -> None:
        """See `Store.backup`. `restored` reads it."""
        self._check_open()
        tables = {
            name: {key: orjson.Fragment(json) for key, json in rows.items()} for name, rows in self._tables.items()
        }
        Path(path).write_bytes(orjson.dumps(tables))

    def close(self) -> None:
        """See `Store.close`."""
        self._closed = True

    def crash(self, *, power_lost: bool = False) -> "MemoryStore":
        """Return what the next owner finds after this one died: all that was committed.

        With `power_lost` all commits since the last durable one are gone: the worst that may happen. This store
        is closed.
        """
        self.close()
        survivor = MemoryStore()
        for table, rows in self._tables.items():
            for key, json in rows.items():
                survivor._apply(table, key, json)
        undo = self._unsynced if power_lost else {}
        for (table, key), before in undo.items():
            survivor._apply(table, key, before)
        survivor._unsynced = {} if power_lost else dict(self._unsynced)
        return survivor

    def synced(self, table: str, key: str) -> dict[str, Any] | None:
        """Return the row as a loss of power at this moment would leave it."""
        place = (table, key)
        json = self._unsynced[place] if place in self._unsynced else self._tables[table].get(key)
        return None if json is None else orjson.loads(json)

    def _apply(self, table: str, key: str, json: bytes | None) -> None:
        if json is None:
            self._tables[table].pop(key, None)
        else:
            self._tables[table][key] = json
        if table in self._by_row:
            self._by_row[table].put(int(key), _said(table, json))

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError("memory: is closed")
