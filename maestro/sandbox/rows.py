"""The domain's rows in SQLite: what is committed, per branch, and what each instance has staged."""

import sqlite3
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from maestro.events import MASTER
from maestro.sandbox.processes import Write

_SCHEMA = """
CREATE TABLE rows (
    system TEXT, entity TEXT, key TEXT, branch TEXT, fields BLOB NOT NULL, version INTEGER NOT NULL,
    PRIMARY KEY (system, entity, key, branch)
) WITHOUT ROWID;
CREATE TABLE staged (
    instance TEXT, position INTEGER, system TEXT, entity TEXT, key TEXT, branch TEXT, fields BLOB NOT NULL,
    PRIMARY KEY (instance, position)
) WITHOUT ROWID;
CREATE TABLE counts (
    system TEXT, entity TEXT, branch TEXT, number INTEGER NOT NULL, PRIMARY KEY (system, entity, branch)
) WITHOUT ROWID;
CREATE TRIGGER counted AFTER INSERT ON rows BEGIN
    INSERT INTO counts VALUES (new.system, new.entity, new.branch, 1) ON CONFLICT DO UPDATE SET number = number + 1;
END;
CREATE TABLE commits (sequence INTEGER PRIMARY KEY, instance TEXT NOT NULL UNIQUE);
"""
#: Not a secret: it only makes a row's id a function of the row's name.
_RID = uuid.UUID("6a1f0f0e-3b56-4e6b-9f0d-6d61657374ff")


@dataclass(frozen=True, slots=True)
class Row:
    """A committed row. `version` grows each time its fields really change."""

    entity: str
    key: str
    branch: str
    fields: dict[str, Any]
    version: int


@dataclass(frozen=True, slots=True)
class StagedRow:
    """A row an instance would write, and the row its branch sees in that place now."""

    entity: str
    key: str
    branch: str
    fields: dict[str, Any]
    rid: str
    before: Row | None

    @property
    def changes(self) -> bool:
        """Whether its commit would change what the branch sees, now or later.

        The first row a branch has of its own counts, even with equal fields: it cuts the branch off from what the
        trunk does there, so whatever depends on it needs a row of its own as well.
        """
        before = self.before
        return before is None or before.fields != self.fields or before.branch != self.branch


class Rows:
    """The committed and staged rows of every system. A branch sees its own rows, and `master`'s where it has none."""

    def __init__(self, path: Path) -> None:
        """Create the file `path`; it must not exist."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(exist_ok=False)
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        # The world is made anew at each start, so nothing here has to outlive the process.
        self._db.execute("PRAGMA synchronous=OFF")
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def visible(self, system: str, entity: str, key: str, branch: str) -> Row | None:
        """Return the row as `branch` sees it: its own, else `master`'s; None when there is neither."""
        return self._own(system, entity, key, branch) or (
            self._own(system, entity, key, MASTER) if branch != MASTER else None
        )

    def has_own(self, system: str, entity: str, key: str, branch: str) -> bool:
        """Whether `branch` has a row of its own there, which hides `master`'s."""
        return self._own(system, entity, key, branch) is not None

    def view(self, system: str, entity: str, branch: str) -> list[Row]:
        """Return all rows of an entity as `branch` sees them, in the order of their keys."""
        found = self._db.execute(
            "SELECT key, branch, fields, version FROM rows WHERE system = ? AND entity = ? AND branch IN (?, ?)"
            " ORDER BY key, branch = ?",
            (system, entity, branch, MASTER, branch),
        )
        # The branch's own row comes after master's of the same key and takes its place.
        rows = {key: Row(entity, key, on, orjson.loads(fields), version) for key, on, fields, version in found}
        return list(rows.values())

    def count(self, system: str, entity: str, branch: str) -> int:
        """Return how many rows of its own `branch` has."""
        query = "SELECT number FROM counts WHERE system = ? AND entity = ? AND branch = ?"
        found = self._db.execute(query, (system, entity, branch)).fetchone()
        return int(found[0]) if found else 0

    def stage(self, instance: str, system: str, branch: str, writes: Sequence[Write]) -> None:
        """Keep what `instance` would write, until its commit."""
        self._db.executemany(
            "INSERT INTO staged VALUES (?, ?, ?, ?, ?, ?, ?)",
            [
                (instance, position, system, write.entity, write.key, branch, orjson.dumps(write.fields))
                for position, write in enumerate(writes)
            ],
        )

    def staged(self, instance: str) -> list[StagedRow]:
        """Return what the commit of `instance` writes; empty for one that staged nothing."""
        found = self._db.execute(
            "SELECT system, entity, key, branch, fields FROM staged WHERE instance = ? ORDER BY position", (instance,)
        ).fetchall()
        return [
            StagedRow(
                entity,
                key,
                branch,
                orjson.loads(fields),
                _rid(system, entity, key),
                self.visible(system, entity, key, branch),
            )
            for system, entity, key, branch, fields in found
        ]

    def commit(self, instance: str) -> bool:
        """Apply what `instance` staged, all or nothing; False, and no effect, when that was done before."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            cursor = self._db.execute("INSERT OR IGNORE INTO commits (instance) VALUES (?)", (instance,))
            first = cursor.rowcount == 1
            if first:
                self._apply(instance, int(cursor.lastrowid or 0))
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")
        return first

    def committed(self) -> Iterable[str]:
        """Yield the instances in the order of their commits."""
        return (instance for (instance,) in self._db.execute("SELECT instance FROM commits ORDER BY sequence"))

    def _apply(self, instance: str, version: int) -> None:
        self._db.execute(
            "INSERT INTO rows SELECT system, entity, key, branch, fields, ? FROM staged WHERE instance = ?"
            " ON CONFLICT DO UPDATE SET fields = excluded.fields, version = excluded.version"
            " WHERE fields != excluded.fields",
            (version, instance),
        )

    def _own(self, system: str, entity: str, key: str, branch: str) -> Row | None:
        query = "SELECT fields, version FROM rows WHERE system = ? AND entity = ? AND key = ? AND branch = ?"
        found = self._db.execute(query, (system, entity, key, branch)).fetchone()
        return Row(entity, key, branch, orjson.loads(found[0]), found[1]) if found else None


def _rid(system: str, entity: str, key: str) -> str:
    return str(uuid.uuid5(_RID, f"{system}/{entity}/{key}"))
