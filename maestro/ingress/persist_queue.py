"""The persist queue of one system: taken over from the node that owned the system before, swept, and let go again.

In a cluster two nodes never have deliveries of it in hand. The one that lets it go stays a consumer until it has given
back what it holds; the next one waits until the broker counts no consumer but its own.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

import structlog

from maestro.backoff import Backoff
from maestro.broker.base import Binding, Broker, Consumer, Delivery, Depth
from maestro.broker.topology import SystemQueues
from maestro.ingress.wait_queue import LOOK, LOOK_MAX
from maestro.tasks import until_done

T = TypeVar("T")

#: Looks in a row that find a queue empty before what stood in it is taken for purged, not for being on its way here.
EMPTY_LOOKS = 2
#: Seconds after which a queue that was there is declared and bound, as it may be already.
DECLARED_AFTER = 10.0


class PersistQueue:
    """See the module.

    Args:
        prefetch: deliveries that may be unacknowledged.
        arrived: is given what is delivered, once it may be handed over.
        void: told when the deliveries so far became void.
        turns: how many systems may begin to consume their queues side by side; None: there is no cluster, and nobody
            can have consumed the queue before.
        former_within: seconds after which a consumer that the broker counts beside ours is none of a node that owned
            the system.
    """

    def __init__(
        self,
        broker: Broker,
        queues: SystemQueues,
        prefetch: int,
        arrived: Callable[[Delivery], None],
        void: Callable[[], None],
        log: structlog.typing.FilteringBoundLogger,
        turns: asyncio.Semaphore | None = None,
        former_within: float = 30.0,
    ) -> None:
        self._broker = broker
        self._queue = queues.persist
        self._bindings: Sequence[Binding] = queues.persist_bindings()[:1]
        self._prefetch = prefetch
        self._hand_over = arrived
        self._tell_void = void
        self._log = log
        self._turns = turns
        self._former_within = former_within
        #: The system's actor was here: it is active, and goes before those at rest.
        self.met = asyncio.Event()
        #: Set once the queue is consumed: the previous consumer is gone and its unacked messages are back.
        self.alone = asyncio.Event()
        self._consumer: Consumer | None = None
        #: What came before it was known that the former consumer is gone, or after the queue was to be let go.
        self._kept: list[Delivery] = []
        self._leaving = False
        #: Deliveries handed over so far, and how often they became void.
        self._taken = self._losses = 0

    @property
    def consumed(self) -> bool:
        """Whether it was ever consumed here."""
        return self._consumer is not None

    @property
    def holds_back(self) -> bool:
        """Whether something that came is not handed over yet, because something older may come."""
        return bool(self._kept) or (self._consumer is not None and self._consumer.awaiting)

    # --- to take it over ---------------------------------------------------------------------------------------

    async def take_over(self, ready: Callable[[], Awaitable[None]]) -> None:
        """Consume it once nobody else does. `ready` returns once nobody can have taken the system over."""
        # In a cluster it is there, as a rule: another node consumed it a moment ago.
        there = self._turns is not None and await self._until_done(self._depth) is not None
        if not there:
            await self._until_done(self._declare)
        gone = False
        if self._turns is not None:
            await ready()
            gone = await self._until_alone()
        async with self._turn():
            self._consumer = await self._until_done(self._consume)
        if self._turns is not None and gone:
            await self._until_alone(self._consumer)
        if self._leaving:
            return
        self.alone.set()
        kept, self._kept = self._kept, []
        for delivery in sorted(kept, key=lambda each: not each.redelivered):
            self._arrived(delivery)
        if there:  # what a take-over can do without comes after it
            await asyncio.sleep(DECLARED_AFTER)
            await self._until_done(self._declare)

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """Have a turn at beginning to consume; an active system does not wait for one."""
        if self._turns is None:
            yield
            return
        turn = asyncio.ensure_future(self._turns.acquire())
        met = asyncio.ensure_future(self.met.wait())
        try:
            await asyncio.wait([turn, met], return_when=asyncio.FIRST_COMPLETED)
            yield
        finally:
            met.cancel()
            if not turn.cancel():
                self._turns.release()

    async def _until_alone(self, ours: Consumer | None = None) -> bool:
        """Return once the node that owned the system before does not consume its queue any more; False: it may.

        What it had in hand is back in its place by then, before what came later. A quorum queue without a leader says
        that nobody consumes it: so it is asked again once there is a consumer of ours, which must be counted, too.
        And it counts one that was connected to a lost node of the broker until that node is back, though it gives it
        nothing any more: so there is an end to the waiting. One that really consumes is served before us then.
        """
        pauses, began = Backoff(LOOK, LOOK_MAX), asyncio.get_running_loop().time()
        expected = 0 if ours is None else 1
        while True:
            counted = ours is None or ours.active
            depth = await self._until_done(self._depth)
            consumers = depth.consumers if depth is not None else 0
            if consumers == expected and counted:
                return True
            if asyncio.get_running_loop().time() - began >= self._former_within:
                break
            await asyncio.sleep(pauses.next())
        if consumers > expected:
            self._log.warning(
                "consumed beside somebody else, or beside one that RabbitMQ counts on while a node of its own is lost",
                queue=self._queue, consumers=consumers,
            )  # fmt: skip
        return False

    # --- to let it go ------------------------------------------------------------------------------------------

    def keep(self) -> None:
        """Hand over nothing of it any more. It stays consumed, so that no other node takes it yet."""
        self._leaving = True

    async def cancel(self) -> None:
        """Consume it no longer. Twice is no error."""
        if self._consumer is not None:
            await self._consumer.cancel()

    def pop_kept(self) -> list[Delivery]:
        """Return what came and was not handed over, in the order it came."""
        kept, self._kept = self._kept, []
        return kept

    # --- to sweep it -------------------------------------------------------------------------------------------

    async def sweep(self) -> None:
        """Return once all that stands in it at this moment, or is held back here, was handed over.

        A queue that was purged meanwhile is empty: nothing is waited for that will not come. When the connection is
        lost meanwhile, what was handed over comes again before the rest: all is waited for again.
        """
        swept = False
        while not swept:
            losses = self._losses
            while losses == self._losses and self.holds_back:  # noqa: ASYNC110 - it is bounded, and rare
                await asyncio.sleep(LOOK)
            depth = await self._until_done(self._depth)
            goal = self._taken + (depth.ready if depth else 0)
            await asyncio.sleep(LOOK)  # what RabbitMQ gave us and we have not read stands in no queue
            pauses, empty = Backoff(LOOK, LOOK_MAX), 0
            while losses == self._losses and (self.holds_back or (self._taken < goal and empty < EMPTY_LOOKS)):
                await asyncio.sleep(pauses.next())
                depth = await self._until_done(self._depth)
                empty = 0 if depth and depth.ready else empty + 1
            swept = losses == self._losses

    # --- the broker --------------------------------------------------------------------------------------------

    async def _consume(self) -> Consumer:
        return await self._broker.consume(
            self._queue, self._prefetch, self._arrived, self._void, ordered=True, bindings=self._bindings
        )

    async def _declare(self) -> None:
        await self._broker.declare(self._bindings)

    async def _depth(self) -> Depth | None:
        return await self._broker.depth(self._queue)

    def _arrived(self, delivery: Delivery) -> None:
        if self._leaving or (self._turns is not None and not self.alone.is_set()):
            self._kept.append(delivery)
            return
        self._taken += 1
        self._hand_over(delivery)

    def _void(self) -> None:
        """What was delivered became void: the broker will deliver it again."""
        self._losses += 1
        self._kept.clear()
        self._tell_void()

    async def _until_done(self, work: Callable[[], Awaitable[T]]) -> T:
        return await until_done(work, self._log)
