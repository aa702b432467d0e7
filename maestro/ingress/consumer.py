"""Ingress for one system: consumes its queues, and settles deliveries as the system's actor says.

What was delivered and is not settled is held (`held.HeldDeliveries`), and handed over to each new life of the actor.
When the connection is lost, what was held is void: the broker delivers it again.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import TypeVar
from uuid import uuid4

from maestro import faultpoints, json_text, logs
from maestro.backoff import Backoff
from maestro.broker.base import (
    Binding,
    Broker,
    BrokerError,
    Consumer,
    Delivery,
    Depth,
    Message,
    Unpublishable,
    Unroutable,
    message_id_of,
)
from maestro.broker.topology import (
    DOUBT_HEADER,
    ERROR_HEADER,
    ERROR_ID_HEADER,
    FAILED_AT_HEADER,
    OUTCOMES,
    PERSIST,
    PERSIST_ERROR,
    PUBLISH_ERROR,
    PUBLISH_ERROR_KEY,
    REDRIVE_HEADER,
    SystemQueues,
)
from maestro.ingress.error_queue import ErrorQueue
from maestro.ingress.held import HeldDeliveries, unfit
from maestro.ingress.wait_queue import LOOK, LOOK_MAX, WaitQueue
from maestro.links.session import Session
from maestro.messages.error_queue import GroupErrors, PeekErrors, RedriveErrors
from maestro.messages.ingress import (
    Ack,
    DeadLetter,
    DeadLettered,
    FeedWaitQueue,
    MeasureQueues,
    Park,
    Parked,
    PersistSwept,
    QueuesMeasured,
    Source,
    SweepPersist,
)
from maestro.messages.leaving import LeaveAnswered, LeaveAsked
from maestro.tasks import Tasks, until_done
from maestro.telemetry.definitions import DELIVERIES, UNDECODABLE, UNPUBLISHABLE
from maestro.telemetry.metrics import MetricsRegistry

T = TypeVar("T")

#: Seconds that the actor of a system which goes to another node has to end, and what is being moved to arrive.
RELEASED_WITHIN = 12.0
#: Looks in a row that find a queue empty before what stood in it is taken for purged, not for being on its way here.
EMPTY_LOOKS = 2
#: Seconds after which a queue that was there is declared and bound, as it may be already.
DECLARED_AFTER = 10.0
#: What a redrive says of an event: of its copy on the wait queue it is not true any more.
REDRIVEN = (ERROR_HEADER, ERROR_ID_HEADER, FAILED_AT_HEADER, REDRIVE_HEADER)
#: An AMQP header is short; a reason may quote the input.
REASON_LIMIT = 1000


class SystemConsumer:
    """One system's way in."""

    def __init__(
        self,
        system_id: str,
        broker: Broker,
        prefetch: int,
        registry: MetricsRegistry,
        outcome_settled: Callable[[Delivery], None] | None = None,
        wanted: Callable[[], None] = lambda: None,
        believed: Callable[[], bool] = lambda: True,
        turns: asyncio.Semaphore | None = None,
        former_within: float = 30.0,
    ) -> None:
        #: Whether nobody can have taken the system over: nothing is settled or moved otherwise.
        self._believed = believed
        #: In a cluster: how many systems may begin to consume their queues side by side. A queue may still be consumed
        #: by the node that owned its system before.
        self._turns = turns
        #: The system's actor was here: it is active, and goes before those at rest.
        self._met = asyncio.Event()
        #: Seconds after which a consumer that the broker counts beside ours is none of a node that owned the system.
        self._former_within = former_within
        #: What came before it was known that the former consumer is gone.
        self._early: list[Delivery] = []
        self._outcome_settled = outcome_settled or broker.ack
        self._registry = registry
        self._queues = SystemQueues(system_id)
        self._broker = broker
        self._prefetch = prefetch
        self._log = logs.get(system=system_id, actor="ingress")
        self._errors = ErrorQueue(broker, self._queues, self._log)
        self.held = HeldDeliveries(self._queues, wanted)
        self._tasks = Tasks(self._log)
        self._persist: Consumer | None = None
        #: Set once the persist queue is consumed: the previous consumer is gone and its unacked messages are back.
        self._alone = asyncio.Event()
        #: Deliveries of the persist queue so far, and how often they became void.
        self._taken = self._losses = 0
        #: Set when the wait queue and the error queue are to be declared, too.
        self._declare = asyncio.Event()
        #: Why an event could not be moved to another queue for good, the last of this life; empty: all could.
        self.unpublishable = ""
        self._waiting = WaitQueue(broker, self._queues, self.held, prefetch, self._arrived, self._log)

    # --- life --------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Begin consuming, in the background, as soon as the broker is there; `declare` is to follow."""
        self._tasks.start(self._begin(), "consume")
        self._tasks.start(self._waiting.run(self._declare, self._alone), "feed")

    @property
    def consuming(self) -> bool:
        """Whether anything was ever consumed here."""
        return self._persist is not None

    async def _begin(self) -> None:
        await self.held.owned.wait()
        # In a cluster its queue is there, as a rule: another node consumed it a moment ago.
        there = self._turns is not None and await self._until_done(self._persist_depth) is not None
        if not there:
            await self._until_done(self._declare_persist)
        gone = False
        if self._turns is not None:
            await self._until_believed()
            gone = await self._until_alone()
        async with self._turn():
            self._persist = await self._until_done(self._consume)
        if self._turns is not None and gone:
            await self._until_alone(self._persist)
        self._alone.set()
        early, self._early = self._early, []
        for delivery in sorted(early, key=lambda each: not each.redelivered):
            self._arrived(delivery)
        if there:  # what a take-over can do without comes after it
            await asyncio.sleep(DECLARED_AFTER)
            await self._until_done(self._declare_persist)

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """Have a turn at beginning to consume; an active system does not wait for one."""
        if self._turns is None:
            yield
            return
        turn = asyncio.ensure_future(self._turns.acquire())
        met = asyncio.ensure_future(self._met.wait())
        try:
            await asyncio.wait([turn, met], return_when=asyncio.FIRST_COMPLETED)
            yield
        finally:
            met.cancel()
            if not turn.cancel():
                self._turns.release()

    @property
    def _persist_bindings(self) -> Sequence[Binding]:
        return self._queues.persist_bindings()[:1]

    async def _declare_persist(self) -> None:
        await self._broker.declare(self._persist_bindings)

    async def _persist_depth(self) -> Depth | None:
        return await self._broker.depth(self._queues.persist)

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
            depth = await self._until_done(self._persist_depth)
            consumers = depth.consumers if depth is not None else 0
            if consumers == expected and counted:
                return True
            if asyncio.get_running_loop().time() - began >= self._former_within:
                break
            await asyncio.sleep(pauses.next())
        if consumers > expected:
            self._log.warning(
                "consumed beside somebody else, or beside one that RabbitMQ counts on while a node of its own is lost",
                queue=self._queues.persist, consumers=consumers,
            )  # fmt: skip
        return False

    async def begun(self) -> None:
        """Return once the persist queue is consumed."""
        await self._alone.wait()

    def declare(self) -> None:
        """Have the wait queue and the error queue declared; an event that is moved there before does so as well."""
        self._declare.set()

    async def close(self) -> None:
        """Take no event any more; what is held goes back to the broker, with its connection at the latest."""
        if self._persist is not None and self.held.known:  # of a system at rest nothing is handed over anyway
            await self._persist.cancel()
        await self._tasks.close()
        await self._waiting.close()

    async def release(self) -> None:
        """Let the system go to another node: take nothing more, and give back what its actor left, in its order."""
        if self._persist is not None:
            await self._persist.cancel()
        with suppress(TimeoutError):
            async with asyncio.timeout(RELEASED_WITHIN):
                while self.held.attached or self.held.moving or self._waiting.parking:  # noqa: ASYNC110 - rare, and soon over
                    await asyncio.sleep(LOOK)
        await self.close()
        if self._persist is not None:
            await self._persist.cancel()
        for delivery in self.held.pop_all():
            if delivery.queue == OUTCOMES:
                self._outcome_settled(delivery)
            else:
                self._broker.requeue(delivery)
        for delivery in self._early:
            self._broker.requeue(delivery)

    def attach(self, session: Session) -> None:
        """A session with the system's actor. What a former session ordered of the wait queue is void."""
        self._waiting.feed(on=False)
        self._met.set()
        self.held.attach(session)

    def detach(self) -> None:
        """The session is over. What the system's actor ordered of the wait queue is void."""
        self._waiting.feed(on=False)
        self.held.detach()

    def _leave(self) -> None:
        """The system is at rest and would end: let it, if there is nothing for it; then hold what comes."""
        held = self.held
        waiting = self._waiting.parking or held.feeding or self._waiting.consumed
        granted = not (held or held.moving or waiting)
        held.post(LeaveAnswered(granted))
        if granted:
            held.left = True
            self.detach()

    # --- from the broker ---------------------------------------------------------------------------------------

    def _arrived(self, delivery: Delivery) -> None:
        if delivery.queue == self._queues.persist and self._turns is not None and not self._alone.is_set():
            self._early.append(delivery)
            return
        source = self.held.source(delivery)
        self._registry.count(DELIVERIES, source.value)
        self._taken += source is Source.PERSIST
        ref = self.held.take(delivery)
        if problem := unfit(delivery):
            self._registry.count(UNDECODABLE)
            self._log.error("bad input", reason=problem, verdict="error")
            self.receive(DeadLetter("", delivery.body, problem, no_event=False, refs=(ref,)))

    async def _consume(self) -> Consumer:
        queue, bindings = self._queues.persist, self._persist_bindings
        return await self._broker.consume(
            queue, self._prefetch, self._arrived, self._void, ordered=True, bindings=bindings
        )

    def _void(self) -> None:
        """The deliveries of the persist queue became void: the broker will deliver them again."""
        self._losses += 1
        self._early.clear()
        self.held.void(self._queues.persist)

    # --- from the system's actor -------------------------------------------------------------------------------

    def receive(self, item: object) -> None:
        """Do what the system's actor says."""
        match item:
            case Ack(ref=ref):
                self._ack((ref,))
            case Park():
                self._tasks.start(self._park(item), "park")
            case DeadLetter(refs=refs):
                # Now, not when the task begins: the feed may be stopped with the next item.
                self.held.moving.update(refs)
                self._tasks.start(self._dead_letter(item), "dead-letter")
            case FeedWaitQueue(on=on):
                self._waiting.feed(on=on)
            case SweepPersist():
                self._tasks.start(self._sweep(item), "sweep")
            case MeasureQueues():
                self._tasks.start(self._measure(), "measure")
            case LeaveAsked():
                self._leave()
            case PeekErrors() | GroupErrors() | RedriveErrors():
                self._tasks.start(self._carry_out(item), "error queue")

    async def _until_believed(self) -> None:
        """Return once nobody can have taken the system over: at once, as a rule."""
        while not self._believed():  # noqa: ASYNC110 - it is told by a word of shared memory, which wakes nobody
            await asyncio.sleep(LOOK)

    async def _ack_later(self, refs: tuple[int, ...]) -> None:
        await self._until_believed()
        self._ack(refs)

    def _ack(self, refs: tuple[int, ...]) -> None:
        if not self._believed():
            self._tasks.start(self._ack_later(refs), "acknowledge")
            return
        for ref in refs:
            delivery = self.held.pop(ref)
            if delivery is not None:
                faultpoints.reach("ingress.before_ack")
                if delivery.queue == OUTCOMES:
                    self._outcome_settled(delivery)
                else:
                    self._broker.ack(delivery)

    async def _park(self, order: Park) -> None:
        self._declare.set()
        try:
            with self._waiting.park():
                await self._until_believed()
                original = self.held.first(order.refs)
                message = Message(order.body, message_id_of(order.key), moved=True, original=original, dropped=REDRIVEN)
                await self._until_done(lambda: self._publish(PERSIST, self._queues.wait_key, message))
        except Unpublishable as problem:
            self._give_up("park", order.key, problem)
            return
        faultpoints.reach("ingress.after_park_confirmed")
        self._ack(order.refs)
        self.held.post(Parked(order.key))

    async def _dead_letter(self, order: DeadLetter) -> None:
        id_ = message_id_of(order.key) if order.key else f"refused-{uuid4().hex}"
        original = self.held.first(order.refs)
        reason = json_text.plain(order.reason[:REASON_LIMIT])
        at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        headers = {ERROR_HEADER: reason, ERROR_ID_HEADER: id_, FAILED_AT_HEADER: at}
        if order.doubt:
            headers[DOUBT_HEADER] = order.doubt
        message_id = (original.message_id if original is not None else "") or id_
        message = Message(order.body, message_id, headers, moved=True, original=original)
        try:
            await self._until_believed()
            if not (order.no_event and await self._to_platform(message)):
                await self._until_done(lambda: self._publish(PERSIST_ERROR, self._queues.system_id, message))
            faultpoints.reach("ingress.after_dead_letter_confirmed")
            self._ack(order.refs)
        except Unpublishable as problem:
            self._give_up("dead-letter", order.key, problem)
            return
        finally:
            self.held.moving.difference_update(order.refs)
        if order.key:
            self.held.post(DeadLettered(order.key, order.number))

    def _give_up(self, what: str, key: str, problem: Unpublishable) -> None:
        """Leave an event where it is: the broker can never take its message, so trying again has no end."""
        self._registry.count(UNPUBLISHABLE)
        self.unpublishable = f"{self._queues.system_id}: an event cannot be moved to its queue: {problem}"
        self._log.error(
            "an event cannot be moved; it stays unacknowledged", what=what, key=key[:200], cause=str(problem)
        )

    async def _to_platform(self, message: Message) -> bool:
        """Publish to the Event Manager's own error queue; False when it has none."""
        try:
            await self._broker.publish(PUBLISH_ERROR, PUBLISH_ERROR_KEY, message)
        except BrokerError as problem:
            self._log.warning("no queue for messages without an event; using the system's", cause=str(problem))
            return False
        return True

    async def _publish(self, exchange: str, key: str, message: Message) -> None:
        """Publish; a queue that somebody deleted is declared again, once."""
        try:
            await self._broker.publish(exchange, key, message)
        except Unroutable:
            await self._broker.declare(self._queues.persist_bindings())
            await self._broker.publish(exchange, key, message)

    async def _measure(self) -> None:
        names = (self._queues.persist, self._queues.wait, self._queues.persist_error, self._queues.reprocessings,
                 self._queues.reprocessings_error, self._queues.events, self._queues.control)  # fmt: skip
        depths = []
        try:
            for name in names:
                depth = await self._broker.depth(name)
                depths.append((name, depth.ready if depth else -1))
        except BrokerError as problem:
            self._log.warning("queues not measured", cause=str(problem))
            depths = []
        self.held.post(QueuesMeasured(tuple(depths)))

    async def _sweep(self, order: SweepPersist) -> None:
        """Wait until all that stands in the persist queue at this moment, or is held back here, was handed over.

        A queue that was purged meanwhile is empty: nothing is waited for that will not come. When the connection is
        lost meanwhile, what was handed over comes again before the rest: all is waited for again.
        """
        swept = False
        while not swept:
            losses = self._losses
            while losses == self._losses and self._holds_back:  # noqa: ASYNC110 - it is bounded, and rare
                await asyncio.sleep(LOOK)
            depth = await self._until_done(self._persist_depth)
            goal = self._taken + (depth.ready if depth else 0)
            await asyncio.sleep(LOOK)  # what RabbitMQ gave us and we have not read stands in no queue
            pauses, empty = Backoff(LOOK, LOOK_MAX), 0
            while losses == self._losses and (self._holds_back or (self._taken < goal and empty < EMPTY_LOOKS)):
                await asyncio.sleep(pauses.next())
                depth = await self._until_done(self._persist_depth)
                empty = 0 if depth and depth.ready else empty + 1
            swept = losses == self._losses
        self.held.post(PersistSwept(order.id, order.send))

    @property
    def _holds_back(self) -> bool:
        """Whether something that came is not handed over yet, because something older may come."""
        return bool(self._early) or (self._persist is not None and self._persist.awaiting)

    async def _carry_out(self, order: PeekErrors | GroupErrors | RedriveErrors) -> None:
        await self._until_believed()
        self.held.post(await self._errors.carry_out(order))

    async def _until_done(self, work: Callable[[], Awaitable[T]]) -> T:
        return await until_done(work, self._log)
