"""What the doctor says of siblings that are there and do not answer."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest

from maestro.doctor import siblings
from maestro.doctor.finding import Level
from maestro.settings.model import PlatformSettings, Sibling

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def frozen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()  # to the end: who asks has given up
    await close(writer)


async def hangs_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    await close(writer)


async def close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


@pytest.mark.parametrize(("does", "says"), [(frozen, "no answer within 0.2 s"), (hangs_up, "Server disconnected")])
async def test_why_the_event_manager_does_not_answer(monkeypatch: pytest.MonkeyPatch, does: Handler, says: str) -> None:
    monkeypatch.setattr(siblings, "_TIMEOUT", 0.2)
    ended = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await does(reader, writer)
        ended.set()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    settings = PlatformSettings(event_manager=Sibling(host="127.0.0.1", port=port))
    async with server:
        found = await siblings._event_manager(settings)
        await asyncio.wait_for(ended.wait(), 5)
    assert (found.level, found.message) == (Level.PROBLEM, f"{settings.event_manager.url}: {says}")
