"""One subscription on RabbitMQ, begun again for as long as it is wanted."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from itertools import count
from typing import Any, Final

from pika.spec import Basic

from maestro import logs
from maestro.broker.base import Delivery
from maestro.broker.rabbitmq_bounds import Bounds
from maestro.broker.rabbitmq_problem import ACCESS_REFUSED
from maestro.broker.rabbitmq_properties import Properties
from maestro.broker.rabbitmq_returning import Returning, mark_of
from maestro.broker.rabbitmq_seats import Seat, Seats
from maestro.broker.rabbitmq_session import Channel, ChannelLost, Session, resolve

#: Seconds that a delivery is held back when its callback failed, so that it does not come round in a hot loop.
REQUEUE_PAUSE: Final = 0.5
#: Seconds between two messages that are taken to see whether what was out has come back.
PROBE_EVERY: Final = 0.5
#: Seconds without a redelivered message after which no more of them come: they come at once, one after the other.
NO_MORE_AFTER: Final = 0.5
#: Seconds since 1970 from which the priority of a consumer is counted down: it has 32 bits.
_PRIORITY_SINCE: Final = 1_700_000_000
#: Why a consumer is over: what was to be taken singly was; the broker cancelled it.
_TAKEN: Final = "taken"
_DELETED: Final = "RabbitMQ cancelled the consumer: its queue was deleted"
#: Numbers of consumers, for their names.
_tags = count(1)

OpenChannel = Callable[[], Awaitable[Channel]]


class Subscription:
    """Implements `Consumer`. `serve` is its life on one session; the broker owns the task.

    Where the order matters (`returned_within`), what was out when a channel was lost comes before anything younger
    (`Returning`). Until the first of it is back, one message is taken at a time, by a consumer for each: what is held
    back must not fill the window that the others need, and cannot be given back to its place. And each consumer has a
    lower priority than those before it: as long as the broker takes a lost one for living, that one gets what comes, up
    to its prefetch, and all of it goes back in its order.

    Args:
        queue: its name.
        prefetch: unacknowledged deliveries at most; what is taken singly is not counted.
        on_delivery: takes a delivery.
        on_lost: told when the deliveries so far are void.
        exclusive: asks to be the only consumer.
        returned_within: seconds in which what was out must come again, from the first consumer after its loss on and
            not counting those without a consumer; 0: nothing waits for it.
        on_unreturned: told how many did not.
    """

    def __init__(
        self,
        queue: str,
        prefetch: int,
        on_delivery: Callable[[Delivery], None],
        on_lost: Callable[[], None],
        *,
        exclusive: bool = True,
        returned_within: float = 0.0,
        on_unreturned: Callable[[int], None] = lambda _count: None,
    ) -> None:
        self._exclusive = self._exclusively = exclusive
        self.queue = queue
        self._prefetch = prefetch
        self._on_delivery = on_delivery
        self._on_lost = on_lost
        self._channel: Channel | None = None
        self._tag = ""
        #: Deliveries that were handed over and are neither acked nor requeued, by tag, of this attempt.
        self._out: dict[int, Delivery] = {}
        self._delivered = False
        #: The message that was to be taken singly has come.
        self._taken = False
        #: The broker confirmed the last consumer.
        self._begun = False
        self._returned_within = returned_within
        self._on_unreturned = on_unreturned
        #: What was out when a channel was lost, until it has come again; None: nothing is waited for.
        self._returning: Returning | None = None
        self._bounds = Bounds(returned_within)
        #: When a loss is waited for no longer, or nothing more of all is expected.
        self._deadline: asyncio.TimerHandle | None = None
        #: The last attempt failed, so that the next may cost its channel: it gets one of its own.
        self._risky = False
        #: Of the last consumer: the next one's is lower, also than that of another node's before.
        self._priority = 0
        self._cancelled = False
        self._wake = asyncio.Event()
        #: Set once the first attempt to consume has ended, one way or the other.
        self.attempted = asyncio.Event()
        #: Why the broker does not let it consume; empty when it does, or could not be asked.
        self.refusal = ""
        self._log = logs.get(queue=queue)

    @property
    def active(self) -> bool:
        """See `Consumer.active`."""
        channel = self._channel
        return self._begun and channel is not None and channel.is_open and self._tag in channel.raw.consumer_tags

    @property
    def awaiting(self) -> bool:
        """See `Consumer.awaiting`."""
        return self._returning is not None

    async def cancel(self) -> None:
        """See `Consumer.cancel`."""
        if self._cancelled:
            return
        self._cancelled = True
        self._stop_waiting()
        channel = self._channel
        if channel is not None and channel.is_open:
            try:
                await self._stop(channel)
            except (ChannelLost, TimeoutError) as problem:
                self._log.info("broker.cancel_unanswered", cause=str(problem))
        self._wake.set()

    async def abandon(self) -> None:
        """Cancel it, and give back what came, in its order: nobody has it."""
        await self.cancel()
        for delivery in tuple(self._out.values()):
            channel, tag = delivery.tag
            channel.settle(tag, ack=False)

    async def serve(self, seats: Seats, session: Session) -> bool:
        """Consume on a channel until it is lost; return whether the subscription is still wanted.

        Raises:
            ChannelLost: the queue does not exist (404), or consuming it was refused.
            TimeoutError: the broker did not answer.
        """
        if self._cancelled:
            return False
        try:
            async with seats.take(session, alone=self._risky) as seat:
                lost = await self._serve(seat)
        except (ChannelLost, TimeoutError) as problem:
            if session.is_open:
                self._risky = True
                self.refusal = f"{self.queue} cannot be consumed: {problem}"
            if isinstance(problem, ChannelLost) and problem.code == ACCESS_REFUSED:
                # Of a queue with a single active consumer nobody may ask to be the only one: asked for in turns.
                self._exclusively = not self._exclusively and self._exclusive
                self.refusal = f"{self.queue} cannot be consumed, another Maestro may be at it: {problem}"
            self._await_again(gone=isinstance(problem, ChannelLost) and problem.no_queue)
            if self._delivered:
                self._tell_lost()
            raise
        if lost is None:
            return False
        self._log.warning("broker.consumer_lost", cause=lost)
        self._await_again(gone=lost is _DELETED)
        self._tell_lost()
        return not self._cancelled

    async def _serve(self, seat: Seat) -> str | None:
        """Return why the deliveries are void, or None when cancelled and all of them are settled."""
        channel = seat.channel
        self._out, self._delivered = {}, False
        self._channel = channel

        def cancelled(_frame: Any) -> None:
            self._wake.set()

        channel.raw.add_on_cancel_callback(cancelled)
        try:
            while self._returning is not None and not (self._returning.coming or self._cancelled):
                async with seat.turn:
                    await self._consume(seat, single=True)
                self._wait_a_while()
                lost = await self._until_lost(channel)
                if lost is not _TAKEN:
                    return lost
                if self._returning is not None and not self._returning.coming:
                    await asyncio.sleep(PROBE_EVERY)
            async with seat.turn:
                await self._consume(seat)
            self._wait_a_while()
            return await self._until_lost(channel)
        finally:
            self._channel = None
            channel.raw.callbacks.remove(channel.raw.channel_number, Basic.Cancel, cancelled)
            if seat.shared:  # it lives on for others, and nobody settles any more what came over it
                held = self._returning.held if self._returning is not None else ()
                for tag in (*self._out, *(delivery.tag[1] for delivery in held)):
                    channel.settle(tag, ack=False)

    async def _consume(self, seat: Seat, *, single: bool = False) -> None:
        """Begin to consume: one message, or for good. What was cancelled meanwhile is not begun."""
        channel = seat.channel
        self._taken = self._begun = False
        await seat.prefetch(1 if single else self._prefetch)
        if self._cancelled:
            return
        self._wake.clear()
        # The tag is ours, for deliveries may come before the reply that would carry one. Tags sort as they were given:
        # a quorum queue goes through the consumers of a lost channel in their order.
        self._tag = f"maestro-{next(_tags):010x}"
        self._priority = min(self._priority - 1, _PRIORITY_SINCE - int(time.time()))
        # Exclusive where the queue allows it: another consumer, there by mistake, gets an error. Nothing rests on it.
        # The price: of a connection that the network swallowed, the broker must first miss the heartbeats.
        await channel.call(
            channel.raw.basic_consume,
            self.queue,
            self._deliverer(channel, self._tag, single=single),
            exclusive=self._exclusively,
            consumer_tag=self._tag,
            arguments={"x-priority": self._priority} if self._returned_within else None,
        )
        self.refusal = ""
        self._risky = False
        self._begun = True
        self.attempted.set()

    async def _stop(self, channel: Channel) -> None:
        """Stop deliveries, and return once the broker has. Those on their way are handed over yet.

        Without `basic_cancel`, which would give each of them back, behind younger ones, and takes the first answer on
        the channel for its own: that of another consumer, while ours waits to be sent.
        """
        raw, tag = channel.raw, self._tag
        if tag not in raw.consumer_tags:
            return
        with channel.reply() as answer:

            def stopped(frame: Any) -> None:
                raw._on_cancelok(frame)  # noqa: SLF001 - see above
                resolve(answer, frame)

            of_ours = [(Basic.CancelOk, {"consumer_tag": tag})]
            channel.tell(raw._rpc, Basic.Cancel(consumer_tag=tag), stopped, of_ours)  # noqa: SLF001 - see above
            await channel.within(answer)

    async def _until_lost(self, channel: Channel) -> str | None:
        """Return why the deliveries are void, or None when cancelled and all of them are settled; _TAKEN."""
        lost = asyncio.ensure_future(channel.wait_lost())
        try:
            while True:
                woken = asyncio.ensure_future(self._wake.wait())
                try:
                    await asyncio.wait([lost, woken], return_when=asyncio.FIRST_COMPLETED)
                finally:
                    woken.cancel()
                if lost.done():
                    return None if self._cancelled else str(lost.result())
                self._wake.clear()
                stopped = self._tag not in channel.raw.consumer_tags
                if self._cancelled and stopped and not self._out:
                    return None
                if self._taken and not self._cancelled:
                    return _TAKEN
                if not self._cancelled and stopped:
                    self._risky = True
                    return _DELETED
        finally:
            lost.cancel()

    def _deliverer(self, channel: Channel, consumer: str, *, single: bool) -> Callable[[Any, Any, Any, bytes], None]:
        def deliver(_raw: Any, method: Any, properties: Any, body: bytes) -> None:
            if single:  # before it may be acknowledged: nothing comes after it
                channel.raw._consumers.pop(consumer, None)  # noqa: SLF001 - pika's own cancel may have to wait its turn
                channel.tell(channel.raw._send_method, Basic.Cancel(consumer_tag=consumer, nowait=True))  # noqa: SLF001
                self._taken = True
                self._wake.set()
            tag = method.delivery_tag
            self._delivered = True
            channel.note(tag, lambda: self._settled(tag))
            delivery = delivery_of(self.queue, (channel, tag), method.redelivered, properties, body)
            self._hand_over([delivery] if self._returning is None else self._take(self._returning, delivery))

        return deliver

    def _hand_over(self, deliveries: Iterable[Delivery]) -> None:
        for delivery in deliveries:
            channel, tag = delivery.tag
            self._out[tag] = delivery
            try:
                self._on_delivery(delivery)
            except Exception:  # noqa: BLE001 - logged; the task must not die of it
                self._log.exception("broker.delivery_failed", message_id=delivery.message_id)
                asyncio.get_running_loop().call_later(REQUEUE_PAUSE, partial(channel.settle, tag, ack=False))

    def _settled(self, tag: int) -> None:
        self._out.pop(tag, None)
        if not self._out:
            self._wake.set()

    # --- what was out when a channel was lost ------------------------------------------------------------------

    def _await_again(self, *, gone: bool) -> None:
        """The channel is lost: what was out comes again, unless its queue is gone."""
        self._stop_waiting()
        out = [mark_of(each) for each in self._out.values()] if self._returned_within else []
        if self._returning is None:
            self._bounds = Bounds(self._returned_within)
        returning = (self._returning or Returning()).next(out)
        self._bounds.add(returning.loss)
        self._returning = None if gone or returning.complete else returning
        self._out = {}

    def _take(self, returning: Returning, delivery: Delivery) -> list[Delivery]:
        """Return what is to be handed over now that this has come."""
        found = returning.take(delivery)
        if returning.complete:
            self._stop_waiting()
            if not returning.held:
                self._returning = None
            elif not self._cancelled:
                self._deadline = asyncio.get_running_loop().call_later(NO_MORE_AFTER, self._go_on)
        return found

    def _wait_a_while(self) -> None:
        """Wait for what was out, or was held back for it, from its first consumer on; not without end."""
        if self._deadline is None and self._returning is not None and not self._cancelled:
            loop = asyncio.get_running_loop()
            self._deadline = loop.call_later(self._bounds.run(loop.time()), self._go_on)

    def _go_on(self) -> None:
        """Hand over what was held back: all has come again, or what was lost first will not."""
        self._deadline, returning = None, self._returning
        if returning is None:
            return
        held_back = len(returning.held)
        missing, found = (0, returning.give_up()) if returning.complete else returning.give_up_on(self._bounds.pop())
        if returning.complete:
            self._returning = None
        if missing:
            self._log.warning("broker.unreturned", missing=missing, held_back=held_back, after=self._returned_within)
            self._on_unreturned(missing)
        self._hand_over(found)
        self._wait_a_while()

    def _stop_waiting(self) -> None:
        self._bounds.stand(asyncio.get_running_loop().time())
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _tell_lost(self) -> None:
        try:
            self._on_lost()
        except Exception:  # noqa: BLE001 - logged; the connection must not die of it
            self._log.exception("broker.on_lost_failed")


def delivery_of(queue: str, tag: Any, redelivered: bool, properties: Properties, body: bytes) -> Delivery:  # noqa: FBT001
    """Build a `Delivery` from what pika hands out."""
    return Delivery(
        queue=queue,
        body=body,
        message_id=properties.message_id,
        headers=properties.headers,
        redelivered=redelivered,
        tag=tag,
        problem=properties.problem,
        properties=properties,
    )
