"""A reprocessing's document."""

from typing import Any, Final

from msgspec import Struct

from maestro.client.shapes.policies import Demand
from maestro.statuses import LIVE, RUNNING

#: Who moves a reprocessing by itself.
MAESTRO: Final = "maestro"


class Entry(Struct, frozen=True, rename="camel"):
    """One entry of a document's history; `timestamp` is UTC without a zone."""

    status: str
    timestamp: str = ""
    user: str = ""
    cause: str = ""
    reason: str = ""


class Approval(Struct, frozen=True, rename="camel"):
    """The first of two approvals."""

    user: str = ""
    timestamp: str = ""
    reason: str = ""
    #: What was asked for: approve, retry, resume or reconsider.
    decision: str = "approve"
    #: A second approval has decided.
    decided: bool = False


class Unit(Struct, frozen=True, rename="camel"):
    """One instance on a branch that is replayed."""

    instance_id: str
    branch: str = "master"
    forking: bool = False
    state: str = ""
    round: int = 1
    sends: int = 0
    replay_instance_id: str = ""
    #: Position of the unit whose replay brought it in; -1 for the first ones.
    cause: int = -1
    sent_at: str | None = None
    done_at: str | None = None
    #: Seconds.
    duration: float | None = None
    #: Who named it: discovery, ledger or both; in a late reprocessing, whose commits it missed.
    named: str = "discovery"
    missed: tuple[str, ...] = ()


class NotReplayed(Struct, frozen=True, rename="camel"):
    """A unit that cannot be replayed, or is left out: why, and who decided so."""

    instance_id: str
    branch: str = "master"
    problem: str = ""
    user: str = ""
    timestamp: str = ""
    reason: str = ""


class Progress(Struct, frozen=True, rename="camel"):
    """How far a run is."""

    replayed: int = 0
    outstanding: int = 0
    units: int = 0
    cascaded: int = 0


class Budget(Struct, frozen=True, rename="camel"):
    """What a run may use before it pauses, and what it used."""

    replays: int | None = None
    minutes: float | None = None
    replayed: int = 0


class Estimate(Struct, frozen=True, rename="camel"):
    """How long what is left will take, in seconds, and what that is derived from."""

    seconds: float
    basis: str = ""


class Grown(Struct, frozen=True, rename="camel"):
    """A run of the past: the units that were shown at its decision, and the replays that it made."""

    shown: int = 0
    made: int = 0


class Likely(Struct, frozen=True, rename="camel"):
    """How many replays there will be in all: usually, at least, at most; by how many past runs of which event name."""

    units: int
    least: int
    most: int
    runs: int
    name: str = ""
    #: The past run that grew most.
    surprise: Grown = Grown()
    #: How long they will take, in seconds; None: not known.
    seconds: float | None = None


class Event(Struct, frozen=True, rename="camel"):
    """A persist event, or an origin event."""

    # Whatever the platform put there: the origin event is not Maestro's.
    name: Any = None
    payload: Any = None
    instance_id: Any = None
    timestamp: Any = None


class Document(Struct, frozen=True, rename="camel"):
    """A reprocessing. Of one with very many units the stream tells neither these nor the digest."""

    id: str
    system_id: str
    status: str
    branch: str | None = "master"
    tag: str | None = None
    forking: bool = False
    history: tuple[Entry, ...] = ()
    units: tuple[Unit, ...] | None = None
    reimpacted: tuple[Unit, ...] | None = None
    set_aside: tuple[NotReplayed, ...] | None = None
    left_out: tuple[NotReplayed, ...] | None = None
    not_finished: tuple[Unit, ...] | None = ()
    progress: Progress = Progress()
    cancelling: bool = False
    pausing: bool = False
    budget: Budget | None = None
    digest: str | None = None
    reconsidered: int | None = None
    #: Where two different users must approve: who did already.
    first_approval: Approval | None = None
    held_committed: bool = False
    #: Rows that the held commit creates, changes or destroys; None: not known.
    rows: int | None = None
    #: What the policies demanded when they were asked last; None: there were none.
    policies: Demand | None = None
    late: bool = False
    #: The instance whose replay named the held one as impacted.
    held_named_by: str | None = None
    estimate: Estimate | None = None
    #: While it is pending: what past runs say that it will become.
    likely: Likely | None = None
    pending_event: Event = Event()
    origin: Event | None = None
    #: What a re-check changed.
    added: tuple[Unit, ...] = ()
    removed: tuple[Unit, ...] = ()

    @property
    def live(self) -> bool:
        """Not ended."""
        return self.status in LIVE

    @property
    def running(self) -> bool:
        """Neither in line nor paused: a replay may be under way."""
        return self.status in RUNNING

    def is_note(self, index: int) -> bool:
        """Whether an entry of the history tells of something that left the status as it was."""
        return index > 0 and self.history[index].status == self.history[index - 1].status

    @property
    def taken(self) -> Entry | None:
        """The entry of the history by which its present status was taken; None: it has no history."""
        moves = (self.history[at] for at in reversed(range(len(self.history))) if not self.is_note(at))
        return next(moves, None)

    @property
    def decided(self) -> Entry | None:
        """The last entry by which somebody else than Maestro moved it; None: nobody did."""
        moves = (self.history[at] for at in reversed(range(len(self.history))) if not self.is_note(at))
        return next((one for one in moves if one.user != MAESTRO), None)


class EntitiesPage(Struct, frozen=True, rename="camel"):
    """A page of what a commit would write."""

    total: int
    entities: tuple[dict[str, Any], ...] = ()
    next: int | None = None


class Reconsidered(Struct, frozen=True, rename="camel"):
    """What became of a skipped event that was judged again."""

    status: str
    position: int | None = None
    reprocessing: Document | None = None
