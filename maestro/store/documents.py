"""TinyDB's document API over `Rows`: tables keyed by text, whose changes reach the file row by row.

TinyDB reads and writes whole databases: each update costs as much as all documents together. Here its tables see
a view that reads only what is asked for, and what an update did to that view is written as single rows.
"""

import uuid
from collections.abc import Callable, ItemsView, Iterator, Mapping, MutableMapping
from typing import Any, cast

import orjson
from tinydb import TinyDB
from tinydb.storages import Storage
from tinydb.table import Document, Table

from maestro.store.rows import Rows, Source

Fields = dict[str, Any]


def document(key: str, fields: Mapping[str, Any]) -> Document:
    """Return a TinyDB document whose id is `key`."""
    return Document(fields, cast("int", key))  # TinyDB is typed for numbers; ids of any class work


class _Items(ItemsView[str, Fields]):
    """Items in one scan instead of a look-up for each key."""

    def __init__(self, view: "RowView") -> None:
        super().__init__(view)
        self._view = view

    def __iter__(self) -> Iterator[tuple[str, Fields]]:
        for key, json in self._view.rows.scan(self._view.table):
            yield key, orjson.loads(json)


class RowView(Mapping[str, Fields]):
    """A table's documents by id, read when asked for."""

    def __init__(self, rows: Rows, table: str) -> None:
        self.rows = rows
        self.table = table

    def __getitem__(self, key: str) -> Fields:
        json = self.rows.get(self.table, key)
        if json is None:
            raise KeyError(key)
        fields: Fields = orjson.loads(json)
        return fields

    def __iter__(self) -> Iterator[str]:
        return iter(self.rows.keys(self.table))

    def __len__(self) -> int:
        return self.rows.count(self.table)

    def items(self) -> ItemsView[str, Fields]:
        """Return ids and documents, by id."""
        return _Items(self)


class Delta(MutableMapping[str, Fields]):
    """A table as one update changes it. Documents handed out may be changed in place, as TinyDB does."""

    def __init__(self, rows: Rows, table: str) -> None:
        self._rows = rows
        self._table = table
        self._documents: dict[str, Fields | None] = {}  # None: removed
        self._before: dict[str, bytes] = {}

    def __getitem__(self, key: str) -> Fields:
        if key not in self._documents:
            self._read(key)
        fields = self._documents[key]
        if fields is None:
            raise KeyError(key)
        return fields

    def __setitem__(self, key: str, fields: Fields) -> None:
        self._documents[key] = fields

    def __delitem__(self, key: str) -> None:
        if key not in self:
            raise KeyError(key)
        self._documents[key] = None

    def __iter__(self) -> Iterator[str]:
        stored = self._rows.keys(self._table)
        new = self._documents.keys() - set(stored)
        removed = {key for key, fields in self._documents.items() if fields is None}
        return (key for key in [*stored, *sorted(new)] if key not in removed)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def clear(self) -> None:
        """Remove all documents."""
        for key in list(self):
            self._documents[key] = None

    def write(self) -> None:
        """Write what changed, inside the open transaction."""
        for key, fields in self._documents.items():
            if fields is None:
                self._rows.delete(self._table, key)
                continue
            json = orjson.dumps(fields)
            if json != self._before.get(key):
                self._rows.put(self._table, key, json)

    def _read(self, key: str) -> None:
        json = self._rows.get(self._table, key)
        if json is None:
            raise KeyError(key)
        self._before[key] = json
        self._documents[key] = orjson.loads(json)


class RowStorage(Storage):
    """What TinyDB stands on: a `Database`. A change made outside a transaction is a durable one of its own."""

    def __init__(self, database: Source) -> None:
        self.database = database
        self.rows = Rows(database)

    def read(self) -> dict[str, dict[str, Any]] | None:
        """Return a view of each table that has documents; nothing is read yet."""
        views: dict[str, Any] = {name: self.view(name) for name in self.rows.tables()}
        return views or None

    def view(self, table: str) -> RowView:
        """Return a view of one table."""
        return RowView(self.rows, table)

    def write(self, data: dict[str, dict[str, Any]]) -> None:
        """Drop the tables that are not in `data`: the only whole-database write TinyDB is left with."""

        def drop() -> None:
            for table in self.rows.tables():
                if table not in data:
                    self._clear(table)

        self.change(drop)

    def change(self, change: Callable[[], None]) -> None:
        """Run `change` in the open transaction, or else in a durable one of its own.

        Raises:
            StoreFull: nothing of it was written, if the transaction was its own.
        """
        if self.database.in_transaction:
            change()
            return
        with self.database.transaction(durable=True):
            change()

    def close(self) -> None:
        """Close the database."""
        self.database.close()

    def _clear(self, table: str) -> None:
        for key in self.rows.keys(table):
            self.rows.delete(table, key)


class RowTable(Table):
    """A TinyDB table with text ids, stored row by row.

    It keeps no query cache: a search costs a scan, and in return a roll-back can leave no ghosts behind.
    """

    document_id_class = str  # type: ignore[assignment]  # as `document`

    def __init__(self, storage: RowStorage, name: str) -> None:
        super().__init__(storage, name, cache_size=0)
        self._row_storage = storage

    def rows(self) -> Rows:
        """Return the rows below, to be read in part."""
        return self._row_storage.rows

    def _read_table(self) -> dict[str, Mapping[Any, Any]]:
        return cast("dict[str, Mapping[Any, Any]]", self._row_storage.view(self._name))

    def _update_table(self, updater: Callable[[dict[int, Mapping[Any, Any]]], None]) -> None:
        def change() -> None:
            delta = Delta(self._row_storage.rows, self._name)
            updater(cast("dict[int, Mapping[Any, Any]]", delta))
            delta.write()

        self._row_storage.change(change)

    def _get_next_id(self) -> str:
        return uuid.uuid4().hex


class DocumentDB(TinyDB):
    """TinyDB over a `Source`: a database that is owned, or a file that is read."""

    table_class: type[Table] = RowTable

    def __init__(self, database: Source) -> None:
        super().__init__(database, storage=RowStorage)

    def table(self, name: str, **kwargs: Any) -> RowTable:
        """Return the table `name`; there is nothing to configure about it."""
        return cast("RowTable", super().table(name, **kwargs))
