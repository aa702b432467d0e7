"""The broker in production: RabbitMQ through pika's asyncio adapter, on the event loop's own thread.

```
RabbitMQBroker ── keeps ──> Session (one connection)
   ├── Declarations   a channel for each round, which many callers share
   ├── Publisher      one channel, confirms
   ├── Subscription*  a channel each, or a share of one when there are many
   ├── Reader         one channel per queue that is read singly
   ├── Looks          a channel for each round of depths, likewise
   └── purge          a channel for each call
```

A channel that the broker closes over one thing so never harms another, and everything that had a channel
gets a new one: after a channel error at once, after a lost connection once all is declared again.
"""

import asyncio
import contextlib
import logging
import random
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Final, TypeVar

from maestro import backoff, logs
from maestro.broker.base import (
    Binding,
    BrokerError,
    BrokerUnavailable,
    Consumer,
    Delivery,
    Depth,
    Message,
    QueueUnavailable,
    Unpublishable,
)
from maestro.broker.rabbitmq_consumer import Subscription
from maestro.broker.rabbitmq_looks import Looks, look
from maestro.broker.rabbitmq_problem import NOT_FOUND
from maestro.broker.rabbitmq_publisher import Publisher
from maestro.broker.rabbitmq_reader import Reader
from maestro.broker.rabbitmq_rounds import Rounds
from maestro.broker.rabbitmq_seats import Seats
from maestro.broker.rabbitmq_session import Channel, ChannelLost, Session, SessionFailed, parameters_of
from maestro.broker.rabbitmq_topology import Declarations
from maestro.settings.servers import BrokerSettings

#: First pause before trying again, in seconds; it doubles up to `reconnect_max`.
FIRST_PAUSE: Final = 0.1
_T = TypeVar("_T")


class RabbitMQBroker:
    """Implements `Broker` on a RabbitMQ server, or on a cluster of them.

    Each attempt to connect is at the next node that the settings name; after a lost connection the first attempt is at
    another node than the one that was lost.

    Raises:
        BrokerError: `settings.url` is no AMQP URL.
    """

    def __init__(self, settings: BrokerSettings) -> None:
        self._settings = settings
        #: Of each node; the first is the one to connect to next.
        self._nodes = deque(parameters_of(settings))
        self._declarations = Declarations()
        self._rounds = Rounds(self._declare)
        self._looks = Looks(self._depths, self._depth)
        self._publisher = Publisher(settings.publish_timeout)
        self._reader = Reader()
        self._seats = Seats()
        self._session: Session | None = None
        self._ready = asyncio.Event()
        #: Connected, but not ready before all is declared.
        self._declaring = False
        self._problem = "not started"
        self._unreturned = 0
        self._subscriptions: set[Subscription] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False
        self._log = logs.get(broker=" ".join(f"{node.host}:{node.port}" for node in self._nodes))

    @property
    def connected(self) -> bool:
        """See `Broker`."""
        return self._session is not None and self._session.is_open

    @property
    def blocked(self) -> str:
        """See `Broker`."""
        return self._session.blocked if self._session is not None else ""

    @property
    def problem(self) -> str:
        """See `Broker`."""
        if not self.connected:
            return self._problem
        refusals = [each.refusal for each in self._subscriptions if each.refusal]
        more = f" (and {len(refusals) - 1} more queues cannot)" if len(refusals) > 1 else ""
        return f"{refusals[0]}{more}" if refusals else ""

    @property
    def unreturned(self) -> int:
        """See `Broker`."""
        return self._unreturned

    def _count_unreturned(self, count: int) -> None:
        self._unreturned += count

    async def start(self) -> None:
        """See `Broker`."""
        # pika tells each failed attempt five times over; what matters of it is in `problem` and our own log.
        logging.getLogger("pika").setLevel(logging.CRITICAL)
        self._problem = "connecting"
        self._own(self._keep_connected())
        self._own(self._keep("publisher", self._serve_publisher))

    async def close(self) -> None:
        """See `Broker`."""
        if self._closed:
            return
        self._closed = True
        self._problem = "closed"
        self._publisher.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._ready.set()  # those who wait for a session learn that none will come

    async def declare(
        self, bindings: Sequence[Binding], exchanges: Sequence[str] = (), *, remember: bool = True
    ) -> None:
        """See `Broker`."""
        if not remember:
            await self._operate(lambda session: self._declarations.declare(session, bindings, exchanges))
            return
        self._declarations.remember(bindings, exchanges)
        if exchanges:
            await self._operate(lambda session: self._declarations.declare(session, (), exchanges))
        await self._rounds.declare(bindings)

    async def publish(self, exchange: str, routing_key: str, message: Message) -> None:
        """See `Broker`. Raises `BrokerError` for a message that is too large or cannot be encoded."""
        if len(message.body) > self._settings.max_event_bytes and not message.moved:
            raise Unpublishable(
                f"a message of {len(message.body)} bytes; max_event_bytes is {self._settings.max_event_bytes}"
            )
        try:
            await self._publisher.publish(exchange, routing_key, message)
        except BrokerUnavailable as unavailable:
            why = f"RabbitMQ takes no publishes: {self.blocked}" if self.blocked else self.problem
            raise BrokerUnavailable(f"{unavailable}; {why}" if why else str(unavailable)) from unavailable

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
        """See `Broker`. When connected, returns after the first attempt to consume; else at once."""
        self._declarations.remember(bindings, ())
        subscription = Subscription(
            queue, prefetch, on_delivery, on_lost, exclusive=exclusive,
            returned_within=self._settings.returned_within if ordered else 0.0, on_unreturned=self._count_unreturned,
        )  # fmt: skip

        async def serve(session: Session) -> bool:
            try:
                wanted = await subscription.serve(self._seats, session)
            except ChannelLost as lost:
                if lost.code == NOT_FOUND:
                    await self._declarations.declare(session, self._declarations.of_queue(queue), ())
                raise
            finally:
                subscription.attempted.set()
            if not wanted:
                self._subscriptions.discard(subscription)
            return wanted

        self._subscriptions.add(subscription)

        self._own(self._keep(f"consumer of {queue}", serve))
        if self.connected:
            try:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._settings.operation_timeout):
                        await subscription.attempted.wait()
            except asyncio.CancelledError:  # nobody will have it
                self._own(subscription.abandon())
                raise
        return subscription

    async def get(self, queue: str) -> Delivery | None:
        """See `Broker`."""
        return next(iter(await self.get_some(queue, 1)), None)

    async def get_some(self, queue: str, count: int) -> list[Delivery]:
        """See `Broker`."""
        return await self._operate(lambda session: self._reader.take(queue, count, session.channel))

    def ack(self, delivery: Delivery) -> None:
        """See `Broker`."""
        channel, tag = delivery.tag
        channel.settle(tag, ack=True)

    def requeue(self, delivery: Delivery) -> None:
        """See `Broker`."""
        channel, tag = delivery.tag
        channel.settle(tag, ack=False)

    async def purge(self, queue: str) -> int | None:
        """See `Broker`."""
        reply = await self._on_queue(lambda channel: channel.call(channel.raw.queue_purge, queue))
        return None if reply is None else int(reply.method.message_count)

    async def depth(self, queue: str) -> Depth | None:
        """See `Broker`."""
        return await self._looks.depth(queue)

    async def _depths(self, queues: Sequence[str], found: dict[str, Depth]) -> None:
        await self._operate(lambda session: look(session, queues, found))

    async def _depth(self, queue: str) -> Depth | None:
        reply = await self._on_queue(lambda channel: channel.call(channel.raw.queue_declare, queue, passive=True))
        return None if reply is None else Depth(reply.method.message_count, reply.method.consumer_count)

    async def _declare(self, bindings: Sequence[Binding]) -> None:
        await self._operate(lambda session: self._declarations.declare(session, bindings, ()))

    async def _on_queue(self, ask: Callable[[Channel], Awaitable[Any]]) -> Any:
        """Ask on a channel of its own; None when the queue does not exist. One out of reach for now is an error."""

        async def attempt(session: Session) -> Any:
            channel = await session.channel()
            try:
                return await ask(channel)
            except ChannelLost as lost:
                if lost.no_queue:
                    return None
                raise
            finally:
                channel.close()

        return await self._operate(attempt)

    async def _operate(self, attempt: Callable[[Session], Awaitable[_T]]) -> _T:
        """Run `attempt` on the live session, again when that is lost, for `operation_timeout` seconds in all.

        The time it takes to declare everything after connecting does not count: that makes progress.
        """
        loop = asyncio.get_running_loop()
        timeout = self._settings.operation_timeout
        deadline = loop.time() + timeout
        while True:
            try:
                async with asyncio.timeout_at(deadline):
                    return await attempt(await self._live_session())
            except ChannelLost as lost:
                if lost.out_of_reach:
                    raise QueueUnavailable(f"out of RabbitMQ's reach for now: {lost}") from lost
                if lost.code:
                    raise BrokerError(f"RabbitMQ refused: {lost}") from lost
                if loop.time() >= deadline and not self._declaring:  # each try ended before its time
                    raise BrokerUnavailable(f"tried for {timeout:g} s in vain: {lost}") from lost
                await asyncio.sleep(FIRST_PAUSE)
            except TimeoutError as problem:
                if not self._declaring:
                    raise BrokerUnavailable(f"no answer from RabbitMQ in {timeout:g} s; {self.problem}") from problem
                deadline = loop.time() + timeout

    async def _live_session(self) -> Session:
        while True:
            await self._ready.wait()
            if self._closed:
                raise BrokerUnavailable("the broker is closed")
            if self._session is not None:  # None: lost again before this task had its turn
                return self._session

    async def _keep_connected(self) -> None:
        """Connect for ever; while a session lives, everybody else works on it."""
        failures = 0
        told = ""
        while True:
            began = asyncio.get_running_loop().time()
            try:
                self._problem = await self._live_once()
                told = ""
            except SessionFailed as failed:
                self._problem = str(failed)
            except Exception as unforeseen:  # noqa: BLE001 - logged; the task must not die of it
                self._problem = f"connecting failed: {unforeseen!r}"
                self._log.exception("broker.connecting_failed")
            if asyncio.get_running_loop().time() - began > self._settings.reconnect_max:
                failures = 0
            if self._problem != told:
                self._log.warning("broker.disconnected", problem=self._problem)
            told = self._problem
            await asyncio.sleep(self._pause(failures))
            failures += 1

    async def _live_once(self) -> str:
        """Open a session, declare everything, and return why the session ended. Raises `SessionFailed`."""
        node = self._nodes[0]
        self._nodes.rotate(-1)
        session = await Session.open(node, self._settings.operation_timeout)
        try:
            await self._declare_all(session)
            self._session = session
            self._ready.set()
            self._log.info("broker.connected", node=f"{node.host}:{node.port}")
            return await session.wait_closed()
        finally:
            self._session = None
            self._ready.clear()
            await session.close()

    async def _declare_all(self, session: Session) -> None:
        self._problem = "declaring queues"
        self._declaring = True
        try:
            await self._declarations.declare_all(session)
        except (ChannelLost, TimeoutError) as problem:
            # What can be used is used: a consumer of the refused queue keeps trying and says so.
            self._log.error("broker.declare_failed", cause=str(problem))
        finally:
            self._declaring = False

    async def _serve_publisher(self, session: Session) -> bool:
        channel = await session.channel()
        try:
            await self._publisher.attach(channel)
            lost = await channel.wait_lost()
        finally:
            channel.close()
        try:
            if lost.code and session.is_open:
                # Closed over a publish: its exchange may have been deleted.
                await self._declarations.declare_all(session)
        finally:
            self._publisher.detach(lost, self._declarations.exchanges)
        return True

    async def _keep(self, what: str, serve: Callable[[Session], Awaitable[bool]]) -> None:
        """Run `serve` on every session, and again when only its channel was lost, until it returns False."""
        failures = 0
        while True:
            session = await self._live_session()
            try:
                if not await serve(session):
                    return
                failures = 0
            except (ChannelLost, TimeoutError) as problem:
                if session.is_open:
                    self._log.warning("broker.channel_failed", what=what, cause=str(problem))
            except Exception:  # noqa: BLE001 - logged; the task must not die of it
                self._log.exception("broker.channel_failed", what=what)
            await asyncio.sleep(self._pause(failures))
            failures += 1

    def _pause(self, failures: int) -> float:
        """Return how long to wait before the next try, in seconds: doubling, with jitter."""
        longest = backoff.pause(failures, FIRST_PAUSE, self._settings.reconnect_max)
        return longest * random.uniform(0.5, 1.0)  # noqa: S311 - no secret

    def _own(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
