"""One subscription on a channel that it may share: pika's own channel, and a broker that answers when it is told to."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import count
from typing import Any, cast

import pika
import pytest
from pika.amqp_object import Method
from pika.callback import CallbackManager
from pika.spec import Basic
from pika.spec import Channel as Spec

from maestro.broker import rabbitmq_consumer
from maestro.broker.base import Delivery
from maestro.broker.rabbitmq_consumer import Subscription
from maestro.broker.rabbitmq_properties import Properties
from maestro.broker.rabbitmq_returning import Returning
from maestro.broker.rabbitmq_seats import SHARERS, SPREAD, Seat, Seats
from maestro.broker.rabbitmq_session import Channel, ChannelLost, Session
from tests.support.brokers import eventually

#: What a broker answers to what.
ANSWERS: dict[type[Method], Callable[[Any], Method]] = {
    Spec.Open: lambda _asked: Spec.OpenOk(),
    Basic.Qos: lambda _asked: Basic.QosOk(),
    Basic.Consume: lambda asked: Basic.ConsumeOk(asked.consumer_tag),
    Basic.Cancel: lambda asked: Basic.CancelOk(asked.consumer_tag),
}


class Server:
    """pika's connection with one channel, `raw`, and the broker behind it."""

    def __init__(self, timeout: float = 5.0) -> None:
        self.callbacks = CallbackManager()
        self.sent: list[Any] = []
        #: What is answered by `answer` only.
        self.slow: set[type[Method]] = set()
        self.raw = pika.channel.Channel(self, 1, lambda _raw: None)
        self.raw.open()
        self.answer(Spec.Open)
        self.channel = Channel(self.raw, timeout)
        self._tags = count(1)

    def _send_method(self, _number: int, method: Any, _content: Any = None) -> None:
        self.sent.append(method)
        if type(method) in ANSWERS and type(method) is not Spec.Open and type(method) not in self.slow:
            asyncio.get_running_loop().call_soon(self._reply, ANSWERS[type(method)](method))

    def _reply(self, method: Method) -> None:
        self.callbacks.process(1, type(method), self, pika.frame.Method(1, method))

    def answer(self, kind: type[Method]) -> None:
        """Answer what was sent last of this kind."""
        self._reply(ANSWERS[kind](self.of(kind)[-1]))

    def of(self, kind: type[Method]) -> list[Any]:
        return [method for method in self.sent if type(method) is kind]

    def consumer_of(self, queue: str) -> str:
        return [str(each.consumer_tag) for each in self.of(Basic.Consume) if each.queue == queue][-1]

    def deliver(self, queue: str, name: str, *, again: bool = False) -> None:
        method = Basic.Deliver(self.consumer_of(queue), next(self._tags), again)
        header = pika.frame.Header(1, 2, cast("Any", Properties(b"\x00\x80" + bytes([len(name)]) + name.encode())))
        self.raw._on_deliver(pika.frame.Method(1, method), header, b"{}")

    def lose(self, code: int = 504, text: str = "CHANNEL_ERROR - for the test") -> None:
        """Close the channel."""
        self._reply(Spec.Close(code, text, 0, 0))

    def _on_channel_cleanup(self, _raw: object) -> None: ...


class OneSeat:
    """In place of `Seats`: everybody shares the one channel."""

    def __init__(self, server: Server) -> None:
        self.seat = Seat(server.channel, shared=True)

    @asynccontextmanager
    async def take(self, _session: object, *, alone: bool) -> AsyncIterator[Seat]:
        del alone
        yield self.seat


class OpenSession:
    is_open = True


class Line:
    """A subscription, and what it handed over."""

    def __init__(self, queue: str, returned_within: float = 0.0) -> None:
        self.got: list[Delivery] = []
        self.subscription = Subscription(
            queue, 10, self.got.append, lambda: None, returned_within=returned_within, on_unreturned=self._unreturned
        )
        self.unreturned = 0
        self.serving: asyncio.Task[bool] | None = None

    def _unreturned(self, number: int) -> None:
        self.unreturned += number

    @property
    def ids(self) -> list[str]:
        return [each.message_id for each in self.got]

    def serve(self, seats: OneSeat) -> "asyncio.Task[bool]":
        session = cast("Session", OpenSession())
        self.serving = asyncio.create_task(self.subscription.serve(cast("Seats", seats), session))
        return self.serving

    async def begun(self, seats: OneSeat) -> None:
        self.serve(seats)
        await eventually(lambda: self.subscription.active, "consuming")


@pytest.fixture
async def server() -> Server:
    return Server()


@pytest.fixture
def seats(server: Server) -> OneSeat:
    return OneSeat(server)


@pytest.fixture
def line() -> Iterator[Callable[..., Line]]:
    lines: list[Line] = []

    def new(queue: str, **options: Any) -> Line:
        lines.append(Line(queue, **options))
        return lines[-1]

    yield new
    for each in lines:
        if each.serving is not None:
            each.serving.cancel()


async def a_while() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_cancel_is_over_with_its_own_answer(server: Server, seats: OneSeat, line: Callable[..., Line]) -> None:
    """pika sends one after the other, and takes the first answer for that to each that waits."""
    first, second = line("a"), line("b")
    await first.begun(seats)
    await second.begun(seats)
    server.slow = {Basic.Cancel}
    cancels = [asyncio.create_task(each.subscription.cancel()) for each in (first, second)]
    await a_while()
    server.answer(Basic.Cancel)
    await a_while()
    assert [each.done() for each in cancels] == [True, False]
    server.deliver("b", "on its way")
    assert second.ids == ["on its way"]
    server.answer(Basic.Cancel)
    await a_while()
    assert cancels[1].done()
    assert server.raw.consumer_tags == []
    server.channel.settle(1, ack=True)
    assert not await asyncio.wait_for(asyncio.shield(cast("Any", second.serving)), 1.0)


async def test_what_is_cancelled_before_its_turn_is_not_begun(
    server: Server, seats: OneSeat, line: Callable[..., Line]
) -> None:
    released = line("a")
    async with seats.seat.turn:
        serving = released.serve(seats)
        await a_while()
        await released.subscription.cancel()
    assert not await asyncio.wait_for(serving, 1.0)
    assert server.of(Basic.Consume) == []


async def test_what_is_cancelled_while_its_prefetch_is_set_is_not_begun(
    server: Server, seats: OneSeat, line: Callable[..., Line]
) -> None:
    released = line("a")
    server.slow = {Basic.Qos}
    serving = released.serve(seats)
    await a_while()
    await released.subscription.cancel()
    server.answer(Basic.Qos)
    assert not await asyncio.wait_for(serving, 1.0)
    assert server.of(Basic.Consume) == []


async def test_what_is_cancelled_while_it_is_begun_is_cancelled_behind_it(
    server: Server, seats: OneSeat, line: Callable[..., Line]
) -> None:
    released = line("a")
    server.slow = {Basic.Consume}
    serving = released.serve(seats)
    await a_while()
    cancelling = asyncio.create_task(released.subscription.cancel())
    await a_while()
    assert not cancelling.done()
    server.answer(Basic.Consume)
    await asyncio.wait_for(cancelling, 1.0)
    assert not await asyncio.wait_for(serving, 1.0)
    assert len(server.of(Basic.Cancel)) == 1


async def test_what_comes_to_a_consumer_that_nobody_has_goes_back(
    server: Server, seats: OneSeat, line: Callable[..., Line]
) -> None:
    """Who asked for it gave up while it was begun."""
    nobodys = line("a")
    server.slow = {Basic.Consume, Basic.Cancel}
    serving = nobodys.serve(seats)
    await a_while()
    server.answer(Basic.Consume)
    server.deliver("a", "before")
    abandoning = asyncio.create_task(nobodys.subscription.abandon())
    await a_while()
    server.deliver("a", "on its way")
    server.answer(Basic.Cancel)
    await asyncio.wait_for(abandoning, 1.0)
    assert not await asyncio.wait_for(serving, 1.0)
    assert [nack.delivery_tag for nack in server.of(Basic.Nack)] == [1, 2]


async def test_what_is_cancelled_waits_for_nothing_more(
    server: Server, seats: OneSeat, line: Callable[..., Line]
) -> None:
    """What is on its way may be the last of what was out; what was held back for it goes back all the same."""
    ordered = line("a", returned_within=30.0)
    await ordered.begun(seats)
    server.deliver("a", "old")
    server.deliver("a", "older")
    server.lose()
    assert await asyncio.wait_for(cast("Any", ordered.serving), 1.0)
    server = Server()
    serving = ordered.serve(OneSeat(server))
    await eventually(lambda: ordered.subscription.active, "consuming")
    server.deliver("a", "old", again=True)
    await eventually(lambda: len(server.of(Basic.Consume)) == 2, "consumed for good")
    await a_while()
    server.deliver("a", "young")
    server.slow = {Basic.Cancel}
    cancelling = asyncio.create_task(ordered.subscription.cancel())
    await a_while()
    server.deliver("a", "older", again=True)
    server.answer(Basic.Cancel)
    await cancelling
    assert ordered.ids == ["old", "older", "old", "older"]
    assert ordered.subscription._deadline is None
    for tag in (1, 3):
        server.channel.settle(tag, ack=True)
    assert not await asyncio.wait_for(asyncio.shield(serving), 1.0)
    assert [nack.delivery_tag for nack in server.of(Basic.Nack)] == [2]


@pytest.mark.parametrize(
    ("text", "waits"),
    [
        ("NOT_FOUND - no queue 'a' in vhost '/'", False),
        ("NOT_FOUND - home node 'rabbit@x' of durable queue 'a' in vhost '/' is down or inaccessible", True),
        ("NOT_FOUND - failed to perform operation on queue 'a' in vhost '/' due to timeout", True),
    ],
)
async def test_only_a_queue_that_is_gone_brings_nothing_again(
    server: Server, seats: OneSeat, line: Callable[..., Line], text: str, *, waits: bool
) -> None:
    ordered = line("a", returned_within=30.0)
    await ordered.begun(seats)
    server.deliver("a", "old")
    server.lose()
    await asyncio.wait_for(cast("Any", ordered.serving), 1.0)
    server = Server()
    server.slow = {Basic.Consume}
    serving = ordered.serve(OneSeat(server))
    await a_while()
    server.lose(404, text)
    with pytest.raises(ChannelLost, match="NOT_FOUND"):
        await asyncio.wait_for(serving, 1.0)
    assert (ordered.subscription._returning is not None) is waits


async def test_what_is_out_on_a_shared_channel_is_given_back_when_its_consumer_is_ended(
    server: Server, seats: OneSeat, line: Callable[..., Line]
) -> None:
    """An orderly stop ends the task of each; the channel is closed later, with what is acknowledged sent before."""
    ended = line("a")
    await ended.begun(seats)
    server.deliver("a", "in hand")
    cast("Any", ended.serving).cancel()
    await a_while()
    server.channel.flush()
    assert [nack.delivery_tag for nack in server.of(Basic.Nack)] == [1]
    assert server.of(Basic.Ack) == []


async def test_what_was_held_back_is_not_waited_for_without_end(
    line: Callable[..., Line], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that was out has come; what was held back for it was lost with the next connection, and purged."""
    monkeypatch.setattr(rabbitmq_consumer, "PROBE_EVERY", 0.0)
    ordered = line("a", returned_within=0.4)
    server = Server()
    await ordered.begun(OneSeat(server))
    server.deliver("a", "old")
    server.lose()
    assert await asyncio.wait_for(cast("Any", ordered.serving), 1.0)
    server = Server()
    await ordered.begun(OneSeat(server))
    server.deliver("a", "young")
    await eventually(lambda: len(server.of(Basic.Consume)) == 2, "one more is taken")
    server.deliver("a", "old", again=True)
    await eventually(lambda: len(server.of(Basic.Consume)) == 3, "consumed for good")
    assert ordered.ids == ["old", "old"]
    server.channel.settle(2, ack=True)
    server.lose()
    assert await asyncio.wait_for(cast("Any", ordered.serving), 1.0)
    server = Server()
    await ordered.begun(OneSeat(server))
    server.deliver("a", "newer")
    await eventually(lambda: ordered.ids[-1:] == ["newer"], "handed over")
    assert ordered.unreturned == 1


async def test_what_was_out_is_waited_for_no_longer_because_the_channel_is_lost_again(
    line: Callable[..., Line], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rabbitmq_consumer, "PROBE_EVERY", 0.0)
    ordered = line("a", returned_within=0.5)
    server = Server()
    await ordered.begun(OneSeat(server))
    server.deliver("a", "old")
    began = asyncio.get_running_loop().time()
    for number in range(20):
        server.lose()
        assert await asyncio.wait_for(cast("Any", ordered.serving), 1.0)
        server = Server()
        await ordered.begun(OneSeat(server))
        server.deliver("a", f"young{number}")
        await asyncio.sleep(0.2)
        if ordered.unreturned:
            break
    assert asyncio.get_running_loop().time() - began < 2.0
    server.deliver("a", "younger")
    await eventually(lambda: len(ordered.ids) > 1, "what came since is handed over")


async def test_a_shared_channel_keeps_nothing_of_consumers_that_are_gone(
    server: Server, seats: OneSeat, line: Callable[..., Line]
) -> None:
    def kept() -> int:
        return len(server.callbacks._stack.get("1", {}).get("Basic.Cancel", ()))

    before = kept()
    for number in range(3):
        gone = line(f"q{number}")
        await gone.begun(seats)
        await gone.subscription.cancel()
        await asyncio.wait_for(asyncio.shield(cast("Any", gone.serving)), 1.0)
    assert kept() == before


async def test_a_prefetch_is_set_once_for_all_that_begin_with_it(
    server: Server, seats: OneSeat, line: Callable[..., Line]
) -> None:
    for name in "abc":
        await line(name).begun(seats)
    assert [qos.prefetch_count for qos in server.of(Basic.Qos)] == [10]
    ordered = line("d", returned_within=30.0)
    await ordered.begun(seats)
    server.deliver("d", "old")
    ordered.subscription._returning = Returning().next([b"x"])
    cast("Any", ordered.serving).cancel()
    await a_while()
    ordered.serve(seats)
    await eventually(lambda: len(server.of(Basic.Consume)) == 5, "taken singly")
    await line("e").begun(seats)
    assert [qos.prefetch_count for qos in server.of(Basic.Qos)] == [10, 1, 10]


class ManyChannels:
    """A session with few channels."""

    channel_max = 200
    is_open = True

    def __init__(self) -> None:
        self.opened: list[Channel] = []

    async def channel(self) -> Channel:
        await asyncio.sleep(0)
        self.opened.append(Server().channel)
        return self.opened[-1]


async def test_shared_channels_are_filled_side_by_side_and_there_are_few() -> None:
    session, seats = ManyChannels(), Seats()
    async with AsyncExitStack() as stack:
        taken = [
            await stack.enter_async_context(seats.take(cast("Session", session), alone=False)) for _ in range(68 + 2000)
        ]
    own, shared = [seat for seat in taken if not seat.shared], [seat for seat in taken if seat.shared]
    assert len(own) == 68
    for first in range(0, 2000, 100):
        assert len({id(seat) for seat in shared[first : first + SPREAD]}) > SPREAD / 2
    assert max(Counter(id(seat) for seat in shared).values()) == SHARERS
    assert 32 <= len({id(seat) for seat in shared}) <= 32 + SPREAD
    assert len(session.opened) <= 200
