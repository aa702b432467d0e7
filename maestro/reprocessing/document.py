"""The reprocessing document: what is held, which units are replayed, and how far the run has come.

The document alone decides what is replayed next and when it is over. Its header and its units are saved as
separate rows; nothing in the header grows with the number of units.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from heapq import heapify, heappop, heappush

from maestro.events import MASTER
from maestro.reprocessing.impact import Impacted, Origin, UnitKey
from maestro.reprocessing.status import IN_PROGRESS, LIVE, Status, Trigger, after

MAESTRO = "maestro"
PLATFORM = "platform"
OPEN_BRANCH = "platform:open_branch"


class UnitState(StrEnum):
    """How far a unit's current round has come. Each is stored before the effect that follows it."""

    OUTSTANDING = "outstanding"
    #: A send is recorded; the Event Manager may or may not have it.
    SENDING = "sending"
    #: The Event Manager took it; its persist event is awaited.
    SENT = "sent"
    #: Its result is accepted; Discovery is asked what that impacts.
    ASSESSING = "assessing"
    #: What it impacts is in the document; the result is committed next.
    COMMITTING = "committing"
    DONE = "done"


IN_FLIGHT = frozenset({UnitState.SENDING, UnitState.SENT})


@dataclass(slots=True)
class Unit:
    """One (instance, branch) to replay, with its instance's origin event."""

    #: Place in the document's `events`.
    position: int
    #: Its turn among the outstanding ones; a new round gets a new turn.
    turn: int
    instance_id: str
    branch: str
    forking: bool
    #: JSON of the origin event.
    origin: bytes
    timestamp: str
    state: UnitState = UnitState.OUTSTANDING
    round: int = 1
    #: All sends ever, so that each has a name of its own.
    sends: int = 0
    #: The first send of the current round (results of earlier ones are superseded).
    first_send: int = 1
    #: Seconds since the epoch of the last send the Event Manager took.
    sent_at: float = 0.0
    #: The instance whose result was accepted last: in the current round, or before it.
    result_instance: str = ""
    #: Key of the delivery that brought the result.
    result_key: str = ""
    #: Impacted again after its last allowed round: its result may be stale.
    reimpacted: bool = False
    #: The replay that brought it in (cascade): that unit's position; -1 for the first ones.
    cause: int = -1

    @property
    def key(self) -> UnitKey:
        """What makes it one unit."""
        return (self.instance_id, self.branch)

    def as_origin(self) -> Origin:
        """Return what the unit was made of."""
        return Origin(Impacted(self.instance_id, self.branch, self.forking), self.origin, self.timestamp)

    @property
    def attempts(self) -> int:
        """Sends of the current round."""
        return self.sends - self.first_send + 1

    def begin_send(self) -> None:
        """Record that it is being sent."""
        self.state = UnitState.SENDING
        self.sends += 1

    def begin_round(self, turn: int) -> None:
        """Stand in line for another round: impacted again after it was replayed."""
        self.round += 1
        self.turn = turn
        self.reset()

    def reset(self) -> None:
        """Be outstanding again; results of all sends so far are superseded."""
        self.state = UnitState.OUTSTANDING
        self.first_send = self.sends + 1
        self.result_key = ""


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One change of status: when (seconds since the epoch), by whom, and why when it was for a cause."""

    status: Status
    at: float
    user: str
    cause: str = ""


@dataclass(frozen=True, slots=True)
class Ending:
    """A run's end that is decided, while queues are emptied and the lock is still held."""

    trigger: Trigger
    at: float
    user: str
    cause: str


class Stage(StrEnum):
    """What a document waits for at this moment. Not stored: after a restart it is asked for again."""

    STARTING = "starting"
    QUEUES = "queues"
    HELD_COMMIT = "held_commit"
    SEND = "send"
    IMPACT = "impact"
    ORIGINS = "origins"
    GROWTH = "growth"
    REPLAY_COMMIT = "replay_commit"
    CLEAN_UP = "clean_up"
    ANNOUNCE = "announce"


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
    #: Who asked for it to be cancelled after the current replay; empty when nobody did.
    cancelling: str = ""
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
    #: What is awaited, the token its answer must carry; queues rebuilt in this life (none of it stored).
    stage: Stage | None = None
    token: int = 0
    queues_built: bool = False
    #: Replayed units that the result being assessed impacts again.
    again: tuple[Unit, ...] = ()
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
        return self.status is Status.PENDING or (not self.forking and self.live)

    @property
    def locks(self) -> bool:
        """Whether `proceed` is refused because of it (semantics: I6)."""
        return self.status is Status.RUNNING

    @property
    def on_master(self) -> bool:
        """Whether its data is the trunk's."""
        return self.branch == MASTER

    def move(self, trigger: Trigger, at: float, user: str, cause: str = "") -> None:
        """Change the status by the table and record it. Raises `IllegalTransition`."""
        self.status = after(self.status, trigger)
        self.history.append(HistoryEntry(self.status, at, user, cause))

    def add(self, origins: Iterable[Origin], cause: int = -1) -> list[Unit]:
        """Append units in the order given, as outstanding; return them."""
        added = []
        for origin in origins:
            unit = Unit(
                self.total,
                self.next_turn,
                origin.unit.instance_id,
                origin.unit.branch,
                origin.unit.forking,
                origin.event,
                origin.timestamp,
                cause=cause,
            )
            self.total += 1
            self.next_turn += 1
            self.units[unit.key] = unit
            self.order.append(unit)
            heappush(self.outstanding, (unit.turn, unit.key))
            added.append(unit)
        return added

    def add_round(self, unit: Unit) -> None:
        """Give a replayed unit another round, at the end of the line."""
        unit.begin_round(self.next_turn)
        self.next_turn += 1
        heappush(self.outstanding, (unit.turn, unit.key))

    def release(self) -> None:
        """Let the units go: the document has ended, the store keeps them."""
        self.units, self.order, self.outstanding, self.current = {}, [], [], None

    def load(self, units: Iterable[Unit]) -> None:
        """Take over the stored units, in the order of positions: after a restart, or for a retry."""
        self.order = list(units)
        self.units = {unit.key: unit for unit in self.order}
        waiting = [(unit.turn, key) for key, unit in self.units.items() if unit.state is UnitState.OUTSTANDING]
        heapify(waiting)
        self.outstanding = waiting
        busy = (UnitState.OUTSTANDING, UnitState.DONE)
        self.current = next((unit for unit in self.units.values() if unit.state not in busy), None)

    def take_next(self) -> Unit | None:
        """Make the next outstanding unit the current one; None when no unit is outstanding."""
        while self.outstanding:
            turn, key = heappop(self.outstanding)
            unit = self.units[key]
            if unit.state is UnitState.OUTSTANDING and unit.turn == turn:
                self.current = unit
                return unit
        self.current = None
        return None

    def put_back_current(self) -> None:
        """Make a unit in flight outstanding again, at its own turn; an accepted result is kept and continued."""
        unit = self.current
        if unit is not None and unit.state in IN_FLIGHT:
            unit.reset()
            heappush(self.outstanding, (unit.turn, unit.key))
            self.current = None

    def not_done(self) -> Iterator[Unit]:
        """Yield the units whose replay is not committed, in the order of their turns."""
        left = (unit for unit in self.units.values() if unit.state is not UnitState.DONE)
        yield from sorted(left, key=lambda unit: unit.turn)

    def send_name(self, unit: Unit, send: int | None = None) -> str:
        """Name one send of a unit: unique over the life of the document."""
        return f"{self.id}.{unit.position}.{unit.sends if send is None else send}"

    def is_answer(self, instance_id: str, branch: str, send: str) -> bool:
        """Whether a result or error belongs to the unit in flight, from a send of its current round."""
        unit = self.current
        if unit is None or unit.state not in IN_FLIGHT or instance_id != unit.instance_id:
            return False
        if not send:
            return branch == unit.branch
        return send in (self.send_name(unit, n) for n in range(unit.first_send, unit.sends + 1))

    def unit_of(self, impacted: Impacted) -> Unit | None:
        """Return the document's unit for what Discovery named, if it has one."""
        return self.units.get(impacted.key)
