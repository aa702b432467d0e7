"""The questions that the gateway asks a system. Each is answered by an `Answer`."""

from maestro.messages.decisions import Decision
from maestro.messages.error_queue import ShownGroup
from maestro.messages.item import Item


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


class ReportReplayFailure(Item, frozen=True):
    """A replayed process ended in error; `event` is the JSON of the error event."""

    event: bytes


class GetWaiting(Item, frozen=True):
    """One waiting event, with its body."""

    number: int


class GetUnits(Item, frozen=True):
    """The units of a document behind the first `after`, with the last computation of each.

    `positions`: of the units at these, in this order; else of all.
    """

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
    """The answer of the `PersistSync` of this event, key and call did not reach its caller."""

    event: bytes
    key: str = ""
    #: Empty: from a gateway of before it was told.
    call: str = ""


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
