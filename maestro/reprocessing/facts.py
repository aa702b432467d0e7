"""What happened: the inputs of the machine. Past tense, frozen. When it happened is said beside the fact.

A fact that answers a command carries the command's `token`; the answer to a superseded command is ignored.
"""

from msgspec import Struct

from maestro.events import ReplayRef
from maestro.messages import UNLIMITED, Budget, Covers
from maestro.reprocessing.commands import Topic
from maestro.reprocessing.impact import Impacted, Origin, UnitKey
from maestro.reprocessing.ledger import Footprint, Missed, Reads
from maestro.reprocessing.ledger_book import Oldest, Replaced
from maestro.reprocessing.unit import Unit


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
    fingerprint: str = ""
    #: Names the gateway's call of a sync persist: asked again by the same call it is the same one.
    call: str = ""
    #: The caller of a sync persist waits no longer: it is answered at once, if only that the event waits.
    impatient: bool = False


class AnswerLost(Struct, frozen=True):
    """The answer of a sync persist did not reach its caller."""

    fingerprint: str


class Parked(Struct, frozen=True):
    """An event is on the wait queue, confirmed."""

    key: str


class DeadLettered(Struct, frozen=True):
    """The event that was numbered so is on its error queue, confirmed; redriven from there it has another number."""

    key: str
    number: int


class IngressAttached(Struct, frozen=True):
    """A new life of the ingress actor: all deliveries handed out before are void."""


class WaitQueueDrained(Struct, frozen=True):
    """The wait queue was fed and holds nothing any more."""


class ImpactFound(Struct, frozen=True):
    """Discovery answered about the event being judged, and the ledger where it has something to say."""

    token: int
    units: tuple[Impacted, ...]
    #: Which rows the commit would change; None: nobody asked.
    footprint: Footprint | None = None


class OriginsFetched(Struct, frozen=True):
    """All that a document needs is there: the held event, its origin, its units' origins, and whether it is a fork."""

    token: int
    document_id: str
    pending_event: bytes
    origin: bytes
    origins: tuple[Origin, ...]
    is_fork: bool


class JudgingFailed(Struct, frozen=True):
    """A sibling is out of reach past the retries, or refused, while an event was judged or committed."""

    token: int
    cause: str


class Committed(Struct, frozen=True):
    """Domain took the commit of the event being judged."""

    token: int


class Approved(Struct, frozen=True):
    """Somebody asks to approve a pending reprocessing."""

    id: str
    user: str
    ticket: int
    reason: str = ""
    #: The digest of the preview they saw; empty: whatever it is.
    digest: str = ""
    #: The units of that preview, where it is remembered.
    seen: tuple[UnitKey, ...] | None = None
    budget: Budget = UNLIMITED
    #: Id of the token of who asks; whether the token of the first of two approvals was revoked since.
    token: str = ""
    first_revoked: bool = False
    covers: Covers | None = None


class Skipped(Struct, frozen=True):
    """Somebody asks to skip a pending reprocessing."""

    id: str
    user: str
    ticket: int
    reason: str = ""
    covers: Covers | None = None


class DecidersChecked(Struct, frozen=True):
    """Whether those whose decision covers a document's tag may still decide; `problem` says why not, if so."""

    id: str
    token: int
    problem: str


class Retried(Struct, frozen=True):
    """Somebody asks to run a failed, aborted or cancelled reprocessing again; `units` are its stored ones."""

    id: str
    user: str
    ticket: int
    units: tuple[Unit, ...]
    reason: str = ""
    budget: Budget = UNLIMITED
    #: Id of the token of who asks; whether the token of the first of two approvals was revoked since.
    token: str = ""
    first_revoked: bool = False


class Cancelled(Struct, frozen=True):
    """Somebody asks to cancel an approved, running or paused reprocessing."""

    id: str
    user: str
    ticket: int
    reason: str = ""


class PauseAsked(Struct, frozen=True):
    """Somebody asks a running reprocessing to pause after its current replay."""

    id: str
    user: str
    ticket: int
    reason: str = ""


class ResumeAsked(Struct, frozen=True):
    """Somebody asks a paused reprocessing to go on, as far as a new budget allows."""

    id: str
    user: str
    ticket: int
    reason: str = ""
    budget: Budget = UNLIMITED
    #: Id of the token of who asks; whether the token of the first of two approvals was revoked since.
    token: str = ""
    first_revoked: bool = False


class RecheckAsked(Struct, frozen=True):
    """Somebody wants Discovery asked again what a pending reprocessing would change."""

    id: str
    user: str
    ticket: int


class RecheckFound(Struct, frozen=True):
    """Discovery answered again."""

    id: str
    token: int
    units: tuple[Impacted, ...]


class RecheckOriginsFetched(Struct, frozen=True):
    """Origins of the units that Discovery did not name before."""

    id: str
    token: int
    origins: tuple[Origin, ...]


class RecheckFailed(Struct, frozen=True):
    """A sibling is out of reach or refused: what Discovery would say is not known."""

    id: str
    token: int
    cause: str


class ReconsiderAsked(Struct, frozen=True):
    """Somebody wants the event of a skipped reprocessing judged again."""

    id: str
    user: str
    ticket: int
    reason: str = ""
    #: Id of the token of who asks; whether the token of the first of two approvals was revoked since.
    token: str = ""
    first_revoked: bool = False


class LeaveOutAsked(Struct, frozen=True):
    """Somebody wants outstanding units left out of a run that rests or was given up; `stored` are its stored units."""

    id: str
    user: str
    ticket: int
    units: tuple[UnitKey, ...]
    stored: tuple[Unit, ...] = ()
    reason: str = ""


class StatusSet(Struct, frozen=True):
    """Somebody overrides a status by hand."""

    id: str
    status: str
    user: str
    ticket: int
    reason: str = ""
    #: Id of the token of who asks; whether the token of the first of two approvals was revoked since.
    token: str = ""
    first_revoked: bool = False


class Notified(Struct, frozen=True):
    """A notification was sent, refused or given up: the outcome changes nothing."""

    id: str
    token: int


class QueuesUpdated(Struct, frozen=True):
    """The unit queues were filled, grown or emptied as asked; `problem` is set when the broker refused for good."""

    id: str
    token: int
    problem: str


class StartImpactFound(Struct, frozen=True):
    """Discovery answered what the held instance impacts at the start of a run, and the ledger beside it."""

    id: str
    token: int
    units: tuple[Impacted, ...]
    #: Which rows the held commit would change; None: nobody asked.
    footprint: Footprint | None = None


class HeldCommitted(Struct, frozen=True):
    """Domain took the held commit."""

    id: str
    token: int


class HeldCommitFailed(Struct, frozen=True):
    """Domain refused the held commit or is out of reach past the retries."""

    id: str
    token: int
    cause: str


class ReplaySent(Struct, frozen=True):
    """The Event Manager took a replay."""

    id: str
    token: int


class UnitRefused(Struct, frozen=True):
    """The Event Manager has no subscriber for a replay: it will never run."""

    id: str
    token: int
    cause: str


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
    """Domain took a replay's commit."""

    id: str
    token: int


class OwedFetched(Struct, frozen=True):
    """What was owed to an entry of the ledger is there; with a `problem` it cannot be had."""

    number: int
    footprint: Footprint | None = None
    reads: Reads | None = None
    #: Later commits of rows that were read, which the computation did not see.
    missed: tuple[Missed, ...] = ()
    replaces: Replaced | None = None
    problem: str = ""


class OldestEntriesFound(Struct, frozen=True):
    """The oldest entries of the ledger, which take at least as many rows as there are too many."""

    entries: tuple[Oldest, ...]


class InstanceEnded(Struct, frozen=True):
    """The platform says that a process instance ended (an *outcome*): done, or, with a `cause`, in an error."""

    instance_id: str
    #: Name of the event that says so: an operation may be started by it.
    name: str
    version: str
    branch: str
    #: Set when the instance is a replay.
    replay: ReplayRef | None
    #: Domain itself says that it stored the instance's data.
    stored: bool = False
    cause: str = ""
    #: What ingress calls it; it is acknowledged once what it led to is stored.
    ref: int | None = None


class FollowingKnown(Struct, frozen=True):
    """API core said whether the end of a replay's instance starts another operation, or may, when it did not say."""

    id: str
    send: str
    instance_id: str
    follows: bool


class RunFailed(Struct, frozen=True):
    """A step of a run failed for good: a sibling refused, or is out of reach past the retries."""

    id: str
    token: int
    cause: str


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
    | HeldCommitFailed
    | ReplaySent
    | UnitRefused
    | ReplayTimedOut
    | PersistSwept
    | ReplayErred
    | ReplayImpactFound
    | ReplayOriginsFetched
    | ReplayCommitted
    | OwedFetched
    | OldestEntriesFound
    | InstanceEnded
    | FollowingKnown
    | RunFailed
)
