"""What ingress and a system say to each other."""

from enum import StrEnum

from maestro.events import ReplayRef
from maestro.messages.error_queue import (
    ErrorsGrouped,
    ErrorsPeeked,
    ErrorsRedriven,
    GroupErrors,
    PeekErrors,
    RedriveErrors,
)
from maestro.messages.item import Item
from maestro.messages.leaving import LeaveAnswered, LeaveAsked


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
