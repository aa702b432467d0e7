"""One unit of a reprocessing: an instance on a branch that is to be replayed, and how far its replay has come."""

from dataclasses import dataclass
from enum import StrEnum

from maestro.json_text import text_of
from maestro.rules.impact import DISCOVERY, Impacted, Origin, UnitKey


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
    #: It cannot be replayed, so the others go on without it; outstanding all the same.
    SET_ASIDE = "set_aside"
    #: Somebody, or a rule, decided that it is not replayed.
    LEFT_OUT = "left_out"


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Who left a unit out, when (seconds since the epoch), and why."""

    user: str
    at: float
    reason: str


#: Nothing of it is to be done any more.
SETTLED = frozenset({UnitState.DONE, UnitState.LEFT_OUT})
#: Sent, or with a result: its round goes on.
BUSY = frozenset({UnitState.SENDING, UnitState.SENT, UnitState.ASSESSING, UnitState.COMMITTING})
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
    #: JSON of the origin event; empty: Process Memory has none.
    origin: bytes
    timestamp: str
    state: UnitState = UnitState.OUTSTANDING
    round: int = 1
    #: All sends ever, so that each has a name of its own.
    sends: int = 0
    #: The first send of the current round (results of earlier ones are superseded).
    first_send: int = 1
    #: Seconds since the epoch of the last send: when it was begun, then when the Event Manager took it.
    sent_at: float = 0.0
    #: Seconds since the epoch when the current round's result was committed; 0: it is not.
    done_at: float = 0.0
    #: The instance whose result was accepted last: in the current round, or before it.
    result_instance: str = ""
    #: The instances whose results were accepted before that one: none of them answers again.
    former_results: tuple[str, ...] = ()
    #: Key of the delivery that brought the result.
    result_key: str = ""
    #: Impacted again after its last allowed round: its result may be stale.
    reimpacted: bool = False
    #: The commit of its result was called, and is not known not to be made; Domain's outcome says that it is.
    begun: bool = False
    stored: bool = False
    #: The replay that brought it in (cascade): that unit's position; -1 for the first ones, -2: the start of a run.
    cause: int = -1
    #: Number of the ledger's last entry when the current round was sent first: its computation sees that one.
    logged: int = 0
    #: Who named it: Discovery, the ledger or both.
    named: str = DISCOVERY
    #: In a late reprocessing: instances whose commits it missed.
    missed: tuple[str, ...] = ()
    #: How often its process ended in an error, and why the unit cannot be replayed; empty: it can, as far as is known.
    failures: int = 0
    problem: str = ""
    left_out: LeftOut | None = None

    @property
    def settled(self) -> bool:
        """Whether nothing of it is to be done any more: replayed, or left out."""
        return self.state in SETTLED

    @property
    def key(self) -> UnitKey:
        """What makes it one unit."""
        return (self.instance_id, self.branch)

    def as_origin(self) -> Origin:
        """Return what the unit was made of."""
        return Origin(Impacted(self.instance_id, self.branch, self.forking, self.named), self.origin, self.timestamp)

    @property
    def attempts(self) -> int:
        """Sends of the current round."""
        return self.sends - self.first_send + 1

    @property
    def duration(self) -> float | None:
        """Seconds from the send that counted last to the commit of its result; None until then."""
        return max(0.0, self.done_at - self.sent_at) if self.done_at and self.sent_at else None

    def begin_send(self, at: float) -> None:
        """Record that it is being sent."""
        self.state = UnitState.SENDING
        self.sends += 1
        self.sent_at = at

    def accept(self, instance_id: str, key: str) -> None:
        """Take an instance's result as that of the current round; `key` is of the delivery that brought it."""
        if self.result_instance:
            self.former_results += (self.result_instance,)
        self.result_instance, self.result_key = instance_id, key

    def was_answered_by(self, instance_id: str) -> bool:
        """Whether a result of that instance was accepted before, in whichever round: committed, or superseded."""
        return instance_id == self.result_instance or instance_id in self.former_results

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
        self.begun = self.stored = False
        self.done_at = 0.0


def name_of(origin: bytes) -> str:
    """Return the name of an origin event; empty when it is not known, or has none."""
    try:
        return text_of(origin, "name")
    except ValueError:
        return ""
