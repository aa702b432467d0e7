"""A session's channels: one that pika closes without telling is found out; acknowledgements travel together."""

import asyncio
from collections.abc import Callable
from typing import Any

import pika
import pytest

from maestro.broker import rabbitmq_session
from maestro.broker.rabbitmq_session import Session


class RawChannel:
    """What of pika's channel a session looks at."""

    def __init__(self) -> None:
        self.is_closed = False
        self.is_closing = False
        self.acks: list[tuple[int, bool]] = []
        self.requeued: list[int] = []
        self.order: list[str] = []

    @property
    def is_open(self) -> bool:
        return not self.is_closed

    def add_on_close_callback(self, callback: Callable[..., None]) -> None:
        """It is never called: that is the case here."""

    def basic_ack(self, tag: int, *, multiple: bool = False) -> None:
        if self.is_closed:
            raise pika.exceptions.ChannelWrongStateError("closed")
        self.acks.append((tag, multiple))
        self.order.append("ack")

    def basic_nack(self, tag: int, *, requeue: bool) -> None:
        assert requeue
        self.requeued.append(tag)

    def close(self) -> None:
        self.is_closed = True
        self.order.append("close")


class RawConnection:
    """A connection that opens at once, and whose channels do."""

    is_open = True
    is_closed = is_closing = False

    def __init__(self, _parameters: object, on_open_callback: Callable[[object], None], **_callbacks: Any) -> None:
        self.channels: list[RawChannel] = []
        asyncio.get_running_loop().call_soon(on_open_callback, self)

    def add_on_connection_blocked_callback(self, _callback: object) -> None: ...

    def add_on_connection_unblocked_callback(self, _callback: object) -> None: ...

    def close(self) -> None:
        for channel in self.channels:
            channel.close()

    def channel(self, on_open_callback: Callable[[object], None]) -> RawChannel:
        self.channels.append(RawChannel())
        asyncio.get_running_loop().call_soon(on_open_callback, self.channels[-1])
        return self.channels[-1]


@pytest.fixture
async def session(monkeypatch: pytest.MonkeyPatch) -> Session:
    monkeypatch.setattr(rabbitmq_session, "_Connection", RawConnection)
    monkeypatch.setattr(rabbitmq_session, "WATCH_INTERVAL", 0.01)
    return await Session.open(pika.ConnectionParameters(), 1.0)


async def test_a_channel_that_was_closed_without_telling_is_lost(session: Session) -> None:
    first, second = await session.channel(), await session.channel()
    waiting = [asyncio.create_task(each.wait_lost()) for each in (first, second)]
    await asyncio.sleep(0.05)
    assert not any(task.done() for task in waiting)
    first.raw.is_closed = True
    assert (await asyncio.wait_for(waiting[0], 1.0)).code == 0
    assert not waiting[1].done()
    second.raw.is_closed = True
    assert (await asyncio.wait_for(waiting[1], 1.0)).code == 0


async def test_who_stops_waiting_for_a_channel_leaves_it_as_it_is(session: Session) -> None:
    channel = await session.channel()
    waiting = asyncio.create_task(channel.wait_lost())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.sleep(0.03)
    assert channel.is_open
    channel.raw.is_closed = True
    assert (await asyncio.wait_for(channel.wait_lost(), 1.0)).code == 0


@pytest.mark.parametrize(
    ("delivered", "acked", "sent"),
    [
        ([1, 2, 3], [1], [(1, True)]),
        ([1, 2, 3], [1, 2, 3], [(3, True)]),
        ([1, 2, 3], [3, 1, 2], [(3, True)]),
        ([1, 2, 3], [2, 3], [(2, False), (3, False)]),
        ([1, 2, 3, 4], [1, 2, 4], [(2, True), (4, False)]),
        ([1, 2, 3], [2, 2], [(2, False)]),
        ([5, 6], [4], []),
    ],
)
async def test_acknowledgements_of_one_turn_share_a_frame(
    session: Session, delivered: list[int], acked: list[int], sent: list[tuple[int, bool]]
) -> None:
    channel = await session.channel()
    for tag in delivered:
        channel.note(tag)
    for tag in acked:
        channel.settle(tag, ack=True)
    assert channel.raw.acks == []
    await asyncio.sleep(0)
    assert channel.raw.acks == sent


async def test_what_was_requeued_is_no_part_of_an_acknowledgement(session: Session) -> None:
    channel = await session.channel()
    for tag in (1, 2, 3):
        channel.note(tag)
    channel.settle(1, ack=True)
    channel.settle(2, ack=False)
    channel.settle(3, ack=True)
    assert channel.raw.requeued == [2]  # before the acknowledgement of all up to 3, which then leaves it out
    await asyncio.sleep(0)
    assert channel.raw.acks == [(3, True)]


async def test_closing_sends_what_was_acknowledged_before(session: Session) -> None:
    first, second = await session.channel(), await session.channel()
    closing = asyncio.create_task(session.close())  # it has its turn before what is gathered from now on goes out
    for channel in (first, second):
        channel.note(1)
        channel.settle(1, ack=True)
    first.close()
    assert first.raw.order == ["ack", "close"]
    await asyncio.sleep(0)
    assert second.raw.order == ["ack", "close"]
    closing.cancel()


async def test_acknowledgements_for_a_channel_that_is_lost_meanwhile_are_void(session: Session) -> None:
    channel = await session.channel()
    channel.note(1)
    channel.settle(1, ack=True)
    channel.raw.is_closed = True
    channel.flush()
    assert channel.raw.acks == []


async def test_a_connection_that_breaks_within_the_sending_harms_nobody(session: Session) -> None:
    channel = await session.channel()

    def break_off(_tag: int, *, multiple: bool) -> None:
        assert multiple
        raise pika.exceptions.ConnectionWrongStateError("broken")

    channel.raw.basic_ack = break_off
    channel.note(1)
    channel.settle(1, ack=True)
    channel.close()
    assert channel.raw.order == ["close"]


async def test_one_that_is_given_up_while_it_is_made_leaves_no_error_behind() -> None:
    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1024):
            pass
        writer.close()

    errors: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: errors.append(context))
    async with await asyncio.start_server(say_nothing, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        opening = asyncio.create_task(Session.open(pika.ConnectionParameters("127.0.0.1", port), 5.0))
        await asyncio.sleep(0.1)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        await asyncio.sleep(0.1)
    assert errors == []
