"""`MemoryStore`: a store without a disk, for tests and simulation, that can crash and run full on demand."""

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


class MemoryStore(Store):
    """A `maestro.store.base.Store` in memory. Rows are kept as JSON: what is read is never what was handed in."""

    def __init__(self) -> None:
        #: Set to make every commit fail like one on a full disk.
        self.full = False
        self._tables: dict[str, _Table] = {}
        self._closed = False
        # What the rows changed since the last durable commit were before: what a loss of power may bring back.
        self._unsynced: dict[_Place, bytes | None] = {}

    @classmethod
    def restored(cls, path: str) -> "MemoryStore":
        """Return a store with the rows that `backup` wrote to `path`."""
        store = cls()
        tables = orjson.loads(Path(path).read_bytes())
        store._tables = {
            name: {key: orjson.dumps(fields) for key, fields in rows.items()} for name, rows in tables.items()
        }
        return store

    def commit(self, writes: Sequence[Write], *, durable: bool) -> Commit:
        """See `Store.commit`."""
        self._check_open()
        if self.full:
            raise StoreFull("memory: full, as asked for")
        changes = [
            (write.table, write.key, orjson.dumps(dict(write.fields)) if isinstance(write, Put) else None)
            for write in writes
        ]  # all encoded before the first is applied: one that is no JSON leaves nothing behind
        for table, key, json in changes:
            self._unsynced.setdefault((table, key), self._tables.get(table, {}).get(key))
            self._apply(table, key, json)
        if durable:
            self._unsynced.clear()
        return DONE

    def show_lock(self, facts: bytes) -> None:
        """See `Store.show_lock`: only the owner reads it."""

    def get(self, table: str, key: str) -> dict[str, Any] | None:
        """See `Store.get`."""
        self._check_open()
        json = self._tables.get(table, {}).get(key)
        return None if json is None else orjson.loads(json)

    def rows(self, table: str, prefix: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
        """See `Store.rows`."""
        self._check_open()
        rows = self._tables.get(table, {})
        found = sorted((key, json) for key, json in rows.items() if key.startswith(prefix))
        return ((key, orjson.loads(json)) for key, json in found)

    def count(self, table: str, prefix: str = "") -> int:
        """See `Store.count`."""
        self._check_open()
        return sum(key.startswith(prefix) for key in self._tables.get(table, {}))

    def last_writes(self, rows: Iterable[int]) -> dict[int, LastWrite]:
        """See `Store.last_writes`."""
        wanted = set(rows)
        return {
            row: LastWrite(int(number), fields["writer"])
            for number, fields in self.rows(LEDGER_WRITES)
            for row in fields["rows"]
            if row in wanted
        }

    def readings(self, rows: Iterable[int]) -> list[Reading]:
        """See `Store.readings`."""
        wanted = set(rows)
        return [
            Reading(row, int(number), version, wrote)
            for number, fields in self.rows(LEDGER_READS)
            for row, version, wrote in fields["reads"]
            if row in wanted
        ]

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
        survivor._tables = {name: dict(rows) for name, rows in self._tables.items()}
        undo = self._unsynced if power_lost else {}
        for (table, key), json in undo.items():
            survivor._apply(table, key, json)
        survivor._unsynced = {} if power_lost else dict(self._unsynced)
        return survivor

    def synced(self, table: str, key: str) -> dict[str, Any] | None:
        """Return the row as a loss of power at this moment would leave it."""
        place = (table, key)
        json = self._unsynced[place] if place in self._unsynced else self._tables.get(table, {}).get(key)
        return None if json is None else orjson.loads(json)

    def _apply(self, table: str, key: str, json: bytes | None) -> None:
        if json is None:
            self._tables.get(table, {}).pop(key, None)
        else:
            self._tables.setdefault(table, {})[key] = json

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError("memory: is closed")
