"""Single messages taken off RabbitMQ's queues.

Each queue has a channel of its own: taking from a missing queue closes the channel, and with it would void
the unsettled deliveries of other queues.

Some messages are asked for in one go, and the broker answers each question in turn. pika would have one asked at a
time; but a round trip for each message costs both sides more than all else about it.
"""

import asyncio
from collections import OrderedDict
from typing import Any, Final

import pika
from pika.spec import Basic

from maestro.broker.base import Delivery
from maestro.broker.rabbitmq_consumer import OpenChannel, delivery_of
from maestro.broker.rabbitmq_session import Channel, ChannelLost

#: Idle channels kept open for the next message of their queue.
KEPT: Final = 32


class _Taking:
    """Some messages being taken off a queue."""

    def __init__(self, queue: str, count: int, channel: Channel, answer: asyncio.Future[list[Delivery]]) -> None:
        self._queue = queue
        #: Questions that are not answered.
        self._left = count
        self._channel = channel
        self._answer = answer
        self._taken: list[Delivery] = []

    def begin(self) -> None:
        """Ask for all of them. Raises `ChannelLost`."""
        try:
            self._await_message()
            for _ in range(self._left):
                self._channel.raw._send_method(Basic.Get(queue=self._queue))  # noqa: SLF001 - see the module
        except pika.exceptions.AMQPError as problem:
            raise ChannelLost(0, repr(problem)) from problem

    def _await_message(self) -> None:
        """Have the next message handed over: pika forgets whom with each answer."""
        self._channel.raw._on_getok_callback = self._on_message  # noqa: SLF001 - see the module

    def _on_message(self, _raw: Any, method: Any, properties: Any, body: bytes) -> None:
        tag = method.delivery_tag
        self._channel.note(tag)
        if self._answer.done():  # nobody waits any more
            self._channel.settle(tag, ack=False)
        else:
            self._taken.append(delivery_of(self._queue, (self._channel, tag), method.redelivered, properties, body))
        self.count_answer()

    def count_answer(self) -> None:
        """One question is answered, perhaps with no message; there may be one for the next."""
        self._left -= 1
        if self._left:
            self._await_message()
        elif not self._answer.done():
            self._answer.set_result(self._taken)


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
            self._taking.count_answer()


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
                if not lost.no_queue:
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
