"""API core's entities: TinyDB's documents in memory, a table for each type, asked by field.

TinyDB's own storage in memory reads and writes whole databases: a change of one process instance among 2,500 takes a
millisecond, and each event makes three. Here a table is the dictionary that TinyDB changes: a change costs the same
however many documents there are. Nothing survives the process, as nothing in the sandbox does.
"""

from collections.abc import Callable, Mapping
from typing import Any, cast

from tinydb import TinyDB
from tinydb.storages import MemoryStorage, Storage
from tinydb.table import Document, Table

Fields = dict[str, Any]


def entity(key: str, fields: Mapping[str, Any]) -> Document:
    """Return a document whose id is `key`."""
    return Document(fields, cast("int", key))  # TinyDB is typed for numbers; ids of any class work


class EntityTable(Table):
    """A TinyDB table with text ids that is changed in its place. It keeps no query cache: it is written too often."""

    document_id_class = str  # type: ignore[assignment]  # as `entity`

    def __init__(self, storage: Storage, name: str) -> None:
        super().__init__(storage, name, cache_size=0)
        self._entities: dict[str, Fields] = {}

    def by_id(self, key: str) -> Document | None:
        """Return the entity with this id."""
        found = self.get(doc_id=cast("int", key))
        assert not isinstance(found, list)
        return found

    def change(self, key: str, fields: Mapping[str, Any]) -> None:
        """Change fields of the entity with this id, which is there."""
        self.update(fields, doc_ids=[cast("int", key)])

    def _read_table(self) -> dict[str, Mapping[Any, Any]]:
        return cast("dict[str, Mapping[Any, Any]]", self._entities)

    def _update_table(self, updater: Callable[[dict[int, Mapping[Any, Any]]], None]) -> None:
        updater(cast("dict[int, Mapping[Any, Any]]", self._entities))


class EntityDB(TinyDB):
    """The entities, by type."""

    table_class: type[Table] = EntityTable

    def __init__(self) -> None:
        super().__init__(storage=MemoryStorage)

    def table(self, name: str, **kwargs: Any) -> EntityTable:
        """Return the entities of a type."""
        return cast("EntityTable", super().table(name, **kwargs))
