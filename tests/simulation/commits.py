"""The model of Domain: not idempotent, slow, storing and failing then; what it really did is known here (I7)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from maestro.rules import facts
from maestro.rules.doubt import CommitEnd, Doubt, Finding
from tests.simulation.engine import Engine, Violation
from tests.simulation.watch import whose

if TYPE_CHECKING:
    from tests.simulation.domain import Instance, Place
    from tests.simulation.siblings import Siblings


@dataclass
class Call:
    """One call of a commit, as Domain sees it."""

    key: str
    instance: Instance
    #: Domain may still store it.
    under_way: bool = True
    stored: bool = False
    #: A loss of power took its verdict along.
    forgotten: bool = False


@dataclass(frozen=True)
class Fate:
    """How a call goes: whether Domain gets it, stores it, and how the call ends for who made it."""

    begins: bool
    stores: bool
    end: CommitEnd


OK = Fate(begins=True, stores=True, end=CommitEnd.MADE)
FATES = (
    Fate(begins=False, stores=False, end=CommitEnd.NOT_BEGUN),
    Fate(begins=True, stores=False, end=CommitEnd.REFUSED),
    Fate(begins=True, stores=True, end=CommitEnd.REFUSED),
    Fate(begins=True, stores=False, end=CommitEnd.LOST),
    Fate(begins=True, stores=True, end=CommitEnd.LOST),
)


class Commits:
    """All calls of one system's commits."""

    def __init__(self, engine: Engine, siblings: Siblings, settle: float) -> None:
        self.engine = engine
        self.siblings = siblings
        #: Domain stores within this time, or never.
        self.works_for = 0.8 * min(settle, 60.0)
        self.repeatable = False
        #: Maps of ours work here.
        self.has_map = engine.chance(0.8)
        #: Calls by what they commit: key of a delivery, `held <id>`, or a replay's send.
        self.calls: dict[str, list[Call]] = {}
        #: Instances that persist more than once.
        self.chained: set[str] = set()
        #: Those whose verdict a loss of power took along, and their instances.
        self.forgotten: set[str] = set()
        #: What Domain stored for such a call after that: instance, and when.
        self.unexpected: set[tuple[str, float]] = set()
        #: Instances of which such a call's failure was told: it passes for the failure of the call made after it.
        self.mistaken: set[str] = set()
        #: Who wrote a place last.
        self.rows: dict[Place, str] = {}
        #: Where outcomes go.
        self.tell: Callable[[facts.InstanceEnded], bool] = lambda _fact: True

    def fate(self) -> Fate:
        """Say how the next call goes."""
        siblings = self.siblings
        if siblings.faulty and self.engine.chance(2 * siblings.failing):
            return self.engine.random.choice(FATES)
        return OK

    def begins(self, key: str, instance: Instance) -> Call:
        """A call is made: no earlier one of the same commit has stored anything that would be doubled, or may yet."""
        for call in self.calls.get(key, ()):
            if self.repeatable:
                continue
            if call.stored and creates(instance) and instance.id not in self.mistaken:
                raise Violation(f"I7: the commit of {key} is made again though it was made: {instance.id}")
            if call.under_way and instance.id not in self.mistaken:
                raise Violation(f"I7: the commit of {key} is made again while it may be under way: {instance.id}")
        call = Call(key, instance)
        self.calls.setdefault(key, []).append(call)
        return call

    def recorded(self, key: str) -> None:
        """A commit is recorded as made: it is."""
        calls = self.calls.get(key, ())
        # The rows of a commit that a loss of power made forgotten prove a later one of that instance.
        forgotten = self.forgotten & {key, key.rpartition(" of ")[2], *(call.instance.id for call in calls)}
        if not forgotten and not any(call.stored for call in calls):
            raise Violation(f"I1: the commit of {key} is recorded as made and is not")

    def forget(self, key: str) -> None:
        """A loss of power took a verdict along: its commit is no more known of, and made anew."""
        for call in self.calls.pop(key):
            call.forgotten = True
        self.forgotten |= {key, key.rpartition(" of ")[2]}

    def was_made(self, doubt: Doubt) -> bool:
        """Return what a person who looks finds out, once nothing is under way."""
        key = whose(doubt.delivery, doubt.instance_id) if doubt.delivery else f"held {doubt.document}"
        return any(call.stored for call in self.calls.get(key, ()))

    def any_under_way(self, instance_id: str) -> bool:
        """Whether Domain may still store data of the instance."""
        return any(
            call.under_way and call.instance.id == instance_id for calls in self.calls.values() for call in calls
        )

    def store(self, call: Call, apply: Callable[[], None]) -> None:
        """Domain stores a commit's data; a repeatable one is idempotent: what is stored is not stored again."""
        again = self.repeatable and any(one.stored for one in self.calls.get(call.key, ()))
        call.under_way, call.stored = False, True
        if again:
            return
        if call.forgotten:
            self.unexpected.add((call.instance.id, self.engine.now))
        self.rows[(call.instance.writes, call.instance.branch)] = call.instance.id
        apply()

    def outcome(self, call: Call) -> None:
        """Event Manager tells how a commit ended; mostly at once, sometimes late, sometimes never."""
        if self.siblings.faulty and self.engine.chance(0.2):
            return
        name = "s.done" if call.stored else "system.process.persist.error"
        ended = facts.InstanceEnded(
            call.instance.id, name, "1", call.instance.branch, None, stored=call.stored,
            cause="" if call.stored else "Domain failed",
        )  # fmt: skip
        self.engine.after(self.engine.soon(30.0 if self.engine.chance(0.3) else 1.0), self._tell, ended, call)

    def _tell(self, ended: facts.InstanceEnded, call: Call) -> None:
        if not self.tell(ended):
            self.engine.after(1.0, self._tell, ended, call)
        elif call.forgotten and not ended.stored:
            self.mistaken.add(ended.instance_id)

    def look(self, instance: Instance) -> Finding:
        """Domain's answers about an instance's data."""
        if self.siblings.faulty and self.engine.chance(0.1):
            return self.engine.random.choice((Finding.SILENT, Finding.UNKNOWN))
        if self.has_map and self.rows.get((instance.writes, instance.branch)) == instance.id:
            return Finding.ROWS
        if not creates(instance):
            return Finding.HARMLESS_NO_ROWS if self.has_map else Finding.HARMLESS
        return Finding.NO_ROWS if self.has_map else Finding.NO_MAP


def creates(instance: Instance) -> bool:
    """Whether the instance's commit adds rows: what is no shared input is new each time."""
    return not instance.writes.startswith("k")
