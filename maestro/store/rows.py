"""Rows of a `Database`: (table, key) -> JSON, each with a checksum that is verified whenever it is read."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final, Protocol

from maestro.store.base import StoreDamaged
from maestro.store.statements import checksum, writing
from maestro.store.tail import Row

#: Rows fetched at once while scanning: enough to make the query's cost small, few enough to hold.
_PAGE: Final = 64

_GET: Final = "SELECT json, crc FROM rows WHERE tbl = ? AND key = ?"
_FIRST: Final = f"SELECT key, json, crc FROM rows WHERE tbl = ? AND key >= ? AND key < ? ORDER BY key LIMIT {_PAGE}"  # noqa: S608 - a constant
_NEXT: Final = _FIRST.replace("key >= ?", "key > ?")
_COUNT: Final = "SELECT count(*) FROM rows WHERE tbl = ? AND key >= ? AND key < ?"
_KEYS: Final = "SELECT key FROM rows WHERE tbl = ? ORDER BY key"
_TABLES: Final = "SELECT DISTINCT tbl FROM rows"
_ALL: Final = "SELECT tbl, key, json, crc FROM rows"

_LAST_CHARACTER: Final = "\U0010ffff"
_BEFORE_SURROGATES: Final = "\ud7ff"


class Source(Protocol):
    """What rows are read from: a `Database`, or one that is only read."""

    @property
    def name(self) -> str:
        """What a message calls it."""

    @property
    def connection(self) -> sqlite3.Connection:
        """The connection, for scans that are not held in memory."""

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""

    def transaction(self, *, durable: bool) -> AbstractContextManager[None]:
        """Begin a transaction, and commit it at the end."""

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> None:
        """Run a statement of the open transaction."""

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return what a statement finds."""

    def unfolded(self, table: str, key: str) -> Row | None:
        """Return a row that is committed and not in the file yet."""

    def unfolded_rows(self, table: str) -> Sequence[Row]:
        """Return the rows of a table that are committed and not in the file yet, as `Database.unfolded_rows` says."""

    def fold(self, table: str = "") -> None:
        """Bring all that is committed, or of one table, into the file."""

    def close(self) -> None:
        """Close it."""


class Rows:
    """Reads and writes the rows of one database. Writes need an open transaction."""

    def __init__(self, database: Source) -> None:
        self._database = database

    def put(self, table: str, key: str, json: bytes) -> None:
        """Write one row, replacing the one of that key."""
        self._database.execute(*writing(table, key, json))

    def delete(self, table: str, key: str) -> None:
        """Remove one row, if it is there."""
        self._database.execute(*writing(table, key, None))

    def get(self, table: str, key: str) -> bytes | None:
        """Return one row's JSON. Raises `StoreDamaged`."""
        unfolded = self._database.unfolded(table, key)
        if unfolded is not None:
            return unfolded[2]
        found = self._database.query(_GET, (table, key))
        return self._checked(table, key, *found[0]) if found else None

    def scan(self, table: str, prefix: str = "", *, after: str = "") -> Iterator[tuple[str, bytes]]:
        """Yield the rows whose key begins with `prefix`, by key; behind `after`, when it is given.

        Rows written meanwhile may be among them.

        Raises:
            StoreDamaged: when it comes to a row that is.
        """
        end = end_of(prefix)
        self._database.fold(table)
        first = (_NEXT, after) if after else (_FIRST, prefix)
        page = self._database.query(first[0], (table, first[1], end))
        while page:
            for key, json, crc in page:
                yield key, self._checked(table, key, json, crc)
            page = self._database.query(_NEXT, (table, page[-1][0], end)) if len(page) == _PAGE else []

    def count(self, table: str, prefix: str = "") -> int:
        """Return how many rows there are whose key begins with `prefix`."""
        self._database.fold(table)
        number: int = self._database.query(_COUNT, (table, prefix, end_of(prefix)))[0][0]
        return number

    def keys(self, table: str) -> list[str]:
        """Return all keys of a table, in order."""
        self._database.fold(table)
        return [key for (key,) in self._database.query(_KEYS, (table,))]

    def tables(self) -> list[str]:
        """Return the names of the tables that have rows."""
        self._database.fold()
        return [name for (name,) in self._database.query(_TABLES)]

    def problems(self) -> Iterator[str]:
        """Yield a line for each row whose content is not what was written. Raises as `Database.fold`."""
        self._database.fold()
        try:
            for table, key, json, crc in self._database.connection.execute(_ALL):
                try:
                    self._checked(table, key, json, crc)
                except StoreDamaged as damage:
                    yield str(damage)
        except sqlite3.DatabaseError as error:
            yield f"{self._database.name}: reading all rows ended early: {error}"

    def _checked(self, table: str, key: str, json: Any, crc: Any) -> bytes:
        # A damaged record header changes types, too: nothing is taken for granted here.
        if type(json) is bytes and checksum(table, key, json) == crc:
            return json
        raise StoreDamaged(f"{self._database.name}: table {table!r}, key {key!r}: the checksum does not match")


def end_of(prefix: str) -> str | bytes:
    """Return what all keys with `prefix` sort before, and no greater key does."""
    head = prefix.rstrip(_LAST_CHARACTER)
    if not head:
        return b""  # SQLite sorts every blob after every text: no end
    last = "\ue000" if head[-1] == _BEFORE_SURROGATES else chr(ord(head[-1]) + 1)
    return head[:-1] + last
