"""The messages between Maestro's processes, and between the gateway and a system: frozen and typed.

Commands are imperative, facts past tense. They travel over the sessions of `maestro.links`, where a tag names the type
of each: nothing that is received can be anything else than one of these.

Imports nothing of Maestro but `maestro.events`.
"""

from enum import StrEnum
from typing import Annotated, Final

from msgspec import Meta, Struct

from maestro.events import ReplayRef

#: How the problem of a part begins that its broker keeps from its work.
BROKER_PROBLEM: Final = "broker: "


class Item(Struct, frozen=True, tag=True, array_like=True):
    """What travels by itself: on the wire it is a list of its type's name and its fields, in their order."""


# --- a system actor takes its leave of ingress and the gateway ---------------------------------------------------


class LeaveAsked(Item, frozen=True):
    """The system is at rest and would end: may it, or is something for it on its way? Answered by `LeaveAnswered`."""


class LeaveAnswered(Item, frozen=True):
    """Whether it may: nothing is on its way to it then, and nothing more will be in this session."""

    granted: bool


# --- questions the gateway asks a system actor, and the answer -------------------------------------------------


class Code(StrEnum):
    """How a question was answered. The gateway maps it to an HTTP status."""

    OK = "ok"  # 200
    ACCEPTED = "accepted"  # 202: will be done, not done yet
    LOCKED = "locked"  # 403: proceed refused
    INVALID = "invalid"  # 400
    NOT_FOUND = "not_found"  # 404
    CONFLICT = "conflict"  # 409
    FAILED = "failed"  # 502: a sibling refused or is out of reach
    UNAVAILABLE = "unavailable"  # 503: this system cannot answer now (its store, its actor)


class Answer(Struct, frozen=True):
    """The answer to one question: JSON for `OK`, `ACCEPTED` and `LOCKED`, else a message for people.

    With `CONFLICT` there may be a JSON object as well: what is different from what was expected.
    """

    code: Code
    body: bytes = b""
    message: str = ""


class Budget(Struct, frozen=True):
    """How far a run may go before it pauses, counted from its start or resumption; None: no limit."""

    replays: int | None = None
    minutes: float | None = None


UNLIMITED = Budget()


class Covers(Struct, frozen=True):
    """The decision is to be taken for what else becomes pending of its tag, soon, and up to a size."""

    #: How it was told who decides (`Principal.via`), and when their credential ends, in seconds since the epoch; None:
    #: it does not.
    via: str = "open"
    expires: float | None = None
    #: Units of the largest document it is taken for; None: as many as the document has that is decided.
    limit: int | None = None
    #: Id of the token of who decides; empty: none is needed, or it is no token of ours.
    token: str = ""


class CheckLock(Item, frozen=True):
    """May events proceed? `OK` with an empty body, or `LOCKED` with the lock's facts."""


class DescribeSystem(Item, frozen=True):
    """State, lock, progress, queue depths and counters, as a JSON object."""

    #: Measure the queues now; else say how deep they were when they were measured last.
    measure: bool = True


class Measure(Item, frozen=True):
    """The system's metrics for `/metrics`: a `maestro.telemetry.metrics.Snapshot` as JSON. Never waits for a broker."""


class ListWaiting(Item, frozen=True):
    """The waiting events, oldest first: those numbered above `after`, at most `limit`."""

    after: int = 0
    limit: int = 100


class ListDeliveries(Item, frozen=True):
    """The webhook deliveries, oldest first: those numbered above `after`, at most `limit`."""

    after: int = 0
    limit: int = 100


class FindDocuments(Item, frozen=True):
    """A JSON list of documents, oldest first; all, or those of one status.

    `after`: only those behind this document; `limit`: at most so many, 0: all. `message` of the answer is the id of the
    last one when there are more.
    """

    status: str = ""
    after: str = ""
    limit: int = 0


class GetDocument(Item, frozen=True):
    """One document; `NOT_FOUND` when this system does not have it.

    `limit`: only so many of its units and events, from position `after` on; 0: all.
    """

    id: str
    after: int = 0
    limit: int = 0


class ListTodo(Item, frozen=True):
    """What waits for a person, the most urgent first; and how deep the error queue is."""


class Waits(StrEnum):
    """Why it waits for a person."""

    PENDING = "pending"
    LATE = "late"
    PAUSED = "paused"
    #: Paused, for what is left cannot be replayed.
    UNREPLAYABLE = "unreplayable"
    DOUBT = "doubt"
    STALLED = "stalled"
    #: Failed or aborted, with work left.
    FAILED = "failed"
    CANCELLED = "cancelled"
    #: Events that failed for good, those of one reason together.
    ERRORS = "errors"
    #: The system does not answer.
    UNAVAILABLE = "unavailable"


#: A text that Maestro says to people, in English; the gateway says it in the language that is asked for.
Said = Annotated[str, Meta(extra={"said": True})]


class TodoItem(Struct, frozen=True, rename="camel", kw_only=True):
    """One thing that waits for a person."""

    kind: Waits
    system: str
    #: When it began, in UTC with its zone; empty: not known.
    since: str = ""
    #: It in one sentence.
    says: Said = ""
    #: The system is locked because of it; so many events wait behind it.
    locked: bool = False
    waiting: int = 0
    reprocessing: str = ""
    #: What its origin says: the event's name in words, and the plain values of its payload.
    event: str = ""
    about: str = ""
    instance_id: str = ""
    branch: str = ""
    #: Units in all, those not done, and those that cannot be replayed.
    units: int = 0
    left: int = 0
    set_aside: int = 0
    #: Of two approvals: who gave the first.
    approved_by: str = ""
    #: Key of a commit in doubt, or of a group of the error queue; the sibling that a stalled system waits for.
    key: str = ""
    sibling: str = ""
    cause: Said = ""
    #: Messages of the error queue that failed for this reason.
    count: int = 0
    #: Of what is pending: the digest that binds a decision to its preview.
    digest: str = ""


def urgency(item: TodoItem) -> tuple[bool, bool, str]:
    """Sort by it: what holds the lock, what events wait behind, the rest; the oldest first."""
    return (not item.locked, not item.waiting, item.since or "~")


class ListRecords(Item, frozen=True):
    """The documents as a history lists them, newest first: those that fit, at most `limit`."""

    status: str = ""
    #: Part of the name of somebody who decided; part of anything that it says.
    user: str = ""
    text: str = ""
    #: When they were held: from when on, and before when; in seconds since the epoch.
    since: float | None = None
    until: float | None = None
    #: Only those behind this `cursor` of a record.
    before: str = ""
    limit: int = 50


def place_of(cursor: str) -> tuple[int, str]:
    """Return where the record of a `cursor` stands: when it was held, in microseconds, and its id.

    Raises:
        ValueError: it is no cursor of a record.
    """
    at, _, id_ = cursor.partition(".")
    return int(at), id_


class Approve(Item, frozen=True):
    """Approve the pending reprocessing. Answers the document."""

    id: str
    user: str
    reason: str = ""
    #: Digest of the preview that was seen; empty: approve whatever there is.
    digest: str = ""
    budget: Budget = UNLIMITED
    #: Id of the token of who asks; empty: none is needed, or it is no token of ours.
    token: str = ""
    covers: Covers | None = None


class Skip(Item, frozen=True):
    """Skip the pending reprocessing: its commit is dropped. Answers the document."""

    id: str
    user: str
    reason: str = ""
    covers: Covers | None = None
    #: Digest of the preview that was seen; empty: skip whatever there is.
    digest: str = ""


class Retry(Item, frozen=True):
    """Approve a failed, aborted or cancelled reprocessing again. Answers the document."""

    id: str
    user: str
    reason: str = ""
    budget: Budget = UNLIMITED
    #: Id of the token of who asks; empty: none is needed, or it is no token of ours.
    token: str = ""


class Cancel(Item, frozen=True):
    """Cancel an approved or paused reprocessing, or a running one after its current replay. Answers the document."""

    id: str
    user: str
    reason: str = ""


class Pause(Item, frozen=True):
    """Pause a running reprocessing after its current replay. Answers the document."""

    id: str
    user: str
    reason: str = ""


class Resume(Item, frozen=True):
    """Go on with a paused reprocessing, as far as `budget` goes. Answers the document."""

    id: str
    user: str
    reason: str = ""
    budget: Budget = UNLIMITED
    #: Id of the token of who asks; empty: none is needed, or it is no token of ours.
    token: str = ""


class Recheck(Item, frozen=True):
    """Ask Discovery again about a pending reprocessing. Answers the document, with `added` and `removed` units."""

    id: str
    user: str


class Reconsider(Item, frozen=True):
    """Judge the event of a skipped reprocessing again. Answers what became of it, as `PersistSync` does."""

    id: str
    user: str
    reason: str = ""
    #: Id of the token of who asks; empty: none is needed, or it is no token of ours.
    token: str = ""


class LeaveOut(Item, frozen=True):
    """Leave outstanding units out of a paused, failed, aborted or cancelled reprocessing. Answers the document."""

    id: str
    user: str
    #: (instanceId, branch)
    units: tuple[tuple[str, str], ...]
    reason: str = ""


class SetStatus(Item, frozen=True):
    """Override a status by hand. Answers the document."""

    id: str
    status: str
    user: str
    reason: str = ""
    #: Id of the token of who asks; empty: none is needed, or it is no token of ours.
    token: str = ""


class ReportReplayFailure(Item, frozen=True):
    """A replayed process ended in error; `event` is the JSON of the error event."""

    event: bytes


class GetWaiting(Item, frozen=True):
    """One waiting event, with its body."""

    number: int


class GetUnits(Item, frozen=True):
    """The units of a document from position `after` on, or those at `positions`; with the last computation of each."""

    id: str
    after: int = 0
    limit: int = 100
    positions: tuple[int, ...] = ()


class FindUnits(Item, frozen=True):
    """The units of a document that fit, in their order: so many behind the first `after`; and counts of all of them.

    `process`: the name of the origin event; `period`: how its timestamp begins; `text`: part of what the unit says.
    """

    id: str
    process: str = ""
    branch: str = ""
    period: str = ""
    state: str = ""
    text: str = ""
    after: int = 0
    limit: int = 100


class GetReplays(Item, frozen=True):
    """The units of a document from position `after` on, each with the instances that computed it again."""

    id: str
    after: int = 0
    limit: int = 100


class GetHeldInstance(Item, frozen=True):
    """Which instance's commit a document holds. Answers `systemId` and `instanceId`."""

    id: str


class ListPolicies(Item, frozen=True):
    """The policies that are for this system, in the order of the configuration."""


class ExplainPolicies(Item, frozen=True):
    """Each policy held against a document as it is now: whether it applies, why, and what follows from all of them."""

    id: str


class ListSkipped(Item, frozen=True):
    """The skipped events, oldest first: those numbered above `after`, at most `limit`."""

    after: int = 0
    limit: int = 100


class ListStale(Item, frozen=True):
    """The units whose results are not known to be fresh, oldest note first; those of one `state`, or all."""

    state: str = ""
    after: int = 0
    limit: int = 100


class AwaitChange(Item, frozen=True):
    """The system and its live document once its version is not `after` any more; at once without `after`.

    The answer's message names the version; its body is empty when nothing changed for `seconds`.
    """

    after: str
    seconds: float


class ListErrors(Item, frozen=True):
    """The oldest messages of the persist error queue, at most `limit`; they stay there.

    `group`: of this group only (empty: of all); `after`: so many of these are left out, the oldest.
    """

    limit: int = 20
    group: str = ""
    after: int = 0


class ListErrorGroups(Item, frozen=True):
    """The messages of the persist error queue, those that failed alike together: the groups behind `after`, so many.

    The oldest `look` messages are looked at, as far as so many can be.
    """

    look: int
    after: int = 0
    limit: int = 100


class ShownGroup(Struct, frozen=True):
    """A group of the persist error queue as somebody was shown it: its oldest `count` messages have this digest."""

    key: str
    count: int
    digest: str


class Redrive(Item, frozen=True):
    """Give messages of the persist error queue back to be judged again: those of `ids`, or of `groups`, else all."""

    ids: tuple[str, ...]
    user: str
    groups: tuple[ShownGroup, ...] = ()


class ReadStore(Item, frozen=True):
    """What the system's store holds: without a `table` the tables; of one the documents that fit all of `where`.

    Those with keys behind `after` (empty: all), at most `limit`; with `key` that one. See `maestro.store.reading`.
    """

    table: str = ""
    key: str = ""
    where: tuple[str, ...] = ()
    after: str = ""
    limit: int = 100


class CopyStore(Item, frozen=True):
    """Write a copy of the system's store beside it, whole, while it stays in use. See `maestro.store.copies`."""


class ListDoubts(Item, frozen=True):
    """The commits in doubt, oldest first, and the last ones that were resolved."""


class ResolveDoubt(Item, frozen=True):
    """Say what became of a commit in doubt: `verdict` is `made` or `make_again`. Answers the doubt."""

    key: str
    user: str
    reason: str
    verdict: str


class SetAside(Item, frozen=True):
    """Put the event that a stalled system has in hand on its error queue. Answers which event that is."""

    user: str
    reason: str = ""


class PersistSync(Item, frozen=True):
    """Judge one persist event (its JSON) and answer when it is decided."""

    event: bytes
    #: The caller's `Idempotency-Key`; empty: the event's own bytes tell whether it is asked again.
    key: str = ""
    #: Names the call: asked again with it, this is the same question.
    call: str = ""
    #: Answer at once, if only that it waits.
    impatient: bool = False


class ForgetAnswer(Item, frozen=True):
    """The answer of a `PersistSync` of this event and key did not reach its caller."""

    event: bytes
    key: str = ""


#: What a person decides about one document.
Decision = Approve | Skip | Retry | Cancel | Pause | Resume | Recheck | Reconsider | LeaveOut | SetStatus
Question = (
    CheckLock
    | DescribeSystem
    | Measure
    | ListWaiting
    | ListDeliveries
    | FindDocuments
    | GetDocument
    | Decision
    | GetWaiting
    | GetHeldInstance
    | GetReplays
    | GetUnits
    | FindUnits
    | ListPolicies
    | ExplainPolicies
    | ListSkipped
    | ListStale
    | ListTodo
    | ListRecords
    | ListErrors
    | ListErrorGroups
    | Redrive
    | ListDoubts
    | ReadStore
    | CopyStore
    | ResolveDoubt
    | SetAside
    | AwaitChange
    | ReportReplayFailure
    | PersistSync
    | ForgetAnswer
)
#: Questions that are no sign that a system is needed: a system at rest is not woken for them, nor kept awake by them.
UNOBTRUSIVE = (CheckLock, DescribeSystem, ListTodo, Measure, AwaitChange)

# --- ingress and a system actor -------------------------------------------------------------------------------


class Source(StrEnum):
    """Which queue a delivery came from."""

    PERSIST = "persist"
    WAIT = "wait"


class Arrived(Item, frozen=True):
    """One delivery of a system's persist or wait queue. `ref` names it within one life of the ingress actor."""

    ref: int
    source: Source
    body: bytes
    redelivered: bool
    #: It carries `x-maestro-error`: somebody moved it back from an error queue.
    redriven: bool = False
    #: It waited, or was handed out, before these events were adopted: another installation may have made its commit.
    foreign: bool = False
    #: When ingress got it, in seconds since the epoch.
    at: float = 0.0
    #: What Maestro itself marked it with when it put it on the queue it comes from; empty: it did not.
    mark: str = ""


class Ended(Item, frozen=True):
    """An outcome: the platform says that an instance ended (see `facts.InstanceEnded`). Settled by `Ack`."""

    ref: int
    instance_id: str
    name: str
    version: str
    branch: str
    replay: ReplayRef | None
    stored: bool = False
    cause: str = ""


class WaitQueueDrained(Item, frozen=True):
    """The wait queue is fed and has nothing ready and nothing unsettled."""


class Ack(Item, frozen=True):
    """Acknowledge a delivery."""

    ref: int


class Park(Item, frozen=True):
    """Publish to the wait queue, confirm, then acknowledge `refs`. Answered by `Parked`."""

    key: str
    body: bytes
    refs: tuple[int, ...]


class DeadLetter(Item, frozen=True):
    """Publish to an error queue with the reason, confirm, then acknowledge `refs`. Answered by `DeadLettered`."""

    key: str
    body: bytes
    reason: str
    #: To `events.publish_error` rather than the system's own error queue.
    no_event: bool
    refs: tuple[int, ...]
    #: The event's number; 0: it was not admitted.
    number: int = 0
    #: Key of the doubt that its commit is in; empty: it is in none.
    doubt: str = ""


class SweepPersist(Item, frozen=True):
    """Answer `PersistSwept` once all that stands in the persist queue now was delivered."""

    id: str
    send: str


class PersistSwept(Item, frozen=True):
    """All that stood in the persist queue when it was asked was delivered before this."""

    id: str
    send: str


class FeedWaitQueue(Item, frozen=True):
    """Consume the wait queue (`on`), or stop and give back what is unsettled of it."""

    on: bool


class Parked(Item, frozen=True):
    """The event of `key` is on the wait queue, confirmed."""

    key: str


class DeadLettered(Item, frozen=True):
    """The event of `key` and `number` is on its error queue, confirmed."""

    key: str
    number: int


class MeasureQueues(Item, frozen=True):
    """Ask how deep the system's queues are. Answered by `QueuesMeasured`."""


class QueuesMeasured(Item, frozen=True):
    """Ready messages by queue; -1 when the queue is missing, nothing at all when the broker is out of reach."""

    depths: tuple[tuple[str, int], ...]


class PeekErrors(Item, frozen=True):
    """Look at the error queue's oldest messages. Answered by `ErrorsPeeked`."""

    request: int
    limit: int
    group: str = ""
    after: int = 0


class GroupErrors(Item, frozen=True):
    """Put the error queue's oldest `look` messages together by why they failed. Answered by `ErrorsGrouped`."""

    request: int
    look: int
    after: int
    limit: int


class ErrorMessage(Struct, frozen=True):
    """A message on the error queue: its headers as text, its size in bytes, and the beginning of its body."""

    id: str
    headers: tuple[tuple[str, str], ...]
    size: int
    body: bytes


class ErrorsPeeked(Item, frozen=True):
    """The oldest messages, and how many there are; `problem` says why the broker did not tell."""

    request: int
    messages: tuple[ErrorMessage, ...]
    total: int
    problem: str = ""


class ErrorGroup(Struct, frozen=True):
    """Messages of an error queue that failed alike: `reason` is the oldest one's."""

    key: str
    reason: str
    count: int
    #: When the first and the last of them failed, ISO 8601; empty: one of them came before that was noted.
    first: str
    last: str
    #: Names of the events, some of them.
    events: tuple[str, ...]
    #: The instance of the oldest.
    instance_id: str
    #: Their commits are in doubt: no group redrives them.
    doubt: bool
    #: Binds a redrive to these messages.
    digest: str


class ErrorsGrouped(Item, frozen=True):
    """Groups, the one with the oldest message first, and how many; of how many messages, and of which looked at."""

    request: int
    groups: tuple[ErrorGroup, ...]
    count: int
    total: int
    looked_at: int
    problem: str = ""


class RedriveErrors(Item, frozen=True):
    """Publish messages of the error queue to the persist queue. Answered by `ErrorsRedriven`.

    Those of `ids`, or of `groups`, if these are what was shown; all when there are neither.
    """

    request: int
    ids: tuple[str, ...]
    user: str
    groups: tuple[ShownGroup, ...] = ()


class ErrorsRedriven(Item, frozen=True):
    """So many were redriven; `missing` ids were not found; `problem` says why the broker did not go on.

    `changed`: nothing was redriven, for a group is not what was shown; why.
    """

    request: int
    count: int
    missing: tuple[str, ...]
    problem: str = ""
    changed: str = ""


OfIngress = (
    Arrived
    | Ended
    | WaitQueueDrained
    | Parked
    | DeadLettered
    | PersistSwept
    | QueuesMeasured
    | ErrorsPeeked
    | ErrorsGrouped
    | ErrorsRedriven
    | LeaveAnswered
)
ToIngress = (
    Ack
    | Park
    | DeadLetter
    | SweepPersist
    | FeedWaitQueue
    | MeasureQueues
    | PeekErrors
    | GroupErrors
    | RedriveErrors
    | LeaveAsked
)

# --- a system actor and the cascade actor ---------------------------------------------------------------------


class EnqueueReprocessing(Item, frozen=True):
    """Publish an approved document, in line on the reprocessing queue."""

    op: int
    document: bytes
    id: str


class DequeueReprocessing(Item, frozen=True):
    """Take the document `id`, every copy of it, off the reprocessing queue; others stay in their order."""

    op: int
    id: str


class EnqueueUnits(Item, frozen=True):
    """Publish units to the events and the control queue, all confirmed. `fresh`: empty both first.

    Those of `in_flight` are sent already: to the control queue only.
    """

    op: int
    #: (unit id, event JSON)
    units: tuple[tuple[str, bytes], ...]
    fresh: bool
    in_flight: tuple[tuple[str, bytes], ...] = ()


class DequeueUnit(Item, frozen=True):
    """Take the unit `id`, and whatever stands before it, off the events queue: its send is stored."""

    op: int
    id: str


class DequeueControl(Item, frozen=True):
    """Take one message off the control queue: a replay is persisted."""

    op: int


class EmptyUnitQueues(Item, frozen=True):
    """Empty the events and the control queue."""

    op: int


class DeadLetterDocument(Item, frozen=True):
    """Publish a failed document to the reprocessing error queue."""

    op: int
    document: bytes
    id: str


class CascadeDone(Item, frozen=True):
    """The operation is done; `problem` says why it failed for good (returned or nacked), empty when it did not."""

    op: int
    problem: str = ""


ToCascade = (
    EnqueueReprocessing
    | DequeueReprocessing
    | EnqueueUnits
    | DequeueUnit
    | DequeueControl
    | EmptyUnitQueues
    | DeadLetterDocument
)
