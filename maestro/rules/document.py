"""The reprocessing document: what is held, which units are replayed, and how far the run has come.

The document alone decides what is replayed next and when it is over. Its header and its units are saved as
separate rows; nothing in the header grows with the number of units.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from heapq import heapify, heappop, heappush

from maestro.events import MASTER
from maestro.messages.decisions import UNLIMITED, Budget, Covers
from maestro.rules.budget import used_up
from maestro.rules.delivery import Sight
from maestro.rules.impact import Impacted, Origin, UnitKey
from maestro.rules.ledger import Footprint
from maestro.rules.policies import Demand
from maestro.rules.preview import Recheck
from maestro.rules.status import IN_PROGRESS, LIVE, Status, Trigger, after
from maestro.rules.unit import BUSY, IN_FLIGHT, Unit, UnitState

MAESTRO = "maestro"
PLATFORM = "platform"
OPEN_BRANCH = "platform:open_branch"
NO_ORIGIN = "no origin event"
#: `Unit.cause` of a unit that a preview showed, and of one that the start of a run brought in.
FIRST, START = -1, -2


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One change of status: when (seconds since the epoch), by whom, and why.

    `cause` is what made it happen, `reason` what the person who decided gave as theirs; both may be empty.
    """

    status: Status
    at: float
    user: str
    cause: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Ending:
    """A run's end that is decided, while queues are emptied and the lock is still held."""

    trigger: Trigger
    at: float
    user: str
    cause: str
    reason: str = ""


class Stage(StrEnum):
    """What a document waits for at this moment. Not stored: after a restart it is asked for again."""

    STARTING = "starting"
    START_IMPACT = "start_impact"
    START_ORIGINS = "start_origins"
    QUEUES = "queues"
    HELD_COMMIT = "held_commit"
    SEND = "send"
    IMPACT = "impact"
    ORIGINS = "origins"
    GROWTH = "growth"
    REPLAY_COMMIT = "replay_commit"
    #: A sibling does not answer: the step is tried again when a wake-up says so.
    OUTAGE = "outage"
    CLEAN_UP = "clean_up"
    LEAVING = "leaving"
    ANNOUNCE = "announce"


@dataclass(frozen=True, slots=True)
class Approval:
    """The first of two approvals: by whom, when (seconds since the epoch) and why, and what exactly was approved."""

    user: str
    at: float
    reason: str
    #: The document's revision when it was approved.
    revision: int
    #: What was asked for: to approve, retry, resume or reconsider.
    kind: str = "approve"
    budget: Budget = UNLIMITED
    #: Id of the token it was given with; empty: none was needed, or it was no token of ours.
    token: str = ""
    #: A second approval has decided: it counts for nothing further.
    spent: bool = False
    #: The approval is for what else becomes pending of its tag, too.
    covers: Covers | None = None
    #: Of a late reprocessing: the digest of the preview that was approved, which may be an earlier one.
    digest: str = ""


@dataclass(slots=True)
class Document:
    """A reprocessing: header, units and progress."""

    id: str
    system_id: str
    #: Its place among the system's documents; oldest first.
    number: int
    tag: str
    branch: str
    #: The pending event opens a branch: approved at once, runs without lock.
    forking: bool
    #: The instance whose commit is held, and its persist event and origin event as JSON (origin may be empty).
    held_instance: str
    pending_event: bytes
    origin: bytes
    status: Status = Status.PENDING
    history: list[HistoryEntry] = field(default_factory=list)
    #: Place in the line of approved ones.
    line: int = 0
    held_committed: bool = False
    #: It replays what is stale already: nothing is held. And how many late runs before led to it, one after the other.
    late: bool = False
    generation: int = 0
    #: The held commit was called, and is not known not to be made; Domain's outcome says that it is.
    held_begun: bool = False
    held_stored: bool = False
    #: What the held commit still needs, once it is made.
    sight: Sight = Sight.NOTHING
    #: A call that set its instance's status text had no answer: the text may come after `finished`, and hide the
    #: instance from Discovery. So `finished` counts only when it is seen some time later, too.
    text_late: bool = False
    #: Its run ended with an accepted result that is not committed, and nothing else was committed since.
    kept: bool = False
    #: Something else of the system was committed since the result of the unit in flight was accepted.
    outdated: bool = False
    #: Of its own commit, held or of the current replay: see `Delivery.beside` and `Delivery.repeated`.
    beside: bool = False
    repeated: bool = False
    #: The instance whose replay named the held one as impacted: that is no unit of its own run. Empty: none did.
    held_named_by: str = ""
    #: Units that Discovery named before their own commits: they are judged once these are made.
    not_finished: tuple[Impacted, ...] = ()
    #: Who asked for it to be cancelled after the current replay; empty when nobody did.
    cancelling: str = ""
    cancel_reason: str = ""
    #: Who asked for it to pause after the current replay; empty when nobody did.
    pausing: str = ""
    pause_reason: str = ""
    #: What it may use up before it pauses, and how many replays were done when that was granted.
    budget: Budget = UNLIMITED
    budget_from: int = 0
    #: Since when it goes on within its budget, in seconds since the epoch; 0: it has not begun to.
    budget_since: float = 0.0
    #: The first of two approvals, where the policy asks for two.
    first_approval: Approval | None = None
    #: Rows that the held commit creates, changes or destroys; None: not known.
    rows: int | None = None
    #: What the policies demanded when they were asked last; None: there were none.
    demand: Demand | None = None
    #: How often its units changed while it was pending.
    revision: int = 0
    #: The number under which its skipped event was taken in again; 0: it was not.
    reconsidered: int = 0
    #: Of a late one: notes of its units left the list, so of one that is on it no more nobody knows why.
    unlisted: bool = False
    ending: Ending | None = None
    #: The notification still owed to the Event Manager after the end: "finished", "droping" or none.
    announce: str = ""
    #: Units, replays done (rounds counted), and units that a cascade added.
    total: int = 0
    replayed: int = 0
    cascaded: int = 0
    next_turn: int = 0
    units: dict[UnitKey, Unit] = field(default_factory=dict)
    #: The same units by position.
    order: list[Unit] = field(default_factory=list)
    #: Outstanding (turn, key), smallest first; entries of a unit that is not outstanding at that turn are stale.
    outstanding: list[tuple[int, UnitKey]] = field(default_factory=list)
    current: Unit | None = None
    #: Units that cannot be replayed and are not left out.
    set_aside: dict[UnitKey, Unit] = field(default_factory=dict)
    #: What is awaited, the token its answer must carry; queues rebuilt in this life (none of it stored).
    stage: Stage | None = None
    token: int = 0
    queues_built: bool = False
    #: Which rows the result being assessed, or the held commit, changes; None: not asked for.
    footprint: Footprint | None = None
    #: What the held commit impacts was asked at this start of the run (not stored: each start asks).
    start_asked: bool = False
    #: Replayed units that the result being assessed impacts again.
    again: tuple[Unit, ...] = ()
    #: The result being committed made the document grow, or may have before a crash (not stored).
    grown: bool = True
    #: The token of the question whether those whose decision covers its tag may still decide (not stored).
    cover_token: int = 0
    #: Discovery is being asked again (not stored).
    recheck: Recheck | None = None
    #: The send whose time is over, while its result may stand in the persist queue (not stored).
    sweeping: str = ""
    #: Questions answered when the end is reached.
    tickets: list[int] = field(default_factory=list)

    @property
    def live(self) -> bool:
        """Not ended."""
        return self.status in LIVE

    @property
    def running(self) -> bool:
        """Between its start and its end."""
        return self.status in IN_PROGRESS

    @property
    def blocks(self) -> bool:
        """Whether it keeps its system from judging events (semantics: Blocked)."""
        if self.status is Status.PENDING:
            return not self.late
        return not self.forking and self.live

    @property
    def locks(self) -> bool:
        """Whether `proceed` is refused because of it (semantics: I6)."""
        return self.status is Status.RUNNING or (self.status is Status.PAUSED and not self.forking)

    @property
    def resting(self) -> bool:
        """Whether it is paused and nobody wants it to end."""
        return self.status is Status.PAUSED and not self.cancelling and self.ending is None

    @property
    def answered(self) -> bool:
        """Whether a send that failed was answered by a result all the same: the result says more."""
        return self.current is None or self.current.state is not UnitState.SENDING

    @property
    def has_asked(self) -> bool:
        """Whether its run has asked whom the commit that comes next impacts, and that commit is not made."""
        if not self.running:
            return False
        if self.current is not None and self.current.state is UnitState.ASSESSING:
            return self.stage in (Stage.IMPACT, Stage.ORIGINS)
        asks = self.stage in (Stage.START_IMPACT, Stage.START_ORIGINS) or self.start_asked
        return (asks and not self.held_committed) or (
            self.current is not None and self.current.state is UnitState.COMMITTING
        )

    @property
    def on_master(self) -> bool:
        """Whether its data is the trunk's."""
        return self.branch == MASTER

    def move(self, trigger: Trigger, at: float, user: str, cause: str = "", reason: str = "") -> None:
        """Change the status by the table and record it. Raises `IllegalTransition`."""
        self.status = after(self.status, trigger)
        self.note(at, user, cause, reason)

    def is_note(self, index: int) -> bool:
        """Whether an entry of the history tells of something that left the status as it was."""
        return index > 0 and self.history[index].status is self.history[index - 1].status

    def note(self, at: float, user: str, cause: str, reason: str) -> None:
        """Record in the history what happened to it in its present status."""
        self.history.append(HistoryEntry(self.status, at, user, cause, reason))

    def approved_since(self, at: float) -> bool:
        """Whether it was approved after that moment, as by a retry (seconds since the epoch)."""
        approved = self.last_move(Status.APPROVED)
        return approved is not None and approved.at > at

    def await_answer(self, stage: Stage, token: int) -> None:
        """Wait for the answer that carries this token."""
        self.stage, self.token = stage, token

    def grant(self, budget: Budget) -> None:
        """Let it use that much from when it goes on."""
        self.budget, self.budget_from, self.budget_since = budget, self.replayed, 0.0

    def budget_used(self, now: float) -> str:
        """Say which part of the budget is used up since the run started or was resumed; empty when none is."""
        seconds = now - self.budget_since if self.budget_since else 0.0
        return used_up(self.budget, self.replayed - self.budget_from, seconds)

    @property
    def since(self) -> float:
        """When its present status was taken: notes in the history since then change nothing about that."""
        return self.taken.at

    @property
    def taken(self) -> HistoryEntry:
        """The entry by which its present status was taken."""
        return self.last_move() or self.history[-1]

    def last_move(self, *statuses: Status) -> HistoryEntry | None:
        """Return the last entry that took one of these statuses, or any: not what was noted in it; None: none did."""
        return next((entry for entry in self.moves() if not statuses or entry.status in statuses), None)

    def moves(self) -> Iterator[HistoryEntry]:
        """Yield the entries that changed its status, the last one first: not what was noted meanwhile."""
        return (self.history[index] for index in reversed(range(len(self.history))) if not self.is_note(index))

    def add(self, origins: Iterable[Origin], cause: int = FIRST) -> list[Unit]:
        """Append units in the order given, as outstanding, those without an origin event set aside; return them."""
        added = []
        for origin in origins:
            unit = Unit(
                self.total, self.next_turn, origin.unit.instance_id, origin.unit.branch, origin.unit.forking,
                origin.event, origin.timestamp, cause=cause, named=origin.unit.named,
            )  # fmt: skip
            self.total += 1
            self.next_turn += 1
            self.units[unit.key] = unit
            self.order.append(unit)
            if unit.origin:
                heappush(self.outstanding, (unit.turn, unit.key))
            else:
                unit.state, unit.problem = UnitState.SET_ASIDE, NO_ORIGIN
                self.set_aside[unit.key] = unit
            added.append(unit)
        return added

    def add_round(self, unit: Unit) -> None:
        """Give a replayed unit another round, at the end of the line."""
        unit.begin_round(self.next_turn)
        self.next_turn += 1
        heappush(self.outstanding, (unit.turn, unit.key))

    def replace_units(self, origins: Iterable[Origin]) -> list[Unit]:
        """Take these units, in the order given, in place of all there were: nothing was replayed yet."""
        self.release()
        self.total = self.next_turn = 0
        return self.add(origins)

    def release(self) -> None:
        """Let the units go: the document has ended, the store keeps them."""
        self.units, self.order, self.outstanding, self.current, self.set_aside = {}, [], [], None, {}

    def load(self, units: Iterable[Unit]) -> None:
        """Take over the stored units, in the order of positions: after a restart, or for a retry."""
        self.order = list(units)
        self.units = {unit.key: unit for unit in self.order}
        waiting = [(unit.turn, key) for key, unit in self.units.items() if unit.state is UnitState.OUTSTANDING]
        heapify(waiting)
        self.outstanding = waiting
        self.set_aside = {key: unit for key, unit in self.units.items() if unit.state is UnitState.SET_ASIDE}
        self.current = next((unit for unit in self.order if unit.state in BUSY), None)

    def take_back(self, unit: Unit) -> None:
        """Make a unit that was set aside outstanding again."""
        del self.set_aside[unit.key]
        unit.state, unit.problem = UnitState.OUTSTANDING, ""
        heappush(self.outstanding, (unit.turn, unit.key))

    def take_next(self) -> Unit | None:
        """Make the next outstanding unit the current one; None when no unit is outstanding."""
        self.current = self.next_unit()
        if self.current is not None:
            heappop(self.outstanding)
        return self.current

    def take_off_line(self, units: Iterable[Unit]) -> None:
        """Have units stand in line for a replay no more."""
        keys = {unit.key for unit in units}
        self.outstanding = [one for one in self.outstanding if one[1] not in keys]
        heapify(self.outstanding)

    def next_unit(self) -> Unit | None:
        """Return the outstanding unit whose turn is next."""
        while self.outstanding:
            turn, key = self.outstanding[0]
            unit = self.units[key]
            if unit.state is UnitState.OUTSTANDING and unit.turn == turn:
                return unit
            heappop(self.outstanding)
        return None

    def put_back_current(self, *, accepted: bool = False) -> None:
        """Make a unit in flight outstanding again, at its own turn; one with an `accepted` result only if told so."""
        unit = self.current
        if unit is not None and (accepted or unit.state in IN_FLIGHT):
            unit.reset()
            heappush(self.outstanding, (unit.turn, unit.key))
            self.current = None

    def not_done(self) -> Iterator[Unit]:
        """Yield the units that are to be replayed or are in flight, in the order of their turns."""
        left = (unit for unit in self.units.values() if unit.state is UnitState.OUTSTANDING or unit.state in BUSY)
        yield from sorted(left, key=lambda unit: unit.turn)

    def send_name(self, unit: Unit, send: int | None = None) -> str:
        """Name one send of a unit: unique over the life of the document."""
        return f"{self.id}.{unit.position}.{unit.sends if send is None else send}"

    def is_answer(self, instance_id: str, branch: str, send: str) -> bool:
        """Whether a result or error belongs to the unit in flight, from a send of its current round."""
        unit = self.current
        if unit is None or unit.state not in IN_FLIGHT or (instance_id, branch) != unit.key:
            return False
        return not send or send in (self.send_name(unit, n) for n in range(unit.first_send, unit.sends + 1))

    def unit_of(self, impacted: Impacted) -> Unit | None:
        """Return the document's unit for what Discovery named, if it has one."""
        return self.units.get(impacted.key)
