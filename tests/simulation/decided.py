"""What must hold of the decisions that people take: checked on each transaction, and on what they are told.

A preview is what Discovery said, whole; an approval binds to it; a budget that is used up pauses; a skipped event is
reconsidered once, behind all others; and what was answered outlasts a loss of power.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise, takewhile
from typing import TYPE_CHECKING, Any

from maestro.events import MASTER
from maestro.messages.decisions import Budget
from maestro.rules import facts
from maestro.rules.impact import Impacted, Origin, UnitKey, relevant
from maestro.rules.state import Rules
from tests.simulation.demanded import Demanded
from tests.simulation.engine import Violation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from tests.simulation.watch import Row, Watch

RUNNING = ("running", "running_without_lock")
BUSY = ("sending", "sent", "assessing", "committing")
#: Maestro's own approvals, which no policy binds.
ITSELF = ("platform", "platform:open_branch")
#: What a re-check may change in a header.
PREVIEWED = ("not_finished", "generation", "revision", "total", "next_turn")
#: What may change in a header while nothing is decided.
MAY_CHANGE = (*PREVIEWED, "approval", "approval_digest", "demand", "text_late")


@dataclass
class Change:
    """One transaction: the rows it wrote as they were before, by key; as they are now is in the watch."""

    watch: Watch
    documents: dict[str, Row | None] = field(default_factory=dict)
    units: dict[str, Row | None] = field(default_factory=dict)
    #: Numbers of the deliveries that are new in it.
    new: set[int] = field(default_factory=set)

    @property
    def touched(self) -> set[str]:
        """Ids of the documents that have a row in it."""
        return {*self.documents, *(key.rpartition("/")[0] for key in self.units)}


@dataclass
class Stretch:
    """What a run may do from its start or resumption on."""

    #: Entries of the history when it began.
    since: int
    #: Replays done before.
    replayed: int
    #: What was granted; None while nobody was told.
    budget: Budget | None = None

    def used_up(self, row: Row, history: Sequence[Sequence[Any]], at: float) -> bool:
        """Whether no further replay may begin at `at`, of a run that goes on since the end of `history`."""
        if self.budget is None:
            return False
        replays, minutes = self.budget.replays, self.budget.minutes
        enough = replays is not None and row["replayed"] - self.replayed >= replays
        going = [entry[1] for entry in takewhile(lambda entry: entry[0] == history[-1][0], reversed(history))]
        return enough or (minutes is not None and at - going[-1] >= minutes * 60)


class Decided:
    """Follows one system's decisions."""

    def __init__(self) -> None:
        self.demanded = Demanded(Rules())
        #: Instances whose events wait here.
        self.waiting: Callable[[], set[str]] = set
        #: What Discovery said of a document's event, answer by answer, as far as all of it could be told.
        self.said: dict[str, list[frozenset[UnitKey]]] = {}
        #: An answer that origins are still missing of.
        self._half_said: dict[str, frozenset[UnitKey]] = {}
        self._stretches: dict[str, Stretch] = {}
        #: What somebody was told of a document.
        self._told: dict[str, tuple[int, int, bool]] = {}
        #: What the first of two approvers granted, as it is stored: they may never have been told.
        self._first: dict[str, Budget] = {}
        self._held: dict[str, tuple[str, str]] = {}

    # --- what is heard ----------------------------------------------------------------------------------------------

    def heard(self, fact: facts.Fact) -> None:
        """A sibling's answer reaches the system."""
        match fact:
            case facts.OriginsFetched(document_id=id_, origins=origins):
                self.said[id_] = [frozenset(origin.unit.key for origin in origins) - self._early(origins)]
            case facts.RecheckFound(id=id_, units=units):
                self._answer(id_, self._counting(id_, units))
            case facts.RecheckOriginsFetched(id=id_, origins=origins) if id_ in self._half_said:
                self.said[id_].append(self._half_said.pop(id_) - self._early(origins))
            case facts.RecheckFailed(id=id_):
                self._half_said.pop(id_, None)

    def _early(self, origins: Sequence[Origin]) -> frozenset[UnitKey]:
        """Return the units that are named, and whose own commits are still to come."""
        waiting = self.waiting()
        return frozenset(one.unit.key for one in origins if not one.finished or one.unit.instance_id in waiting)

    def _answer(self, id_: str, units: frozenset[UnitKey]) -> None:
        if units <= self.said[id_][-1]:
            self.said[id_].append(units)
        else:
            self._half_said[id_] = units

    def _counting(self, id_: str, units: tuple[Impacted, ...]) -> frozenset[UnitKey]:
        held, branch = self._held[id_]
        return frozenset(unit.key for unit in relevant(units, own_instance=held, on_master=branch == MASTER))

    def restarted(self, watch: Watch) -> None:
        """What was said and not taken over is forgotten; what was answered is there."""
        self._half_said.clear()
        for id_, row in watch.documents.items():
            self.said[id_] = [frozenset(watch.units_of(id_))]
            self._approved_first(id_, row)
            if id_ in self._stretches and self._stretches[id_].since > len(row["history"]):
                self._stretches[id_] = Stretch(0, 0)
        for id_, told in self._told.items():
            row = watch.documents.get(id_)
            if row is None or any(now < then for now, then in zip(_state(row), told, strict=True)):
                raise Violation(f"{id_} was answered with {told} and is after a restart {row and _state(row)}")

    # --- what is stored ---------------------------------------------------------------------------------------------

    def committed(self, change: Change) -> None:
        """One transaction was stored."""
        for id_, before in change.documents.items():
            row = change.watch.documents[id_]
            self._held[id_] = (row["held_instance"], row["branch"])
            if before is None:
                self.said.setdefault(id_, [frozenset(change.watch.units_of(id_))])
                self._follow(id_, before, row)
                self._opened(id_, row)
            else:
                self._document(change.watch, id_, before, row)
                self._follow(id_, before, row)
            self._approved_first(id_, row)
            if row.get("reconsidered") != (before or {}).get("reconsidered"):
                _reconsidered(change, id_, before, row)
        for id_ in change.touched:
            if change.watch.documents[id_]["status"] == "pending_approval":
                self._previewed(change.watch, id_)
        for key, unit_before in change.units.items():
            id_ = key.rpartition("/")[0]
            unit = change.watch.units[id_].get(key)
            began = unit is not None and unit["state"] == "sending" and unit["sends"] == unit["first_send"]
            if unit_before is not None and unit_before.get("left_out"):  # its place in the document may be another one
                now = change.watch.units_of(id_).get((unit_before["instance_id"], unit_before["branch"]))
                if now is None or now["state"] != "left_out":
                    raise Violation(f"I5: a unit of {id_} was left out, and is {now}")
            if began and (unit_before is None or unit_before["state"] != "sending"):
                self._replay_begins(change, id_, unit)

    def _approved_first(self, id_: str, row: Row) -> None:
        first = row.get("approval")
        if first is None:
            self._first.pop(id_, None)
        elif not first[7]:  # else it was followed by a second one
            self._first[id_] = Budget(*first[5])

    def _document(self, watch: Watch, id_: str, before: Row, row: Row) -> None:
        old, new = before["history"], row["history"]
        if new[: len(old)] != old:
            raise Violation(f"the history of {id_} is not what it was")
        pending = before["status"] == "pending_approval"
        if before.get("revision") != row.get("revision") and not pending:
            raise Violation(f"the units of {id_} are replaced while it is {before['status']}")
        if pending and row["status"] == "pending_approval":
            changed = {name for name in {*before, *row} if before.get(name) != row.get(name)} - {*MAY_CHANGE}
            if changed - ({"history"} if before.get("demand") != row.get("demand") else set()):
                raise Violation(f"{changed} of {id_} change while it is pending")
        elif self.demanded.two(before):
            self._approved_twice(id_, before, row)
        if pending and row["status"] == "skipped" and self.demanded.skip_is_refused(before):
            raise Violation(f"{id_} is skipped, which a policy refuses")
        if row["status"] == "paused" and before["status"] in RUNNING:
            self._paused(watch, id_, row)

    def _approved_twice(self, id_: str, before: Row, row: Row) -> None:
        """Whatever puts a run on its way has two different approvers."""
        for (then, *_), (now, _, user, *_) in pairwise(row["history"][max(0, len(before["history"]) - 1) :]):
            if now == "approved":
                kind = "approve" if then == "pending_approval" else "retry"
            elif then == "paused" and now in RUNNING:
                kind = "resume"
            else:
                continue
            first = row.get("approval")
            if user in ITSELF:
                continue
            shown = bool(row.get("late")) or (first is not None and first[3] == row.get("revision", 0))
            if first is None or first[0] == user or not shown or first[4] != kind:
                raise Violation(f"{id_}: {kind} by {user}, the first approval is {first}")

    def _opened(self, id_: str, row: Row) -> None:
        imported = "imported" in id_  # from elsewhere: it was decided there, or waits for a person
        budget = None if imported else self.demanded.opened(id_, row)
        if budget is not None and id_ in self._stretches:
            self._stretches[id_].budget = budget

    def _previewed(self, watch: Watch, id_: str) -> None:
        stored = frozenset(watch.units_of(id_))
        if watch.late(id_) and stored >= self.said[id_][-1]:  # nobody is asked: it grows by what gathers
            self.said[id_].append(stored)
        if stored != self.said[id_][-1]:
            raise Violation(f"the preview of {id_} is {sorted(stored)}, Discovery said {sorted(self.said[id_][-1])}")

    def _follow(self, id_: str, before: Row | None, row: Row) -> None:
        """A new stretch begins with an approval and with each resumption."""
        seen = len(before["history"]) if before else 0
        paused = before is not None and before["status"] == "paused"
        for number, (status, *_) in enumerate(row["history"][seen:], start=seen + 1):
            if status == "approved" or (paused and status in RUNNING):
                self._stretches[id_] = Stretch(number, row["replayed"])
            paused = status == "paused"

    def _paused(self, watch: Watch, id_: str, row: Row) -> None:
        states = [unit["state"] for unit in watch.units_of(id_).values()]
        stuck = "outstanding" not in states
        if (stuck and "set_aside" not in states) or any(state in BUSY for state in states):
            raise Violation(f"{id_} is paused with units {states}")
        *history, (_, at, user, *_) = row["history"]
        stretch = self._stretches[id_]
        if user == "maestro" and not stuck and stretch.budget is not None and not stretch.used_up(row, history, at):
            raise Violation(f"{id_} is paused though its budget is not used up")

    def _replay_begins(self, change: Change, id_: str, unit: Row) -> None:
        row, before = change.watch.documents[id_], change.documents.get(id_, change.watch.documents[id_])
        if row["status"] not in RUNNING:
            raise Violation(f"a replay of {id_} begins while it is {row['status']}")
        unchanged = before is not None and len(before["history"]) == len(row["history"])
        for asked in ("cancelling", "pausing"):
            if unchanged and before.get(asked):
                raise Violation(f"a replay of {id_} begins though somebody is {asked} it")
        if self._stretches[id_].used_up(row, row["history"], unit["sent_at"]):
            raise Violation(f"a replay of {id_} begins beyond its budget, {self._stretches[id_].budget}")

    # --- what is answered -------------------------------------------------------------------------------------------

    def granted(self, id_: str, budget: Budget) -> None:
        """Somebody was told that the run goes on, as far as this, and as the first of two approvers granted."""
        first = self._first.pop(id_, Budget())
        limits = zip((first.replays, first.minutes), (budget.replays, budget.minutes), strict=True)
        replays, minutes = (min((one for one in pair if one is not None), default=None) for pair in limits)
        self._stretches[id_].budget = Budget(replays, minutes)  # type: ignore[arg-type]

    def told(self, id_: str, row: Row) -> None:
        """Somebody was shown the document as a decision left it."""
        self._told[id_] = _state(row)

    def explained(self, id_: str, added: Iterable[dict[str, str]], removed: Iterable[dict[str, str]]) -> None:
        """Somebody was told what a re-check changed."""
        plus, minus = _keys(added), _keys(removed)
        said = self.said[id_]
        pairs = ((then, now) for n, now in enumerate(said) for then in said[: n + 1])
        if not any((now - then, then - now) == (plus, minus) for then, now in pairs):
            raise Violation(f"a re-check of {id_} is told +{sorted(plus)} -{sorted(minus)}; Discovery said {said}")


def _reconsidered(change: Change, id_: str, before: Row | None, row: Row) -> None:
    """Its event has a new number, behind all others, from the very moment that the document says so."""
    number = row.get("reconsidered", 0)
    if row["status"] != "skipped" or (before or {}).get("reconsidered"):
        raise Violation(f"{id_} is reconsidered, was {before}")
    if change.watch.decided.demanded.two(row) and row["approval"][0] == row["history"][-1][2]:
        raise Violation(f"{id_} is reconsidered by {row['approval'][0]} alone")
    delivery = change.watch.deliveries.get(number)
    if delivery is None or delivery["key"] != f"~reconsider/{id_}":
        raise Violation(f"I1: {id_} is reconsidered as event {number}, which is {delivery}")
    behind = max(change.watch.deliveries.keys() - change.new, default=0)
    if number <= behind:
        raise Violation(f"{id_} is reconsidered as event {number}, ahead of event {behind}")


def _state(row: Row) -> tuple[int, int, bool]:
    return len(row["history"]), row.get("revision", 0), "approval" in row


def _keys(names: Iterable[dict[str, Any]]) -> frozenset[UnitKey]:
    return frozenset((name["instanceId"], name["branch"]) for name in names)
