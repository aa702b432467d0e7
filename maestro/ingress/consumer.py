"""Ingress for one system: consumes its queues, and settles deliveries as the system's actor says.

What was delivered and is not settled is held (`held.HeldDeliveries`), and handed over to each new life of the actor.
When the connection is lost, what was held is void: the broker delivers it again.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import TypeVar
from uuid import uuid4

from maestro import faultpoints, json_text, logs
from maestro.broker.base import (
    Broker,
    BrokerError,
    Delivery,
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
from maestro.ingress.persist_queue import PersistQueue
from maestro.ingress.wait_queue import LOOK, WaitQueue
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
    SweepPersist,
)
from maestro.messages.leaving import LeaveAnswered, LeaveAsked
from maestro.tasks import Tasks, until_done
from maestro.telemetry.definitions import DELIVERIES, UNDECODABLE, UNPUBLISHABLE
from maestro.telemetry.metrics import MetricsRegistry

T = TypeVar("T")

#: Seconds that the actor of a system which goes to another node has to end, and what is being moved to arrive.
RELEASED_WITHIN = 12.0
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
        self._outcome_settled = outcome_settled or broker.ack
        self._registry = registry
        self._queues = SystemQueues(system_id)
        self._broker = broker
        self._log = logs.get(system=system_id, actor="ingress")
        self._errors = ErrorQueue(broker, self._queues, self._log)
        self.held = HeldDeliveries(self._queues, wanted)
        self._tasks = Tasks(self._log)
        #: Set when the wait queue and the error queue are to be declared, too.
        self._declare = asyncio.Event()
        #: Why an event could not be moved to another queue for good, the last of this life; empty: all could.
        self.unpublishable = ""
        self._persist = PersistQueue(
            broker, self._queues, prefetch, self._arrived, self._void, self._log, turns, former_within
        )
        self._waiting = WaitQueue(broker, self._queues, self.held, prefetch, self._arrived, self._log)

    # --- life --------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Begin consuming, in the background, as soon as the broker is there; `declare` is to follow."""
        self._tasks.start(self._begin(), "consume")
        self._tasks.start(self._waiting.run(self._declare, self._persist.alone), "feed")

    @property
    def consuming(self) -> bool:
        """Whether anything was ever consumed here."""
        return self._persist.consumed

    async def _begin(self) -> None:
        await self.held.owned.wait()
        await self._persist.take_over(self._until_believed)

    async def begun(self) -> None:
        """Return once the persist queue is consumed."""
        await self._persist.alone.wait()

    def declare(self) -> None:
        """Have the wait queue and the error queue declared; an event that is moved there before does so as well."""
        self._declare.set()

    async def close(self) -> None:
        """Take no event any more; what is held goes back to the broker, with its connection at the latest."""
        if self.held.known:  # of a system at rest nothing is handed over anyway
            await self._persist.cancel()
        await self._tasks.close()
        await self._waiting.close()

    async def release(self) -> None:
        """Let the system go to another node: hand over nothing more, and give back what its actor left, in its order.

        The persist queue stays consumed until then. So the next node waits: what was in hand goes back before younger
        events are given to it. What hangs is waited for no longer than `RELEASED_WITHIN`.
        """
        self._persist.keep()
        with suppress(TimeoutError):
            async with asyncio.timeout(RELEASED_WITHIN):
                while self.held.attached or self.held.moving or self._waiting.parking:  # noqa: ASYNC110 - rare, and soon over
                    await asyncio.sleep(LOOK)
        await self._tasks.close()
        await self._waiting.close()
        await self._persist.cancel()
        for delivery in self.held.pop_all():
            if delivery.queue == OUTCOMES:
                self._outcome_settled(delivery)
            else:
                self._broker.requeue(delivery)
        for delivery in self._persist.pop_kept():
            self._broker.requeue(delivery)

    def attach(self, session: Session) -> None:
        """A session with the system's actor. What a former session ordered of the wait queue is void."""
        self._waiting.feed(on=False)
        self._persist.met.set()
        self.held.attach(session)

    def detach(self) -> None:
        """The session is over. What the system's actor ordered of the wait queue is void."""
        self._waiting.feed(on=False)
        self.held.detach()

    def _leave(self, number: int) -> None:
        """The system is at rest and would end: let it, if there is nothing for it; then hold what comes."""
        held = self.held
        waiting = self._waiting.parking or held.feeding or self._waiting.consumed
        granted = not (held or held.moving or waiting)
        held.post(LeaveAnswered(granted, number))
        if granted:
            held.left = True
            self.detach()

    # --- from the broker ---------------------------------------------------------------------------------------

    def _arrived(self, delivery: Delivery) -> None:
        self._registry.count(DELIVERIES, self.held.source(delivery).value)
        ref = self.held.take(delivery)
        if problem := unfit(delivery):
            self._registry.count(UNDECODABLE)
            self._log.error("bad input", reason=problem, verdict="error")
            self.receive(DeadLetter("", delivery.body, problem, no_event=False, refs=(ref,)))

    def _void(self) -> None:
        """The deliveries of the persist queue became void: the broker will deliver them again."""
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
            case LeaveAsked(number=number):
                self._leave(number)
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
        names = (self._queues.persist, self._queues.wait, self._queues.reprocessings,
                 self._queues.reprocessings_error, self._queues.events, self._queues.control)  # fmt: skip
        depths = []
        try:
            for name in names:
                depth = await self._broker.depth(name)
                depths.append((name, depth.ready if depth else -1))
            errors = await self._errors.depth()
            depths.append((self._queues.persist_error, -1 if errors is None else errors))
        except BrokerError as problem:
            self._log.warning("queues not measured", cause=str(problem))
            depths = []
        self.held.post(QueuesMeasured(tuple(depths)))

    async def _sweep(self, order: SweepPersist) -> None:
        await self._persist.sweep()
        self.held.post(PersistSwept(order.id, order.send))

    async def _carry_out(self, order: PeekErrors | GroupErrors | RedriveErrors) -> None:
        await self._until_believed()
        self.held.post(await self._errors.carry_out(order))

    async def _until_done(self, work: Callable[[], Awaitable[T]]) -> T:
        return await until_done(work, self._log)
