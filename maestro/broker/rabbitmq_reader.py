"""Single messages taken off RabbitMQ's queues.

Each queue has a channel of its own: taking from a missing queue closes the channel, and with it would void
the unsettled deliveries of other queues.
"""

import asyncio
from collections import OrderedDict
from typing import Any, Final

import pika
from pika.spec import Basic

from maestro.broker.base import Delivery
from maestro.broker.rabbitmq_consumer import OpenChannel, delivery_of
from maestro.broker.rabbitmq_problem import NOT_FOUND
from maestro.broker.rabbitmq_session import Channel, ChannelLost

#: Idle channels kept open for the next message of their queue.
KEPT: Final = 32


class _Taking:
    """Some messages being taken off a queue: each is asked for as the one before it comes."""

    def __init__(self, queue: str, count: int, channel: Channel, answer: asyncio.Future[list[Delivery]]) -> None:
        self._queue = queue
        self._count = count
        self._channel = channel
        self._answer = answer
        self._taken: list[Delivery] = []

    def begin(self) -> None:
        """Ask for the first. Raises `ChannelLost`."""
        try:
            self._channel.raw.basic_get(self._queue, self._on_message)
        except pika.exceptions.AMQPError as problem:
            raise ChannelLost(0, repr(problem)) from problem

    def end(self) -> None:
        """No more come."""
        if not self._answer.done():
            self._answer.set_result(self._taken)

    def _on_message(self, raw: Any, method: Any, properties: Any, body: bytes) -> None:
        tag = method.delivery_tag
        self._channel.note(tag)
        if self._answer.done():  # nobody waits any more
            self._channel.settle(tag, ack=False)
            return
        self._taken.append(delivery_of(self._queue, (self._channel, tag), method.redelivered, properties, body))
        if len(self._taken) < self._count:
            raw.basic_get(self._queue, self._on_message)
        else:
            self.end()


class _Seat:
    """The channel of one queue, used by one caller at a time."""

    def __init__(self, queue: str) -> None:
        self.turn = asyncio.Lock()
        self.channel: Channel | None = None
        self._queue = queue
        self._taking: _Taking | None = None

    async def take(self, count: int, open_channel: OpenChannel) -> list[Delivery]:
        """Take up to `count` messages. Raises `ChannelLost`, `TimeoutError`."""
        if self.channel is None or not self.channel.is_open:
            self.channel = channel = await open_channel()
            channel.raw.add_callback(lambda _frame: self._on_empty(channel), [Basic.GetEmpty], one_shot=False)
        with self.channel.reply() as answer:
            self._taking = _Taking(self._queue, count, self.channel, answer)
            self._taking.begin()
            taken: list[Delivery] = await self.channel.within(answer)
            return taken

    def _on_empty(self, channel: Channel) -> None:
        if self._taking is not None and channel is self.channel:
            self._taking.end()


class Reader:
    """`Broker.get_some` over the sessions that come and go."""

    def __init__(self) -> None:
        self._seats: OrderedDict[str, _Seat] = OrderedDict()

    async def take(self, queue: str, count: int, open_channel: OpenChannel) -> list[Delivery]:
        """Take up to `count` messages; none when the queue is missing. Raises `ChannelLost`, `TimeoutError`."""
        seat = self._seats.get(queue)
        if seat is None:
            seat = self._seats[queue] = _Seat(queue)
        self._seats.move_to_end(queue)
        async with seat.turn:
            try:
                taken = await seat.take(count, open_channel)
            except ChannelLost as lost:
                if lost.code != NOT_FOUND:
                    raise
                taken = []
        self._close_idle()
        return taken

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
