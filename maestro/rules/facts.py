"""What happened: the inputs of the machine. Past tense, frozen. When it happened is said beside the fact.

A fact that answers a command carries the command's `token`; the answer to a superseded command is ignored.
"""

from collections.abc import Callable, Mapping
from typing import Final

from msgspec import Struct

from maestro.events import ReplayRef
from maestro.messages.decisions import Cancel, Decision, Pause, Recheck
from maestro.rules.commands import Topic
from maestro.rules.doubt import CommitEnd, Finding
from maestro.rules.facts_of_people import Approved as Approved
from maestro.rules.facts_of_people import Cancelled as Cancelled
from maestro.rules.facts_of_people import DecidersChecked as DecidersChecked
from maestro.rules.facts_of_people import DoubtResolved as DoubtResolved
from maestro.rules.facts_of_people import LeaveOutAsked as LeaveOutAsked
from maestro.rules.facts_of_people import PauseAsked as PauseAsked
from maestro.rules.facts_of_people import RecheckAsked as RecheckAsked
from maestro.rules.facts_of_people import RecheckFailed as RecheckFailed
from maestro.rules.facts_of_people import RecheckFound as RecheckFound
from maestro.rules.facts_of_people import RecheckOriginsFetched as RecheckOriginsFetched
from maestro.rules.facts_of_people import ReconsiderAsked as ReconsiderAsked
from maestro.rules.facts_of_people import ResumeAsked as ResumeAsked
from maestro.rules.facts_of_people import Retried as Retried
from maestro.rules.facts_of_people import Skipped as Skipped
from maestro.rules.facts_of_people import StatusSet as StatusSet
from maestro.rules.facts_of_siblings import AskAgainFailed as AskAgainFailed
from maestro.rules.facts_of_siblings import AskedAgain as AskedAgain
from maestro.rules.facts_of_siblings import CanaryAsked as CanaryAsked
from maestro.rules.facts_of_siblings import FinishedRefused as FinishedRefused
from maestro.rules.facts_of_siblings import FinishedSet as FinishedSet
from maestro.rules.facts_of_siblings import FollowingKnown as FollowingKnown
from maestro.rules.facts_of_siblings import FootprintFound as FootprintFound
from maestro.rules.facts_of_siblings import InstanceEnded as InstanceEnded
from maestro.rules.facts_of_siblings import LateOriginsFetched as LateOriginsFetched
from maestro.rules.facts_of_siblings import Looked as Looked
from maestro.rules.facts_of_siblings import LookFailed as LookFailed
from maestro.rules.facts_of_siblings import Notified as Notified
from maestro.rules.facts_of_siblings import OldestEntriesFound as OldestEntriesFound
from maestro.rules.facts_of_siblings import OutboxMessageBegun as OutboxMessageBegun
from maestro.rules.facts_of_siblings import OutboxMessageDone as OutboxMessageDone
from maestro.rules.facts_of_siblings import OutboxMessageRefused as OutboxMessageRefused
from maestro.rules.facts_of_siblings import OutboxMessageUnanswered as OutboxMessageUnanswered
from maestro.rules.facts_of_siblings import OwedFetched as OwedFetched
from maestro.rules.facts_of_siblings import QueuesUpdated as QueuesUpdated
from maestro.rules.facts_of_siblings import SetAside as SetAside
from maestro.rules.facts_of_siblings import Unanswered as Unanswered
from maestro.rules.facts_of_siblings import UnitRefused as UnitRefused
from maestro.rules.impact import Impacted, Origin
from maestro.rules.ledger import Footprint


class Resumed(Struct, frozen=True):
    """The state was loaded from the store: carry on."""


class Woken(Struct, frozen=True):
    """A wake-up that `WakeAt` ordered is due."""

    topic: Topic
    key: str


class EventArrived(Struct, frozen=True):
    """A well-formed persist event of this system was delivered, or handed in by sync persist (`ticket`)."""

    #: What it is known by (see `identity`); empty when it came without an id: then by its fingerprint.
    key: str
    instance_id: str
    name: str
    branch: str
    tag: str
    #: Set when the scope is `reprocessing`.
    replay: ReplayRef | None = None
    ref: int | None = None
    ticket: int | None = None
    from_wait_queue: bool = False
    redelivered: bool = False
    redriven: bool = False
    #: It waited, or was handed out, before these events were adopted from another installation (`maestro adopt`).
    foreign: bool = False
    fingerprint: str = ""
    #: Names the gateway's call of a sync persist: asked again by the same call it is the same one.
    call: str = ""
    #: The caller of a sync persist waits no longer: it is answered at once, if only that the event waits.
    impatient: bool = False


class AnswerLost(Struct, frozen=True):
    """The answer of a sync persist did not reach its caller."""

    fingerprint: str
    #: Names the gateway's call; empty: it is not known, so the latest event of these bytes is meant.
    call: str = ""


class Parked(Struct, frozen=True):
    """An event is on the wait queue, confirmed."""

    key: str


class DeadLettered(Struct, frozen=True):
    """The event that was numbered so is on its error queue, confirmed; redriven from there it has another number."""

    key: str
    number: int


class IngressAttached(Struct, frozen=True):
    """A new session with the ingress actor, of the same life or a later one: earlier references are void."""


class WaitQueueDrained(Struct, frozen=True):
    """The wait queue was fed and holds nothing any more."""


class ImpactFound(Struct, frozen=True):
    """Discovery answered about the event being judged, and the ledger where it has something to say."""

    token: int
    units: tuple[Impacted, ...]
    #: Which rows the commit would change; None: nobody asked.
    footprint: Footprint | None = None
    #: Tries of API core that had failed in this life when Discovery was asked.
    failures: int = 0


class OriginsFetched(Struct, frozen=True):
    """All that a document needs is there: the held event, its origin, its units' origins, and whether it is a fork."""

    token: int
    document_id: str
    pending_event: bytes
    origin: bytes
    origins: tuple[Origin, ...]
    is_fork: bool
    #: Tries of API core that had failed in this life when it had said so.
    failures: int = 0
    #: Rows that the held commit creates, changes or destroys; None: nobody asked, or Domain did not say.
    rows: int | None = None


class JudgingFailed(Struct, frozen=True):
    """A sibling is out of reach past the retries, or refused, while an event was judged."""

    token: int
    cause: str
    #: Who may be out of reach; empty: the event is at fault for certain.
    sibling: str = ""


class Committed(Struct, frozen=True):
    """Domain took the commit of the event being judged; the call took so many seconds."""

    token: int
    took: float = 0.0


class CommitFailed(Struct, frozen=True):
    """A call of a commit (of an event, a held one, a replay's) ended without `ok`."""

    token: int
    end: CommitEnd
    cause: str


class ProofFound(Struct, frozen=True):
    """What a look for proof of a commit brought."""

    token: int
    finding: Finding
    #: When the instance began, in seconds since the epoch, if that was asked and is known.
    began: float | None = None


class StartImpactFound(Struct, frozen=True):
    """Discovery answered what the held instance impacts at the start of a run, and the ledger beside it."""

    id: str
    token: int
    units: tuple[Impacted, ...]
    #: Which rows the held commit would change; None: nobody asked.
    footprint: Footprint | None = None


class HeldCommitted(Struct, frozen=True):
    """Domain took the held commit; the call took so many seconds."""

    id: str
    token: int
    took: float = 0.0


class ReplaySent(Struct, frozen=True):
    """The Event Manager took a replay."""

    id: str
    token: int


class ReplayTimedOut(Struct, frozen=True):
    """No persist event of a replay within `replay_timeout`."""

    id: str
    send: str


class PersistSwept(Struct, frozen=True):
    """All that stood in the persist queue when `SweepPersist` was ordered was delivered before this."""

    id: str
    send: str


class ReplayErred(Struct, frozen=True):
    """The platform reports that a replayed process ended in error."""

    id: str
    instance_id: str
    branch: str
    send: str
    cause: str


class ReplayImpactFound(Struct, frozen=True):
    """Discovery answered about a replay's result, and the ledger beside it."""

    id: str
    token: int
    units: tuple[Impacted, ...]
    #: Which rows the commit would change; None: nobody asked.
    footprint: Footprint | None = None


class ReplayOriginsFetched(Struct, frozen=True):
    """Origins of the units that a run comes to know: at its start, or by a replay's result."""

    id: str
    token: int
    origins: tuple[Origin, ...]


class ReplayCommitted(Struct, frozen=True):
    """Domain took a replay's commit; the call took so many seconds."""

    id: str
    token: int
    took: float = 0.0


class RunFailed(Struct, frozen=True):
    """A step of a run failed past its tries: a sibling refused, or is out of reach."""

    id: str
    token: int
    cause: str
    #: Who may be out of reach; empty: the run is at fault for certain.
    sibling: str = ""


Fact = (
    Resumed
    | Woken
    | EventArrived
    | AnswerLost
    | Parked
    | DeadLettered
    | IngressAttached
    | WaitQueueDrained
    | ImpactFound
    | OriginsFetched
    | JudgingFailed
    | Committed
    | CommitFailed
    | ProofFound
    | DoubtResolved
    | CanaryAsked
    | Unanswered
    | Looked
    | LookFailed
    | FinishedSet
    | FinishedRefused
    | AskedAgain
    | AskAgainFailed
    | SetAside
    | OutboxMessageBegun
    | OutboxMessageRefused
    | OutboxMessageUnanswered
    | OutboxMessageDone
    | Approved
    | Skipped
    | DecidersChecked
    | Retried
    | Cancelled
    | PauseAsked
    | ResumeAsked
    | RecheckAsked
    | RecheckFound
    | RecheckOriginsFetched
    | RecheckFailed
    | ReconsiderAsked
    | LeaveOutAsked
    | StatusSet
    | Notified
    | QueuesUpdated
    | StartImpactFound
    | HeldCommitted
    | ReplaySent
    | UnitRefused
    | ReplayTimedOut
    | PersistSwept
    | ReplayErred
    | ReplayImpactFound
    | ReplayOriginsFetched
    | ReplayCommitted
    | FootprintFound
    | OwedFetched
    | LateOriginsFetched
    | OldestEntriesFound
    | InstanceEnded
    | FollowingKnown
    | RunFailed
)

#: The facts of decisions that say no more than the decision does, and whom to answer. The others need what the store
#: alone knows (`maestro.system.decisions`).
PLAIN: Final[Mapping[type[Decision], Callable[..., Fact]]] = {
    Cancel: Cancelled,
    Pause: PauseAsked,
    Recheck: RecheckAsked,
}
