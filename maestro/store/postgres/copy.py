"""A system's rows as its owner reads them: a private, temporary SQLite database, filled from PostgreSQL.

It holds what is committed and what is under way. SQLite keeps it in memory as far as it is small, and removes it with
the connection: another life fills another one.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from maestro.store.base import StoreError
from maestro.store.errors import translated
from maestro.store.schema import migrate
from maestro.store.statements import statements
from maestro.store.tail import Row


class Copy:
    """See `maestro.store.rows.Source`. One call at a time, from any thread."""

    in_transaction = False

    def __init__(self, system_id: str) -> None:
        self.name = f"PostgreSQL, system {system_id}"
        self._path = Path(f"copy of {system_id}")
        self._connection: sqlite3.Connection | None = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._connection.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
        migrate(self._connection, self._path)
        for pragma in ("synchronous = OFF", "journal_mode = MEMORY", "secure_delete = OFF", "cache_size = -16384"):
            self._connection.execute(f"PRAGMA {pragma}")

    @property
    def connection(self) -> sqlite3.Connection:
        """The connection. Raises `StoreError` once it is closed."""
        if self._connection is None:
            raise StoreError(f"{self.name}: is closed")
        return self._connection

    def save(self, rows: Iterable[Row]) -> None:
        """Write all of them, or none. Raises `StoreError`."""
        connection = self.connection
        try:
            connection.execute("BEGIN")
            try:
                for row in rows:
                    for sql, parameters in statements(*row):
                        connection.execute(sql, parameters)
                connection.execute("COMMIT")
            except BaseException:
                connection.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise translated(self._path, error) from error

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return what a statement finds. Raises `StoreError`."""
        try:
            return self.connection.execute(sql, parameters).fetchall()
        except sqlite3.Error as error:
            raise translated(self._path, error) from error

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> None:  # noqa: ARG002 - the protocol's
        """Refuse: changes go through `Store.commit`. Raises `StoreError`."""
        raise StoreError(f"{self.name}: is changed by commits only")

    def transaction(self, *, durable: bool) -> AbstractContextManager[None]:  # noqa: ARG002 - the protocol's
        """Refuse: changes go through `Store.commit`. Raises `StoreError`."""
        raise StoreError(f"{self.name}: is changed by commits only")

    def unfolded(self, table: str, key: str) -> None:
        """Nothing is outside of it."""

    def unfolded_rows(self, table: str) -> Sequence[Row]:  # noqa: ARG002 - the protocol's
        """Nothing is outside of it."""
        return ()

    def fold(self, table: str = "") -> None:
        """Nothing is outside of it."""

    def close(self) -> None:
        """Let go of it, and so remove it. Twice is no error."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
