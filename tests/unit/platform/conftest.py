"""The sibling double, the real clients against it, and servers that do not even speak HTTP."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from maestro.platform import Platform
from maestro.settings import PlatformSettings, Sibling
from tests.support.siblings import HOST, RecordingSiblings


@pytest.fixture
async def siblings() -> AsyncIterator[RecordingSiblings]:
    async with RecordingSiblings(["sysA", "sysB"]) as double:
        yield double


@pytest.fixture
async def platform(siblings: RecordingSiblings) -> AsyncIterator[Platform]:
    async with await Platform.open(siblings.settings()) as clients:
        yield clients


@asynccontextmanager
async def raw_server(answer: bytes, *, hold: bool = False) -> AsyncIterator[PlatformSettings]:
    """Answer each request with these bytes, then hang up (or `hold` the connection); yield settings that lead there."""

    connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connections[task] = writer
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(answer)
                await writer.drain()
                if not hold:
                    break
        writer.close()

    server = await asyncio.start_server(serve, HOST, 0)
    try:
        yield settings_for(server.sockets[0].getsockname()[1])
    finally:
        server.close()
        for writer in connections.values():
            writer.close()
        await asyncio.gather(*connections)
        await server.wait_closed()


def settings_for(port: int, **overrides: Any) -> PlatformSettings:
    here = Sibling(host=HOST, port=port)
    quick: dict[str, Any] = {"tries": 2, "backoff": 0.01, "backoff_max": 0.02, "answer_timeout": 2.0}
    return PlatformSettings(
        apicore=here, discovery=here, process_memory=here, event_manager=here, **(quick | overrides)
    )
