"""The file's layout and its versions: one migration per step, applied in order, each in a transaction of its own."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from maestro.store.base import StoreDamaged, StoreError

#: Marks an SQLite file as a Maestro store ("MSTR").
APPLICATION_ID: Final = 0x4D535452

Migration = Sequence[str]

#: `MIGRATIONS[n]` takes a file from version n to n + 1. Append only: files of every older version are out there.
MIGRATIONS: Final[Sequence[Migration]] = (
    (
        f"PRAGMA application_id = {APPLICATION_ID}",
        # Keyed by its own tree: a second index would double the pages that a commit writes.
        """CREATE TABLE rows (
            tbl TEXT NOT NULL, key TEXT NOT NULL, json BLOB NOT NULL, crc INTEGER NOT NULL, PRIMARY KEY (tbl, key)
        ) WITHOUT ROWID""",
        "CREATE TABLE commits (id INTEGER PRIMARY KEY CHECK (id = 1), number INTEGER NOT NULL)",
        "INSERT INTO commits (id, number) VALUES (1, 0)",
    ),
    (
        # Integers, each in a tree of its own: 10,000 of a million are found in half the time that text keys take. The
        # second index finds what leaves.
        """CREATE TABLE ledger_writes (
            row INTEGER PRIMARY KEY, number INTEGER NOT NULL, writer INTEGER NOT NULL, crc INTEGER NOT NULL
        )""",
        "CREATE INDEX ledger_writes_number ON ledger_writes (number)",
        """CREATE TABLE ledger_reads (
            row INTEGER NOT NULL, number INTEGER NOT NULL, version INTEGER NOT NULL, wrote INTEGER NOT NULL,
            crc INTEGER NOT NULL, PRIMARY KEY (row, number)
        ) WITHOUT ROWID""",
        "CREATE INDEX ledger_reads_number ON ledger_reads (number)",
    ),
)


def migrate(connection: sqlite3.Connection, path: Path, migrations: Sequence[Migration] = MIGRATIONS) -> None:
    """Bring the file to the newest version.

    Raises:
        StoreDamaged: its version is none a store can have.
        StoreError: it is no store, or of a version newer than this program knows.
        sqlite3.Error: a step failed; the file stands at the version before it.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    _check(connection, path, version, newest=len(migrations))
    for step, statements in enumerate(migrations[version:], version + 1):
        connection.execute("BEGIN IMMEDIATE")
        try:
            for statement in statements:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {step}")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def _check(connection: sqlite3.Connection, path: Path, version: int, *, newest: int) -> None:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if application != APPLICATION_ID and (version or tables):
        raise StoreError(f"{path}: is an SQLite file but no Maestro store")
    if application == APPLICATION_ID and version < 1:
        raise StoreDamaged(f"{path}: has schema version {version}, which no store has")
    if version > newest:
        raise StoreError(f"{path}: has schema version {version}, this program knows up to {newest}; use a newer one")
