"""What must hold of decisions that cover their tag: checked on the rows of each transaction.

A cover is asked for whenever it fits, also after a crash; it is taken only for what fits, only while those who decided
may decide, with their name and reason, and the history says on which preview.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from maestro.rules import facts
from maestro.rules.preview import digest
from maestro.rules.state import Rules
from maestro.rules.step import SaveCover
from maestro.system.cover_rows import cover_row
from tests.simulation.demanded import Demanded
from tests.simulation.engine import Violation

if TYPE_CHECKING:
    from collections.abc import Iterable

    from maestro.rules.step import Save
    from tests.simulation.watch import Row, Watch

COVERED = "covered by the decision about "


class Covered:
    """Follows one system's covers."""

    def __init__(self) -> None:
        self.demanded = Demanded(Rules())
        #: The stored covers, by the document that was decided so.
        self.covers: dict[str, Row] = {}
        #: All that were made in this life, or stored when it began: one may be gone before it is stored.
        self._known: dict[str, Row] = {}
        #: Documents whose cover was asked about in this life, and the last answer about each.
        self.asked: set[str] = set()
        self._may: dict[str, bool] = {}
        #: Documents that were decided so.
        self.taken = 0

    def heard(self, fact: facts.Fact) -> None:
        """An answer reaches the system."""
        if type(fact) is facts.DecidersChecked:
            self._may[fact.id] = not fact.problem

    def restarted(self, rows: dict[str, Row]) -> None:
        """A new life: nothing is asked yet."""
        self.covers = rows
        self._known = dict(rows)
        self.asked.clear()
        self._may.clear()

    def saved(self, saves: Iterable[Save]) -> None:
        """A step is to be stored."""
        for save in saves:
            if type(save) is SaveCover:
                self._known[save.cover.document_id] = cover_row(save.cover)

    def document(self, watch: Watch, id_: str, before: Row | None, row: Row) -> None:
        """A document's row is stored."""
        if before is None:
            self.pending(watch, id_)
        old = before["history"] if before else []
        for status, at, user, cause, reason in row["history"][len(old) :]:
            if cause.startswith(COVERED):
                self._taken(watch, id_, row, (status, at, user, cause, reason))

    def pending(self, watch: Watch, id_: str) -> None:
        """A document is pending, or a life begins with it: is the cover that fits asked about?"""
        row = watch.documents[id_]
        cover = self._fitting(watch, id_, row) if row["status"] == "pending_approval" else None
        if cover is not None and id_ not in self.asked:
            raise Violation(f"{id_} is pending, and the cover of its tag is not asked about: {cover}")

    def _fitting(self, watch: Watch, id_: str, row: Row) -> Row | None:
        if not self.covers:
            return None
        head = watch.pending()
        name = orjson.loads(row["pending_event"])["name"]
        for cover in self.covers.values():
            same = cover["tag"] == row["tag"] and cover["name"] == name
            in_time = cover["since"] <= row["history"][0][1] <= cover["until"]
            enough = not self.demanded.two(row) or len(cover["deciders"]) > 1
            enough = enough if cover["approves"] else not self.demanded.skip_is_refused(row)
            if head is row and same and in_time and enough and len(watch.units_of(id_)) <= cover["limit"]:
                return cover
        return None

    def _taken(self, watch: Watch, id_: str, row: Row, entry: tuple[Any, ...]) -> None:
        status, _, user, cause, reason = entry
        self.taken += 1
        first = cause.removeprefix(COVERED).partition(";")[0]
        cover = self._known.get(first)
        if cover is None:
            raise Violation(f"{id_} is decided as {first} was, which covers nothing")
        if not self._may.get(id_):
            raise Violation(f"{id_} is decided as {first} was, by {user}, who may no longer decide")
        units = watch.units_of(id_)
        if row["tag"] != cover["tag"] or not row["tag"] or len(units) > cover["limit"]:
            raise Violation(f"{id_} ({row['tag']}, {len(units)} units) is decided by the cover {cover}")
        if not cover["since"] <= row["history"][0][1] <= cover["until"]:
            raise Violation(f"{id_}, pending since {row['history'][0][1]}, is decided by the cover {cover}")
        meant = "approved" if cover["approves"] else "skipped"
        if (status, user, reason) != (meant, *cover["deciders"][-1][:2]):
            raise Violation(f"{id_} is {status} by {user} ({reason}) by the cover {cover}")
        if f"preview {digest(row['held_instance'], units)}, {len(units)} units" not in cause:
            raise Violation(f"{id_} is decided by another preview than it has: {cause}")
