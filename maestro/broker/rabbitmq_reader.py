"""Single messages taken off RabbitMQ's queues.

Each queue has a channel of its own: taking from a missing queue closes the channel, and with it would void
the unsettled deliveries of other queues.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any, Final

import pika
from pika.spec import Basic

from maestro.broker.base import Delivery
from maestro.broker.rabbitmq_consumer import delivery_of
from maestro.broker.rabbitmq_problem import NOT_FOUND
from maestro.broker.rabbitmq_session import Channel, ChannelLost

#: Idle channels kept open for the next message of their queue.
KEPT: Final = 32


class _Seat:
    """The channel of one queue, used by one caller at a time."""

    def __init__(self) -> None:
        self.turn = asyncio.Lock()
        self.channel: Channel | None = None
        self.answer: asyncio.Future[Any] | None = None

    def on_empty(self, _frame: Any) -> None:
        if self.answer is not None and not self.answer.done():
            self.answer.set_result(None)


class Reader:
    """`Broker.get` over the sessions that come and go."""

    def __init__(self) -> None:
        self._seats: OrderedDict[str, _Seat] = OrderedDict()

    async def get(self, queue: str, open_channel: Callable[[], Awaitable[Channel]]) -> Delivery | None:
        """Take one message; None when the queue is empty or missing. Raises `ChannelLost`, `TimeoutError`."""
        seat = self._seats.setdefault(queue, _Seat())
        self._seats.move_to_end(queue)
        async with seat.turn:
            try:
                if seat.channel is None or not seat.channel.is_open:
                    seat.channel = await open_channel()
                    seat.channel.raw.add_callback(seat.on_empty, [Basic.GetEmpty], one_shot=False)
                found = await self._take(seat, seat.channel, queue)
            except ChannelLost as lost:
                if lost.code != NOT_FOUND:
                    raise
                found = None
        self._close_idle()
        return found

    async def _take(self, seat: _Seat, channel: Channel, queue: str) -> Delivery | None:
        with channel.reply() as answer:
            seat.answer = answer

            def take(_raw: Any, method: Any, properties: Any, body: bytes) -> None:
                channel.note(method.delivery_tag)
                tag = (channel, method.delivery_tag)
                delivery = delivery_of(queue, tag, method.redelivered, properties, body)
                if answer.done():  # nobody waits any more
                    channel.settle(method.delivery_tag, ack=False)
                else:
                    answer.set_result(delivery)

            try:
                channel.raw.basic_get(queue, take)
            except pika.exceptions.AMQPError as problem:
                raise ChannelLost(0, repr(problem)) from problem
            found: Delivery | None = await channel.within(answer)
            return found

    def _close_idle(self) -> None:
        """Close the channels longest unused, but none that still has something to settle."""
        for queue, seat in tuple(self._seats.items()):
            if len(self._seats) <= KEPT:
                return
            if seat.turn.locked() or (seat.channel is not None and seat.channel.is_open and seat.channel.unsettled):
                continue
            if seat.channel is not None:
                seat.channel.close()
            del self._seats[queue]
