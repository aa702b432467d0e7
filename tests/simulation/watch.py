"""What must always hold, checked from outside: on the rows the store is given, and on the effects that are seen."""

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any

from maestro.rules.impact import Impacted, relevant
from maestro.store.base import Put, Store, Write
from tests.simulation.covered import Covered
from tests.simulation.decided import RUNNING, Change, Decided
from tests.simulation.domain import Instance
from tests.simulation.engine import Violation

Row = dict[str, Any]
_place = attrgetter("table", "key")
#: The tables whose rows are looked at.
FOLLOWED = frozenset({"deliveries", "documents", "covers", "units"})
LIVE = ("pending_approval", "approved", "paused", *RUNNING)
FINAL = ("commit", "pending", "error")


class Watch:
    """Follows one system's rows as they are committed, and judges each effect at the moment it begins or happens."""

    def __init__(self) -> None:
        self.deliveries: dict[int, Row] = {}
        self.documents: dict[str, Row] = {}
        #: Units by document and key.
        self.units: dict[str, dict[str, Row]] = {}
        #: Numbers of the events that wait, and their keys.
        self.waiting: dict[int, str] = {}
        #: Numbers of the events, results of replays aside, whose commits are recorded as done, and their instances.
        self.committed_events: dict[int, str] = {}
        #: When each verdict `commit` was stored, and since when a document blocks, counted in commits to the store.
        self.verdict_at: dict[int, int] = {}
        self.blocking_since: dict[str, int] = {}
        self.commits = 0
        #: Keys of deliveries and ids of documents whose commit was recorded as done.
        self.recorded: set[str] = set()
        #: Events that come back from the error queue after it is forgotten that they were committed.
        self.judged_anew: set[str] = set()
        #: Keys of events that have left the window.
        self.forgotten: set[str] = set()
        #: Keys of replays' results: they have no place in the order.
        self.replays: set[str] = set()
        self.last_verdict = 0
        #: Done events that are remembered.
        self.window = 0
        #: What Discovery named at the present start of each run, and the life and history it was told in.
        #: Commits recorded as done, and how many there were when a run ended with the result of this replay.
        self._commits_recorded = 0
        self._kept: dict[str, tuple[str, int]] = {}
        self._start: dict[str, tuple[int, set[tuple[str, str]]]] = {}
        #: Instances whose results were recorded as committed, in whichever round.
        self._replayed: set[str] = set()
        self.decided = Decided()
        #: Called when a commit is recorded as made.
        self.on_recorded: Callable[[str], None] = lambda _key: None
        self.covered = Covered()

    # --- rows ---------------------------------------------------------------------------------------------------

    def committed(self, writes: Sequence[Write]) -> None:  # noqa: C901 - a case for each table
        """One transaction was stored. What is in it became true at once: the order of its rows means nothing."""
        self.commits += 1
        followed = [write for write in writes if write.table in FOLLOWED]
        if not followed:
            return
        recorded, change, forgotten = self._commits_recorded, Change(self), []
        for write in sorted(followed, key=_place) if len(followed) > 1 else followed:
            row = write.fields if type(write) is Put else None
            match write.table:
                case "deliveries":
                    number = int(write.key)
                    if number not in self.deliveries:
                        change.new.add(number)
                    elif row is None:
                        forgotten.append(self.deliveries[number])
                    self._delivery(number, row)
                case "documents":
                    change.documents[write.key] = self.documents.get(write.key)
                    self._document(write.key, row)
                case "covers":
                    _put(self.covered.covers, write.key, row)
                case "units":
                    change.units[write.key] = self._unit(write.key, row)
        self._forgotten(forgotten)
        for id_, header in change.documents.items():
            if header is not None and header["status"] in (*RUNNING, "paused"):
                self._keeps(id_)
            self._goes_on(id_, recorded)
        if change.documents or change.units:
            self.decided.committed(change)
        for id_, before in change.documents.items():
            self.covered.document(self, id_, before, self.documents[id_])

    def _forgotten(self, rows: Sequence[Row]) -> None:
        """What failed is forgotten when it is delivered anew; what is done, when the window is full of later events.

        What fails, is done and makes way in one transaction was never seen so: it may have been in the window.
        """
        lost = [row["key"] for row in rows if row.get("done") and row["verdict"] != "error"]
        self.forgotten.update(lost)
        if not lost:
            return
        window = sum(bool(row.get("done")) for row in self.deliveries.values()) + len(rows) - len(lost)
        if window < self.window:
            raise Violation(f"I7: {lost} are forgotten while no more than {window} done events are remembered")

    def _delivery(self, number: int, row: Row | None) -> None:
        before = self.deliveries.get(number)
        _put(self.deliveries, number, row)
        _put(self.waiting, number, row["key"] if row and _waits(row) else None)
        _put(self.committed_events, number, row["instance"] if row and _is_committed(row) else None)
        if row is None or self._out_of_order(row):
            return
        verdict = row["verdict"]
        if verdict == "commit":
            self.verdict_at.setdefault(number, self.commits)
            if row.get("done"):
                self._commits_recorded += not (before and before.get("done"))
                self._record(_whose(row))
        if verdict in FINAL and not (before and before["verdict"] in FINAL):
            if number < self.last_verdict:
                raise Violation(f"I2: event {number} is judged after event {self.last_verdict}")
            self.last_verdict = number

    def _out_of_order(self, row: Row) -> bool:
        """Whether it is a result, or was refused for its id at once: one of these is judged when it is redriven."""
        return row["key"] in self.replays or (row["key"].startswith("~other/") and row["verdict"] == "error")

    def _unit(self, key: str, row: Row | None) -> Row | None:
        """Take in a unit's row; return what it was before."""
        units = self.units.setdefault(key.rpartition("/")[0], {})
        before = units.get(key)
        if row is not None and row["state"] == "done" and before is not None:
            self._commits_recorded += before["state"] != "done"
            self._replayed.add(row["result_instance"])
        _put(units, key, row)
        return before

    def _document(self, id_: str, row: Row | None) -> None:
        assert row is not None
        before = self.documents.get(id_)
        self.documents[id_] = row
        if row["held_committed"] and row["held_instance"]:  # nothing is held by a late one
            self._commits_recorded += not (before and before["held_committed"])
            self._record(f"held {id_}")
        if _blocks(row):
            self.blocking_since.setdefault(id_, self.commits)
        else:
            self.blocking_since.pop(id_, None)

    def _record(self, key: str) -> None:
        if key not in self.recorded:
            self.recorded.add(key)
            self.on_recorded(key)

    def _keeps(self, id_: str) -> None:
        """A run has ended, perhaps: an accepted result of it counts as long as nothing else is committed."""
        if self.documents[id_]["status"] in LIVE:
            return
        for unit in self.units.get(id_, {}).values():
            if unit["state"] in ("assessing", "committing"):
                self._kept[id_] = (unit["result_instance"], self._commits_recorded)

    def _goes_on(self, id_: str, recorded: int) -> None:
        """A run without lock starts again, perhaps: a kept result counts if nothing was committed until then.

        From then on it is as any result of such a run: events are committed beside it. `recorded` is how many commits
        were before this transaction; whether one that is in it came before the start cannot be told.
        """
        if self.documents[id_]["status"] != "running_without_lock" or id_ not in self._kept:
            return
        result, then = self._kept.pop(id_)
        for unit in self.units.get(id_, {}).values():
            accepted = unit["state"] in ("assessing", "committing") and unit["result_instance"] == result
            if accepted and recorded > then:
                raise Violation(f"I5: {result} counts in {id_} again, and something was committed since its run ended")

    def restarted(self, store: Store, *, power_lost: bool) -> None:
        """A new owner found `store`: what a loss of power took back was never so."""
        self.deliveries = {int(key): row for key, row in store.rows("deliveries")}
        self.documents = dict(store.rows("documents"))
        self.waiting = {number: row["key"] for number, row in self.deliveries.items() if _waits(row)}
        self.committed_events = {
            number: row["instance"] for number, row in self.deliveries.items() if _is_committed(row)
        }
        self.units = {id_: dict(store.rows("units", f"{id_}/")) for id_ in self.documents}
        self.blocking_since = {
            id_: self.blocking_since.get(id_, self.commits) for id_, row in self.documents.items() if _blocks(row)
        }
        self.verdict_at = {number: at for number, at in self.verdict_at.items() if number in self.deliveries}
        judged = (
            number for number, row in self.deliveries.items() if row["verdict"] in FINAL and not self._out_of_order(row)
        )
        self.last_verdict = max(judged, default=0)
        self.decided.restarted(self)
        self.covered.restarted(dict(store.rows("covers")))
        kept = {_whose(row) for row in self.deliveries.values() if row["verdict"] == "commit" and row.get("done")}
        kept |= {f"held {id_}" for id_, row in self.documents.items() if row["held_committed"] and row["held_instance"]}
        self.recorded = kept if power_lost else self.recorded | kept
        if power_lost:
            self._kept.clear()
            rows = [row for units in self.units.values() for row in units.values()]
            self._replayed &= {instance for row in rows for instance in _results(row)}

    def arrives_anew(self, key: str, instance: str) -> None:
        """A message comes after the window has forgotten what became of its event: it is judged anew.

        One from the error queue is meant so: somebody wants it, though another message of it was committed since it
        failed. Else the platform published it twice, and the second came after a full window of others.
        """
        if f"{key} of {instance}" in self.recorded:
            self.recorded.discard(f"{key} of {instance}")
            self.judged_anew.add(key)

    # --- effects ------------------------------------------------------------------------------------------------

    def commit_begins(self, number: int, key: str) -> None:
        """Flow 1 orders a commit (I3, I7)."""
        row = self.deliveries.get(number)
        if row is None or row["verdict"] != "commit":
            raise Violation(f"the commit of event {number} begins before its verdict is stored")
        if _whose(row) in self.recorded:
            raise Violation(f"I7: the commit of {key} is recorded as done and repeated")
        for id_, since in self.blocking_since.items():
            running = self.documents[id_]["status"] in RUNNING
            if running or since < self.verdict_at[number]:
                raise Violation(f"I3: event {number} is committed while {id_} is {self.documents[id_]['status']}")
        oldest = min(self.waiting, default=number)
        if oldest < number:
            raise Violation(f"I3: event {number} is committed ahead of waiting event {oldest}")

    def held_begins(self, id_: str) -> None:
        """The held commit is ordered (I3, I7)."""
        row = self.documents.get(id_)
        if row is None or row["status"] not in RUNNING:
            raise Violation(f"I3: the held commit of {id_} is made while it is {row and row['status']}")
        self._start_was_asked(id_, row)
        if f"held {id_}" in self.recorded:
            raise Violation(f"I7: the held commit of {id_} is recorded as done and repeated")

    def start_was_told(self, id_: str, named: Sequence[Impacted]) -> None:
        """Discovery names what the held commit of a run impacts at its start."""
        row = self.documents[id_]
        counting = relevant(named, own_instance=row["held_instance"], on_master=row["branch"] == "master")
        self._start[id_] = (_starts(row), {unit.key for unit in counting})

    def _start_was_asked(self, id_: str, row: Row) -> None:
        """Since the run started Discovery was asked, and what it named is in the document."""
        start, named = self._start.get(id_, (0, set()))
        if start != _starts(row):
            raise Violation(f"the held commit of {id_} is made, and Discovery was not asked at this start")
        if missing := named - self.units_of(id_).keys() - self.not_finished(id_):
            raise Violation(f"I5: {id_} commits what is held before {missing} are in it")

    def replay_commit_begins(self, id_: str, replay: Instance, relevant: Sequence[Impacted]) -> None:
        """A replay's commit is ordered: what it impacts must be in the document (I5, I7)."""
        units = self.units_of(id_)
        unit = units[(replay.of, replay.branch)]
        result, then = self._kept.get(id_, ("", 0))
        if result == replay.id and self._commits_recorded > then:
            raise Violation(f"I5: {replay.id} is committed in {id_}, and something else was since its run ended")
        if replay.id in self._replayed:
            raise Violation(f"I7: the result of {replay.id} was committed before, in another round of its unit")
        if unit["state"] == "done":
            raise Violation(f"I7: the commit of replay {replay.id} is recorded as done and repeated")
        for impacted in relevant:
            met = units.get(impacted.key)
            if met is None and impacted.key in self.not_finished(id_):
                continue
            if met is None:
                raise Violation(f"I5: {replay.id} is committed before {impacted.key} is in {id_}")
            if met["state"] == "done" and not met["reimpacted"]:
                raise Violation(f"I5: {replay.id} is committed and {impacted.key} gets no further round in {id_}")

    def not_finished(self, id_: str) -> set[tuple[str, str]]:
        """Return the units that a document lists as named and not finished."""
        return {(instance, branch) for instance, branch, _ in self.documents[id_].get("not_finished", ())}

    def by_hand(self, id_: str) -> bool:
        """Whether a run was ended by hand: what was under way then may come later."""
        row = self.documents.get(id_)
        return row is not None and any(user == "hand" for _, _, user, *_ in row["history"])

    def effect(self, id_: str, what: str, proceed: int) -> None:
        """Something changes on behalf of a run (I6)."""
        row = self.documents.get(id_)
        if row is not None and not row["forking"] and proceed == 200:
            raise Violation(f"I6: {what} of {id_} while proceed says 200 ({row['status']})")

    def decided_by_hand(self, id_: str) -> None:
        """A pending document was approved or skipped: it was the oldest."""
        number = self.documents[id_]["number"]
        for other, row in self.documents.items():
            same_kind = self.late(other) == self.late(id_)
            if row["status"] == "pending_approval" and row["number"] < number and same_kind:
                raise Violation(f"{id_} is decided before the older {other}")

    def late(self, id_: str) -> bool:
        """Whether a document is late: it holds nothing, and blocks nothing while it is pending."""
        return bool(self.documents[id_].get("late"))

    def committed_executions(self) -> set[str]:
        """Return the instances whose commit in flow 1, or as a held one, is recorded as done."""
        held = {row["held_instance"] for row in self.documents.values() if row["held_committed"]}
        return {*self.committed_events.values(), *held} - {""}

    def pending(self) -> Row | None:
        """Return the stored document whose decision is due."""
        pending = (
            row for row in self.documents.values() if row["status"] == "pending_approval" and row["held_instance"]
        )
        return min(pending, key=lambda row: int(row["number"]), default=None)

    def units_of(self, id_: str) -> dict[tuple[str, str], Row]:
        """Return a document's stored units."""
        return {(row["instance_id"], row["branch"]): row for row in self.units.get(id_, {}).values()}


def whose(key: str, instance: str) -> str:
    """Name an event: once an id is forgotten, another one may come with it."""
    return f"{key} of {instance}"


def _whose(row: Row) -> str:
    return whose(row["key"], row["instance"])


def _results(unit: Row) -> set[str]:
    """Return the instances whose results the store says were accepted, but for one that is not committed yet."""
    last = {unit["result_instance"]} if unit["state"] == "done" else set()
    return last | set(unit.get("former_results", ()))


def _starts(row: Row) -> int:
    """How often a run was started."""
    return sum(status == "approved" for status, *_ in row["history"])


def _blocks(row: Row) -> bool:
    if row["status"] == "pending_approval":
        return not row.get("late")
    return row["status"] in LIVE and not row["forking"]


def _waits(row: Row) -> bool:
    return row["verdict"] == "waiting" and not row.get("done")


def _is_committed(row: Row) -> bool:
    return row["verdict"] == "commit" and bool(row.get("done")) and not row.get("replay")


def _put(table: dict[Any, Any], key: Any, row: Any | None) -> None:
    if row is None:
        table.pop(key, None)
    else:
        table[key] = row
