"""A server that answers with any bytes at all: half an answer, garbage, none."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from maestro.settings.model import PlatformSettings, Sibling
from tests.support.siblings import HOST


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
    """Return settings that lead all siblings to `port`, quick to retry; `overrides` replace further fields."""
    here = Sibling(host=HOST, port=port)
    quick: dict[str, Any] = {"tries": 2, "backoff": 0.01, "backoff_max": 0.02, "answer_timeout": 2.0}
    return PlatformSettings(
        apicore=here, discovery=here, process_memory=here, event_manager=here, **(quick | overrides)
    )
