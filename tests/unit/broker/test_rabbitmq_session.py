"""A session's channels: one that pika closes without telling is found out all the same."""

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

    @property
    def is_open(self) -> bool:
        return not self.is_closed

    def add_on_close_callback(self, callback: Callable[..., None]) -> None:
        """It is never called: that is the case here."""


class RawConnection:
    """A connection that opens at once, and whose channels do."""

    is_open = True
    is_closed = is_closing = False

    def __init__(self, _parameters: object, on_open_callback: Callable[[object], None], **_callbacks: Any) -> None:
        self.channels: list[RawChannel] = []
        asyncio.get_running_loop().call_soon(on_open_callback, self)

    def add_on_connection_blocked_callback(self, _callback: object) -> None: ...

    def add_on_connection_unblocked_callback(self, _callback: object) -> None: ...

    def channel(self, on_open_callback: Callable[[object], None]) -> RawChannel:
        self.channels.append(RawChannel())
        asyncio.get_running_loop().call_soon(on_open_callback, self.channels[-1])
        return self.channels[-1]


@pytest.fixture
async def session(monkeypatch: pytest.MonkeyPatch) -> Session:
    monkeypatch.setattr(rabbitmq_session, "AsyncioConnection", RawConnection)
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
