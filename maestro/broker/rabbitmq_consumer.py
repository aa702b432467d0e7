"""One subscription on RabbitMQ, begun again for as long as it is wanted."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

from maestro import logs
from maestro.broker.base import Delivery
from maestro.broker.rabbitmq_problem import ACCESS_REFUSED
from maestro.broker.rabbitmq_properties import Properties
from maestro.broker.rabbitmq_seats import Seat, Seats
from maestro.broker.rabbitmq_session import Channel, ChannelLost, Session

#: Seconds that a delivery is held back when its callback failed, so that it does not come round in a hot loop.
REQUEUE_PAUSE: Final = 0.5

OpenChannel = Callable[[], Awaitable[Channel]]


class Subscription:
    """Implements `Consumer`. `run` is its life; the broker owns the task."""

    def __init__(
        self,
        queue: str,
        prefetch: int,
        on_delivery: Callable[[Delivery], None],
        on_lost: Callable[[], None],
        *,
        exclusive: bool = True,
    ) -> None:
        self._exclusive = self._exclusively = exclusive
        self.queue = queue
        self._prefetch = prefetch
        self._on_delivery = on_delivery
        self._on_lost = on_lost
        self._channel: Channel | None = None
        self._tag = ""
        #: Tags of the deliveries that are neither acked nor requeued, of this attempt.
        self._out: set[int] = set()
        self._delivered = False
        #: The last attempt failed, so that the next may cost its channel: it gets one of its own.
        self._risky = False
        self._cancelled = False
        self._wake = asyncio.Event()
        #: Set once the first attempt to consume has ended, one way or the other.
        self.attempted = asyncio.Event()
        #: Why the broker does not let it consume; empty when it does, or could not be asked.
        self.refusal = ""
        self._log = logs.get(queue=queue)

    async def cancel(self) -> None:
        """See `Consumer.cancel`."""
        if self._cancelled:
            return
        self._cancelled = True
        channel = self._channel
        if channel is not None and channel.is_open and self._tag:
            try:
                await channel.call(channel.raw.basic_cancel, self._tag)
            except (ChannelLost, TimeoutError) as problem:
                self._log.info("broker.cancel_unanswered", cause=str(problem))
        self._wake.set()

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
            if self._delivered:
                self._tell_lost()
            raise
        if lost is None:
            return False
        self._log.warning("broker.consumer_lost", cause=lost)
        self._tell_lost()
        return not self._cancelled

    async def _serve(self, seat: Seat) -> str | None:
        """Return why the deliveries are void, or None when cancelled and all of them are settled."""
        channel = seat.channel
        self._out, self._delivered = set(), False
        try:
            async with seat.turn:
                await self._consume(channel)
            return await self._until_lost(channel)
        finally:
            self._channel = None
            for tag in list(self._out) if seat.shared else ():  # of a queue that is gone: nobody settles them any more
                channel.settle(tag, ack=True)

    async def _consume(self, channel: Channel) -> None:
        self._wake.clear()
        self._channel = channel
        await channel.call(channel.raw.basic_qos, prefetch_count=self._prefetch)
        channel.raw.add_on_cancel_callback(lambda _frame: self._wake.set())
        # The tag is ours, for deliveries may come before the reply that would carry one.
        self._tag = f"maestro-{id(self):x}"
        # Exclusive where the queue allows it: another consumer, there by mistake, gets an error. Nothing rests on it.
        # The price: of a connection that the network swallowed, the broker must first miss the heartbeats.
        await channel.call(
            channel.raw.basic_consume,
            self.queue,
            self._deliverer(channel),
            exclusive=self._exclusively,
            consumer_tag=self._tag,
        )
        self.refusal = ""
        self._risky = False
        self.attempted.set()
        if self._cancelled:
            await channel.call(channel.raw.basic_cancel, self._tag)

    async def _until_lost(self, channel: Channel) -> str | None:
        """Return why the deliveries are void, or None when cancelled and all of them are settled."""
        lost = asyncio.ensure_future(channel.wait_lost())
        try:
            while True:
                woken = asyncio.ensure_future(self._wake.wait())
                await asyncio.wait([lost, woken], return_when=asyncio.FIRST_COMPLETED)
                woken.cancel()
                if lost.done():
                    return None if self._cancelled else str(lost.result())
                self._wake.clear()
                if self._cancelled and not self._out:
                    return None
                if not self._cancelled and self._tag not in channel.raw.consumer_tags:
                    self._risky = True
                    return "RabbitMQ cancelled the consumer: its queue was deleted"
        finally:
            lost.cancel()

    def _deliverer(self, channel: Channel) -> Callable[[Any, Any, Any, bytes], None]:
        def deliver(_raw: Any, method: Any, properties: Any, body: bytes) -> None:
            tag = method.delivery_tag
            self._delivered = True
            self._out.add(tag)
            channel.note(tag, lambda: self._settled(tag))
            delivery = delivery_of(self.queue, (channel, method.delivery_tag), method.redelivered, properties, body)
            try:
                self._on_delivery(delivery)
            except Exception:  # noqa: BLE001 - logged; the task must not die of it
                self._log.exception("broker.delivery_failed", message_id=delivery.message_id)
                asyncio.get_running_loop().call_later(
                    REQUEUE_PAUSE, lambda: channel.settle(method.delivery_tag, ack=False)
                )

        return deliver

    def _settled(self, tag: int) -> None:
        self._out.discard(tag)
        if not self._out:
            self._wake.set()

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
