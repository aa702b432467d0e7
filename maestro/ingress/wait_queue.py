"""The wait queue of one system: where the copies of its waiting events lie, and how they come off it.

The drain judges what the system's store holds, and never waits for a copy. Beside it the copies are taken off the queue
while the system has it fed, and acknowledged once their events are decided. When the feed finds none left, it says so.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import structlog

from maestro.backoff import Backoff
from maestro.broker.base import Broker, Consumer, Delivery
from maestro.broker.topology import SystemQueues
from maestro.ingress.held import HeldDeliveries
from maestro.messages.ingress import Source, WaitQueueDrained
from maestro.tasks import until_done

#: Seconds between two looks at a queue that is waited for.
LOOK, LOOK_MAX = 0.05, 1.0
#: Copies of waiting events taken off the wait queue at a time. They are given back, and delivered again later, when the
#: system stays blocked; the drain does not wait for them, it judges what the store holds.
WAIT_PREFETCH = 32
#: Seconds in which the broker takes back what was out on delivery over a connection that ended: until then a queue's
#: depth says nothing.
TAKEN_BACK_WITHIN = 3.0
#: Seconds that copies of waiting events are kept while the system is blocked, before they are given back.
KEPT_FOR = 20.0
#: Seconds that the consumer of a wait queue is kept for the sake of what is just leaving it.
MOVED_WITHIN = 5.0


class WaitQueue:
    """See the module.

    Args:
        held: where what is delivered is held, and over which the system is told.
        prefetch: deliveries of any queue of the system that may be unacknowledged.
        arrived: is given what is delivered.
    """

    def __init__(
        self,
        broker: Broker,
        queues: SystemQueues,
        held: HeldDeliveries,
        prefetch: int,
        arrived: Callable[[Delivery], None],
        log: structlog.typing.FilteringBoundLogger,
    ) -> None:
        self._broker = broker
        self._queues = queues
        self._held = held
        self._prefetch = min(WAIT_PREFETCH, prefetch)
        self._arrived = arrived
        self._log = log
        self._consumer: Consumer | None = None
        self._feed_changed = asyncio.Event()
        self._parking = 0
        #: Parks begun so far.
        self._parks = 0
        #: Until when deliveries of the wait queue may be out that nobody holds, in seconds of the loop's clock.
        self._out_until = 0.0

    @property
    def parking(self) -> bool:
        """Whether an event is being put on the queue."""
        return self._parking > 0

    @property
    def consumed(self) -> bool:
        """Whether the queue is consumed."""
        return self._consumer is not None

    @contextmanager
    def park(self) -> Iterator[None]:
        """While the context is open an event is being put on the queue."""
        self._parking += 1
        self._parks += 1
        try:
            yield
        finally:
            self._parking -= 1

    async def close(self) -> None:
        """Consume it no longer; its task has ended."""
        if self._consumer is not None:
            await self._consumer.cancel()

    def feed(self, *, on: bool) -> None:
        """Start or stop the feed. At each turn the system forgets the copies it was handed: they must come again.

        They are kept for a while, and handed over again when the feed goes on: a broker counts how often it gets a
        message back, and quorum queues of RabbitMQ 4 drop what came back too often.
        """
        self._feed_changed.set()
        self._held.feed(on=on)

    async def run(self, declared: asyncio.Event, alone: asyncio.Event) -> None:
        """Consume the wait queue while it is to be fed and holds something, and say when it is drained.

        Not before the queue is to be `declared`, and nobody else consumes the system's queues (`alone`).
        """
        await declared.wait()
        await until_done(lambda: self._broker.declare(self._queues.persist_bindings()), self._log)
        await alone.wait()
        while True:
            await self._feed_changed.wait()
            self._feed_changed.clear()
            if self._held.feeding:
                await self._watch_drain()
            elif self._consumer is not None:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._feed_changed.wait(), KEPT_FOR)
                    continue  # the feed goes on: nothing is given back
                await self._moved()
                if not self._held.feeding:
                    await self._consumer.cancel()
                    self._consumer = None
                    for delivery in self._held.pop_waiting():
                        self._broker.requeue(delivery)

    async def _moved(self) -> None:
        """Wait until nothing of the wait queue is being put elsewhere, for a while: a broker may take its time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(MOVED_WITHIN):
                while self._held.any_waiting_moves:  # noqa: ASYNC110 - rare, and over in a moment
                    await asyncio.sleep(LOOK)

    async def _watch_drain(self) -> None:
        if self._parks:  # what waits comes with its copy then, rather than before it
            await self._consume_waiting()
        pauses = Backoff(LOOK, LOOK_MAX)
        while not self._feed_changed.is_set():
            await asyncio.sleep(pauses.next())
            parks, depth = self._parks, None
            looked = not self._more_may_wait()
            if looked:
                depth = await until_done(lambda: self._broker.depth(self._queues.wait), self._log)
            if self._feed_changed.is_set():  # nothing may leave the wait queue any more, perhaps
                return
            if self._more_may_wait() or (depth is not None and depth.ready):
                await self._consume_waiting()
            elif looked and parks == self._parks:
                self._held.none_left(Source.WAIT)
                self._held.post(WaitQueueDrained())

    async def _consume_waiting(self) -> None:
        """Consume the wait queue from now on; after a start most have nothing on them, and need no consumer."""
        if self._consumer is None:
            self._consumer = await until_done(
                lambda: self._broker.consume(self._queues.wait, self._prefetch, self._arrived, self._void), self._log
            )

    def _more_may_wait(self) -> bool:
        """Whether the wait queue may get, or get back, more than its depth says."""
        if self._parking or asyncio.get_running_loop().time() < self._out_until:
            return True
        return self._held.any_waits

    def _void(self) -> None:
        """What was delivered of the queue became void: the broker will deliver it again."""
        self._out_until = asyncio.get_running_loop().time() + TAKEN_BACK_WITHIN
        self._held.void(self._queues.wait)
