"""The broker that needs nothing but Python: durable queues in a folder that several processes share.

Why not a library: persist-queue knows neither exchanges nor which process holds an unacknowledged message
(those come back only when its queue is opened again), and litequeue has no routing, no prefetch, and leaves
the message of a killed consumer locked. SQLite in WAL mode below, with a locked file for each user, gives both.

For trying Maestro and for tests; one machine, a local disk. In production: `maestro.broker.rabbitmq`.
"""

import asyncio
import contextlib
import os
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from maestro import logs
from maestro.broker.base import (
    Binding,
    BrokerError,
    BrokerUnavailable,
    Consumer,
    Delivery,
    Depth,
    Message,
    Unpublishable,
)
from maestro.broker.embedded_file import QueueFile, Row
from maestro.broker.embedded_worker import Feed, Job, Worker
from maestro.settings.servers import BrokerSettings

#: Seconds that a delivery is held back when its callback failed, so that it does not come round in a hot loop.
REQUEUE_PAUSE: Final = 0.5
#: Seconds that closing waits for the worker.
CLOSE_TIMEOUT: Final = 10.0


class Subscription:
    """Implements `Consumer`."""

    def __init__(
        self,
        broker: "EmbeddedBroker",
        feed: Feed,
        on_delivery: Callable[[Delivery], None],
        on_lost: Callable[[], None],
    ) -> None:
        self._broker = broker
        self.feed = feed
        self.on_delivery = on_delivery
        self.on_lost = on_lost
        self.cancelled = False

    @property
    def active(self) -> bool:
        """See `Consumer.active`."""
        return not self.cancelled

    @property
    def awaiting(self) -> bool:
        """See `Consumer.awaiting`. It loses no connection."""
        return False

    async def cancel(self) -> None:
        """See `Consumer.cancel`."""
        if not self.cancelled:
            self.cancelled = True
            await self._broker.unsubscribe(self)


class EmbeddedBroker:
    """Implements `Broker` on a folder. Nothing is opened before `start`, so it may be made before a fork."""

    def __init__(self, directory: Path, settings: BrokerSettings) -> None:
        self._directory = directory
        self._settings = settings
        self._worker: Worker | None = None
        self._pid = 0
        self._subscriptions: dict[str, Subscription] = {}
        self._closed = False
        self._log = logs.get(broker=str(directory))

    @property
    def connected(self) -> bool:
        """See `Broker`."""
        return not self.problem

    @property
    def blocked(self) -> str:
        """See `Broker`: it never is, for what the disk does not take is an error of the publish."""
        return ""

    @property
    def unreturned(self) -> int:
        """See `Broker`: what is void is back in its place in the same moment."""
        return 0

    @property
    def problem(self) -> str:
        """See `Broker`."""
        if self._closed:
            return "closed"
        return "not started" if self._worker is None else self._worker.problem

    async def start(self) -> None:
        """See `Broker`."""
        self._pid = os.getpid()
        loop = asyncio.get_running_loop()
        self._worker = Worker(self._directory, loop, self._deliver, self._tell_lost)
        self._worker.start()

    async def close(self) -> None:
        """See `Broker`. Publishes under way are finished first."""
        worker = self._worker
        if self._closed or worker is None:
            self._closed = True
            return
        self._closed = True
        if os.getpid() != self._pid:
            return
        worker.stop()
        await asyncio.to_thread(worker.join, CLOSE_TIMEOUT)
        if worker.is_alive():
            self._log.warning("broker.close_timed_out")

    async def declare(
        self, bindings: Sequence[Binding], exchanges: Sequence[str] = (), *, remember: bool = True
    ) -> None:
        """See `Broker`. What is declared stays."""
        del remember
        await self._ensure(lambda file, _member: file.declare(bindings, exchanges), durable=True)

    async def publish(self, exchange: str, routing_key: str, message: Message) -> None:
        """See `Broker`. Raises `BrokerError` for a message that is too large, or when the disk is full."""
        if len(message.body) > self._settings.max_event_bytes and not message.moved:
            raise Unpublishable(
                f"a message of {len(message.body)} bytes; max_event_bytes is {self._settings.max_event_bytes}"
            )
        try:
            original = message.original.headers if message.original is not None else {}
            kept = {name: value for name, value in original.items() if name not in message.dropped}
            headers = msgspec.msgpack.encode({**kept, **message.headers})
        except (TypeError, ValueError, OverflowError) as problem:
            raise Unpublishable(f"these headers cannot be stored: {problem}") from problem

        def run(file: QueueFile, _member: int) -> None:
            file.publish(exchange, routing_key, message.message_id, headers, message.body)

        await self._do(run, durable=True, timeout=self._settings.publish_timeout)

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
        """See `Broker`. Begins as soon as the folder is usable. Consumers of one queue share its messages."""
        # What is void is back in its place in the same moment, and no queue vanishes.
        del exclusive, ordered, bindings
        feed = Feed(uuid.uuid4().hex, queue, prefetch)
        subscription = Subscription(self, feed, on_delivery, on_lost)
        self._subscriptions[feed.token] = subscription
        worker = self._live_worker()

        def run(file: QueueFile, member: int) -> None:
            file.add_consumer(feed.token, member, queue)
            worker.feeds[feed.token] = feed

        try:
            with contextlib.suppress(BrokerUnavailable):
                await self._ensure(run, durable=False)
        except BaseException:  # nobody will have it, and it would begin all the same
            subscription.cancelled = True
            self._forget(subscription)
            raise
        return subscription

    async def unsubscribe(self, subscription: Subscription) -> None:
        """Stop feeding a subscription (`Consumer.cancel`)."""
        self._forget(subscription)
        with contextlib.suppress(BrokerError):
            await self._do(lambda _file, _member: None, durable=False)

    def _forget(self, subscription: Subscription) -> None:
        """Have its feed ended; what that still brings is given back."""
        worker, token = self._worker, subscription.feed.token
        if worker is None or self._closed:
            return

        def run(file: QueueFile, _member: int) -> None:
            file.remove_consumer(token)
            worker.feeds.pop(token, None)

        worker.put(Job(run, None, durable=False))
        self._subscriptions.pop(token, None)

    async def get(self, queue: str) -> Delivery | None:
        """See `Broker`."""
        return next(iter(await self.get_some(queue, 1)), None)

    async def get_some(self, queue: str, count: int) -> list[Delivery]:
        """See `Broker`."""

        def run(file: QueueFile, member: int) -> tuple[int, list[Row]]:
            return member, file.claim(queue, member, count)

        def unheard(found: tuple[int, list[Row]]) -> None:
            for delivery in _claimed(queue, found):
                self.requeue(delivery)

        return _claimed(queue, await self._do(run, durable=False, unheard=unheard))

    def ack(self, delivery: Delivery) -> None:
        """See `Broker`."""
        self._settle(delivery, ack=True)

    def requeue(self, delivery: Delivery) -> None:
        """See `Broker`."""
        self._settle(delivery, ack=False)

    async def purge(self, queue: str) -> int | None:
        """See `Broker`."""
        removed: int | None = await self._do(lambda file, _member: file.purge(queue), durable=True)
        return removed

    async def depth(self, queue: str) -> Depth | None:
        """See `Broker`."""
        found: Depth | None = await self._do(lambda file, _member: file.depth(queue), durable=False)
        return found

    def _settle(self, delivery: Delivery, *, ack: bool) -> None:
        feed, member, message = delivery.tag

        def run(file: QueueFile, now: int) -> None:
            file.settle(message, member, ack=ack)
            if feed is not None and member == now:
                feed.unsettled.discard(message)

        if self._worker is not None and not self._closed:
            self._worker.put(Job(run, None, durable=False))

    async def _ensure(self, run: Callable[[QueueFile, int], Any], *, durable: bool) -> None:
        """Do `run` now, or as soon as it can be done; raises as `_do` when that is not now."""
        self._live_worker().put(Job(run, None, durable))
        await self._do(lambda _file, _member: None, durable=durable)

    async def _do(
        self,
        run: Callable[[QueueFile, int], Any],
        *,
        durable: bool,
        timeout: float | None = None,  # noqa: ASYNC109 - of the broker's answer
        unheard: Callable[[Any], None] = lambda _result: None,
    ) -> Any:
        """Let the worker do `run` in a transaction; return its result once committed.

        `unheard` gets the result when that comes too late.
        """
        worker = self._live_worker()
        seconds = timeout or self._settings.operation_timeout
        done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        worker.put(Job(run, done, durable, unheard))
        try:
            async with asyncio.timeout(seconds):
                return await done
        except (TimeoutError, asyncio.CancelledError) as problem:
            if done.done() and not done.cancelled() and done.exception() is None:
                unheard(done.result())  # it came in the same moment
            if isinstance(problem, asyncio.CancelledError):
                raise
            raise BrokerUnavailable(f"no commit within {seconds:g} s; {worker.problem}") from problem

    def _live_worker(self) -> Worker:
        if self._worker is None or self._closed:
            raise BrokerUnavailable(f"the broker is {self.problem}")
        if os.getpid() != self._pid:
            raise BrokerError("this broker was started in another process; a forked child must start its own")
        return self._worker

    def _deliver(self, feed: Feed, member: int, rows: list[Row]) -> None:
        if self._closed:
            return
        for row in rows:
            delivery = _delivery(feed.queue, (feed, member, row[0]), row)
            subscription = self._subscriptions.get(feed.token)
            if subscription is None or subscription.cancelled:
                self.requeue(delivery)
                continue
            try:
                subscription.on_delivery(delivery)
            except Exception:  # noqa: BLE001 - logged; the broker must not die of it
                self._log.exception("broker.delivery_failed", queue=feed.queue, message_id=delivery.message_id)
                asyncio.get_running_loop().call_later(REQUEUE_PAUSE, self.requeue, delivery)

    def _tell_lost(self) -> None:
        for subscription in tuple(self._subscriptions.values()):
            try:
                subscription.on_lost()
            except Exception:  # noqa: BLE001 - logged; the others must hear of it
                self._log.exception("broker.on_lost_failed", queue=subscription.feed.queue)


def _claimed(queue: str, found: tuple[int, list[Row]]) -> list[Delivery]:
    member, rows = found
    return [_delivery(queue, (None, member, row[0]), row) for row in rows]


def _delivery(queue: str, tag: tuple[Feed | None, int, int], row: Row) -> Delivery:
    _id, redelivered, message_id, headers, body = row
    return Delivery(queue, body, message_id, msgspec.msgpack.decode(headers), bool(redelivered), tag)
