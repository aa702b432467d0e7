"""The domain's rows in SQLite: what is committed, per branch, and what each instance has staged.

A row has an `id` (the same on every branch) and a `rid` (its own on each). An update or destroy finds it by id and
branch; a scenario's first change makes a copy. Rows carry who wrote them last (`instance`). Created rows get both ids
from here, others than in the dataset, again at each persist (contracts: What a row is).
"""

import sqlite3
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import orjson

from maestro.events import MASTER
from maestro.sandbox.processes import Fields, Write

_SCHEMA = """
CREATE TABLE rows (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL, rid TEXT NOT NULL, origin TEXT NOT NULL,
    system TEXT NOT NULL, entity TEXT NOT NULL, key TEXT NOT NULL, branch TEXT NOT NULL,
    fields BLOB NOT NULL, version INTEGER NOT NULL, instance TEXT NOT NULL, modified_at REAL NOT NULL,
    gone INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX by_key ON rows (system, entity, key, branch);
CREATE INDEX by_id ON rows (id, branch);
CREATE INDEX by_instance ON rows (instance, entity);
CREATE TABLE staged (
    instance TEXT, stage INTEGER, position INTEGER, system TEXT, entity TEXT, key TEXT, branch TEXT,
    change TEXT NOT NULL, id TEXT NOT NULL, rid TEXT NOT NULL, fields BLOB NOT NULL, writer TEXT NOT NULL,
    modified_at REAL NOT NULL, PRIMARY KEY (instance, stage, position)
) WITHOUT ROWID;
CREATE TABLE counts (
    system TEXT, entity TEXT, branch TEXT, number INTEGER NOT NULL, PRIMARY KEY (system, entity, branch)
) WITHOUT ROWID;
CREATE TRIGGER counted AFTER INSERT ON rows BEGIN
    INSERT INTO counts VALUES (new.system, new.entity, new.branch, 1) ON CONFLICT DO UPDATE SET number = number + 1;
END;
CREATE TABLE commits (
    sequence INTEGER PRIMARY KEY, instance TEXT NOT NULL, stage INTEGER NOT NULL, creates INTEGER NOT NULL
);
CREATE INDEX by_commit ON commits (instance, stage);
"""
_ROW = "entity, key, branch, fields, version, id, rid, instance, modified_at, gone"


class Change(StrEnum):
    """What a commit does to a row (`changeTrack`)."""

    CREATE = "create"
    UPDATE = "update"
    DESTROY = "destroy"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Row:
    """A committed row. `version` is the number of the commit that changed its fields last."""

    entity: str
    key: str
    branch: str
    fields: dict[str, Any]
    version: int
    id: str
    rid: str
    #: The instance that wrote it last.
    instance: str
    #: Seconds since the epoch; a replay's update does not move it.
    modified_at: float
    gone: bool = False


@dataclass(frozen=True, slots=True)
class StagedRow:
    """A row in an instance's dataset, and the row its branch sees in that place now."""

    entity: str
    key: str
    branch: str
    change: Change
    fields: dict[str, Any]
    #: As in the dataset; a created row gets others.
    id: str
    rid: str
    #: Who wrote the version that was read, and when its data was changed; empty and 0 for a created row.
    writer: str
    modified_at: float
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

    def __init__(self, path: Path, *, creates_anew: bool = True) -> None:
        """Create the file `path`; it must not exist. Without `creates_anew` a second persist changes nothing."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(exist_ok=False)
        self._creates_anew = creates_anew
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        # The world is made from nothing at each start, so nothing here has to outlive the process.
        self._db.execute("PRAGMA synchronous=OFF")
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    # --- looking -----------------------------------------------------------------------------------------------

    def visible(self, system: str, entity: str, key: str, branch: str) -> Row | None:
        """Return the row as `branch` sees it: its own, else `master`'s; None when there is neither.

        Of several with that key, the oldest.
        """
        row = self._own(system, entity, key, branch)
        if row is None and branch != MASTER:
            row = self._own(system, entity, key, MASTER)
        return None if row is None or row.gone else row

    def has_own(self, system: str, entity: str, key: str, branch: str) -> bool:
        """Whether `branch` has a row of its own there, which hides `master`'s."""
        return self._own(system, entity, key, branch) is not None

    def view(self, system: str, entity: str, branch: str) -> list[Row]:
        """Return all rows of an entity as `branch` sees them, in the order of their keys."""
        found = self._db.execute(
            f"SELECT {_ROW} FROM rows WHERE system = ? AND entity = ? AND branch IN (?, ?)"  # noqa: S608 - our own columns
            " ORDER BY key, branch = ?, number",
            (system, entity, branch, MASTER, branch),
        )
        rows: dict[tuple[str, str], Row] = {}
        for one in map(_row, found):
            # The branch's own row comes after master's of the same id and takes its place.
            rows[one.key, one.id] = one
        return [row for row in rows.values() if not row.gone]

    def of_instance(self, instance: str, entity: str, *, all_branches: bool) -> list[Row]:
        """Return the rows of an entity that an instance wrote last."""
        query = f"SELECT {_ROW} FROM rows WHERE instance = ? AND entity = ? AND gone = 0"  # noqa: S608 - as above
        found = map(_row, self._db.execute(query, (instance, entity)))
        return [row for row in found if all_branches or row.branch == MASTER]

    def count(self, system: str, entity: str, branch: str) -> int:
        """Return how many rows `branch` has ever had of its own."""
        query = "SELECT number FROM counts WHERE system = ? AND entity = ? AND branch = ?"
        found = self._db.execute(query, (system, entity, branch)).fetchone()
        return int(found[0]) if found else 0

    def staged(self, instance: str) -> list[StagedRow]:
        """Return what the commit of `instance` writes: of its last computation; empty for one that staged nothing."""
        found = self._db.execute(
            "SELECT system, entity, key, branch, change, fields, id, rid, writer, modified_at FROM staged"
            " WHERE instance = ? AND stage = ? ORDER BY position",
            (instance, self._last_stage(instance)),
        ).fetchall()
        return [
            StagedRow(
                entity, key, branch, Change(change), orjson.loads(fields), id_, rid, writer, modified_at,
                self.visible(system, entity, key, branch),
            )
            for system, entity, key, branch, change, fields, id_, rid, writer, modified_at in found
        ]  # fmt: skip

    def committed(self) -> Iterable[str]:
        """Yield the instances in the order of their commits, again for each that was made again."""
        return (instance for (instance,) in self._db.execute("SELECT instance FROM commits ORDER BY sequence"))

    def doubled(self) -> list[str]:
        """Return the instances whose created rows were written more than once."""
        found = self._db.execute(
            "SELECT instance FROM commits WHERE creates > 0 GROUP BY instance, stage HAVING count(*) > 1 ORDER BY 1"
        )
        return [instance for (instance,) in found]

    # --- writing -----------------------------------------------------------------------------------------------

    def stage(
        self, instance: str, system: str, branch: str, writes: Sequence[Write], seen: dict[tuple[str, str], Row]
    ) -> None:
        """Keep what `instance` would write, until its commit; `seen` are the rows in its dataset."""
        stage = self._last_stage(instance) + 1
        self._db.executemany(
            "INSERT INTO staged VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (instance, stage, position, system, write.entity, write.key, branch, *_tracked(write, branch, seen))
                for position, write in enumerate(writes)
            ],
        )

    def commit(self, instance: str, at: float, *, replay: bool = False) -> bool:
        """Apply what `instance` staged last, all or nothing, at that moment (seconds since the epoch).

        Returns False, and has no effect, when that was done before and is not done again.
        """
        stage = self._last_stage(instance)
        self._db.execute("BEGIN IMMEDIATE")
        try:
            query = "SELECT 1 FROM commits WHERE instance = ? AND stage = ?"
            again = self._db.execute(query, (instance, stage)).fetchone() is not None
            if not again or self._creates_anew:
                rows = self._db.execute(
                    "SELECT system, entity, key, branch, change, fields, id, rid, modified_at FROM staged"
                    " WHERE instance = ? AND stage = ? ORDER BY position",
                    (instance, stage),
                ).fetchall()
                creates = sum(row[4] == Change.CREATE for row in rows)
                cursor = self._db.execute(
                    "INSERT INTO commits (instance, stage, creates) VALUES (?, ?, ?)", (instance, stage, creates)
                )
                for row in rows:
                    self._apply(row, instance, int(cursor.lastrowid or 0), at, replay=replay)
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")
        return not again or self._creates_anew

    def _apply(self, staged: tuple[Any, ...], instance: str, version: int, at: float, *, replay: bool) -> None:
        system, entity, key, branch, change, fields, id_, rid, read_at = staged
        place = (system, entity, key, branch, fields, version, instance)
        if change == Change.NONE:
            return
        if change == Change.CREATE:
            there = None if self._creates_anew else self._own(system, entity, key, branch)
            if there is None:
                self._insert((str(uuid.uuid4()), str(uuid.uuid4()), "", *place, at, 0))
                return
            id_ = there.id
        gone = int(change == Change.DESTROY)
        moved = "" if replay else f", modified_at = {at!r}"
        changed = self._db.execute(
            f"UPDATE rows SET fields = ?, version = ?, instance = ?, gone = ?{moved} WHERE id = ? AND branch = ?",  # noqa: S608 - a number of ours
            (fields, version, instance, gone, id_, branch),
        )
        if changed.rowcount == 0:
            # A scenario's first change: a copy with the trunk row's id and moment.
            self._insert((id_, str(uuid.uuid4()), rid, *place, read_at, gone))

    def _insert(self, values: tuple[Any, ...]) -> None:
        self._db.execute(
            "INSERT INTO rows (id, rid, origin, system, entity, key, branch, fields, version, instance, modified_at,"
            " gone) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            values,
        )

    def _last_stage(self, instance: str) -> int:
        query = "SELECT max(stage) FROM staged WHERE instance = ?"
        found = self._db.execute(query, (instance,)).fetchone()[0]
        return -1 if found is None else int(found)

    def _own(self, system: str, entity: str, key: str, branch: str) -> Row | None:
        query = (
            f"SELECT {_ROW} FROM rows WHERE system = ? AND entity = ? AND key = ? AND branch = ?"  # noqa: S608 - our own columns
            " ORDER BY number LIMIT 1"
        )
        found = self._db.execute(query, (system, entity, key, branch)).fetchone()
        return _row(found) if found else None


def _tracked(write: Write, branch: str, seen: dict[tuple[str, str], Row]) -> tuple[str, str, str, bytes, str, float]:
    """Return how a write is kept: its change, id, rid, fields, and of the version that was read writer and moment."""
    row = None if write.fresh else seen.get((write.entity, write.key))
    if row is None:
        return (Change.CREATE, str(uuid.uuid4()), str(uuid.uuid4()), orjson.dumps(write.fields), "", 0.0)
    fields: Fields = row.fields if write.fields is None else write.fields
    change = Change.UPDATE
    if write.fields is None:
        change = Change.DESTROY
    elif fields == row.fields and row.branch == branch:
        change = Change.NONE
    return (change, row.id, row.rid, orjson.dumps(fields), row.instance, row.modified_at)


def _row(found: tuple[Any, ...]) -> Row:
    entity, key, branch, fields, version, id_, rid, instance, modified_at, gone = found
    return Row(entity, key, branch, orjson.loads(fields), version, id_, rid, instance, modified_at, bool(gone))
