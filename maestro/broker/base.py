"""What Maestro asks of a broker. `RabbitMQBroker` and `EmbeddedBroker` implement it; both pass `tests/contract`.

All methods are called on one asyncio event loop. Every message is durable: a publish returns only after
the broker confirmed it *and* routed it to at least one queue.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Final, Protocol

#: Bytes of a message id: it is a short string of AMQP.
MESSAGE_ID_MAX: Final = 255


class BrokerError(Exception):
    """The broker could not do what was asked; the message says what and why."""


class Unroutable(BrokerError):  # noqa: N818 - the name says what the message is
    """The message was returned (no queue bound to its key) or negatively acknowledged."""


class Unpublishable(BrokerError):  # noqa: N818 - the name says what the message is
    """The broker can never take this message, however often it is tried."""


class BrokerUnavailable(BrokerError):  # noqa: N818 - as above
    """The broker stayed out of reach for the whole time allowed."""


class QueueUnavailable(BrokerUnavailable):
    """The broker has one queue out of reach for now; others it may have."""


def message_id_of(key: str) -> str:
    """Return the message id of what is known by `key`: the key itself, or a hash of one that no broker takes."""
    try:
        raw = key.encode()
    except UnicodeEncodeError:  # a lone surrogate, which JSON may carry
        raw = key.encode(errors="surrogatepass")
    else:
        if len(raw) <= MESSAGE_ID_MAX:
            return key
    return f"~{blake2b(raw, digest_size=16).hexdigest()}"


@dataclass(frozen=True, slots=True)
class Binding:
    """A durable queue and how it hangs on a durable topic exchange; on none when `exchange` is empty.

    The default exchange reaches every queue by its name.
    """

    exchange: str
    pattern: str
    queue: str
    #: The queue's arguments, where it is declared first here.
    arguments: tuple[tuple[str, str | int | bool], ...] = ()
    #: The exchange is somebody else's: it is never declared here, and there may be none.
    foreign: bool = False


@dataclass(frozen=True, slots=True)
class Message:
    """What is published. `message_id` stays the same when an unknown outcome is published again."""

    body: bytes
    message_id: str
    headers: Mapping[str, Any] = field(default_factory=dict)
    #: It is no event from outside (it came from a queue, or is made of what did): `max_event_bytes` does not hold.
    moved: bool = False
    #: The delivery that is sent on: its headers and properties are kept, but where `headers` replace them.
    original: "Delivery | None" = None
    #: Names of headers of the original that are not sent on.
    dropped: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message handed to a consumer, unacknowledged.

    Valid only on the connection it came from: acknowledging one from before a reconnect does nothing, for the
    broker delivers it again.
    """

    queue: str
    body: bytes
    message_id: str
    headers: Mapping[str, Any]
    redelivered: bool
    #: Opaque: identifies the delivery to the broker that made it.
    tag: Any
    #: Why its headers or properties could not be decoded; empty: they could.
    problem: str = ""
    #: Opaque: what else came with it, for the broker that made it.
    properties: Any = None


@dataclass(frozen=True, slots=True)
class Depth:
    """How many messages wait in a queue (`ready`, without unacknowledged ones) and how many consume it."""

    ready: int
    consumers: int


class Consumer(Protocol):
    """A running subscription; survives reconnects, a cancelled consumer and a deleted queue (re-declared)."""

    @property
    def active(self) -> bool:
        """Whether the broker has it as a consumer of its queue, by its last word."""

    @property
    def awaiting(self) -> bool:
        """Whether what was out on a lost connection has yet to come again, and what came meanwhile is held back."""

    async def cancel(self) -> None:
        """Stop deliveries. Those unacknowledged stay so: `ack` or `requeue` them. Twice is no error."""


class Broker(Protocol):
    """Durable queues with topic exchanges, confirmed publishes and explicit acknowledgement."""

    @property
    def connected(self) -> bool:
        """Whether the broker is reachable now."""

    @property
    def blocked(self) -> str:
        """Why the broker takes no publishes for now (short of memory or disk); empty when it does."""

    @property
    def problem(self) -> str:
        """Why the broker is not reachable, or does not let a queue be consumed; empty when all is well."""

    @property
    def unreturned(self) -> int:
        """How many deliveries that were void did not come again in time, so that younger ones went on before them."""

    async def start(self) -> None:
        """Begin connecting, in the background and for ever (with backoff); returns without waiting for success."""

    async def close(self) -> None:
        """Stop consuming, leave unacknowledged deliveries to be redelivered, close. Twice is no error."""

    async def declare(
        self, bindings: Sequence[Binding], exchanges: Sequence[str] = (), *, remember: bool = True
    ) -> None:
        """Declare exchanges and queues now and, when they are to be remembered, again after every reconnect.

        Raises:
            BrokerError: it refused one of these.
            BrokerUnavailable: out of reach for `operation_timeout` seconds; they are declared on reconnect all the
                same.
        """

    async def publish(self, exchange: str, routing_key: str, message: Message) -> None:
        """Publish one persistent, mandatory message and wait for its confirm.

        Many may be under way at once; they reach a queue in the order of the calls unless the connection breaks in
        between. A lost connection or unknown outcome publishes again (same `message_id`) once reconnected.

        Raises:
            Unroutable: returned or nacked by the broker.
            Unpublishable: it is too large or cannot be encoded, or the broker closes the channel over it each time.
            BrokerUnavailable: no confirm within `publish_timeout` seconds.
        """

    async def consume(
        self,
        queue: str,
        prefetch: int,
        on_delivery: Callable[[Delivery], None],
        on_lost: Callable[[], None],
        *,
        exclusive: bool = True,
        ordered: bool = False,
        bindings: Sequence[Binding] = (),
    ) -> Consumer:
        """Consume `queue` with at most `prefetch` unacknowledged deliveries.

        `exclusive` asks to be its only consumer. Nothing rests on that: quorum queues do not enforce it, and a queue
        with a single active consumer is consumed without it.

        `ordered`: what was out when the deliveries became void is delivered again before anything younger, also where
        the broker has it back later; but not for ever (`unreturned`).

        `bindings`: what makes up the queue, for one that is there and was not declared here. It is declared if it
        vanishes, and after every reconnect.

        `on_lost` is called each time the deliveries handed out so far became void (connection or channel lost); the
        broker will redeliver them.
        """

    async def get(self, queue: str) -> Delivery | None:
        """Take the oldest ready message, unacknowledged; None when the queue is empty or does not exist.

        Raises:
            BrokerUnavailable: out of reach for `operation_timeout` seconds.
            QueueUnavailable: the broker has the queue out of reach.
        """

    async def get_some(self, queue: str, count: int) -> list[Delivery]:
        """Take up to `count` of the oldest ready messages, in order, as `get` takes one: in less time than as many."""

    def ack(self, delivery: Delivery) -> None:
        """Acknowledge; void deliveries are ignored."""

    def requeue(self, delivery: Delivery) -> None:
        """Give back, to its original place where the broker can; void deliveries are ignored."""

    async def purge(self, queue: str) -> int | None:
        """Remove all ready messages; return how many, None without such a queue. Raises `BrokerUnavailable`."""

    async def depth(self, queue: str) -> Depth | None:
        """Return the queue's depth, None when it does not exist. Raises `BrokerUnavailable`."""


def trouble(broker: Broker) -> str:
    """Say what keeps a broker from its work; empty when nothing does.

    RabbitMQ tells of an alarm to those connections only that publish while it lasts.
    """
    if broker.problem or not broker.blocked:
        return broker.problem
    return f"RabbitMQ takes no publishes (an alarm of its own): {broker.blocked}"
