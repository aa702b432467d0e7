"""Serves the gateway's application on a port, and stops it in good order."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, NamedTuple

from aiohttp import web

from maestro.http.connection import Connection
from maestro.settings import HttpSettings

#: Seconds that requests under way have to end when the gateway stops.
GRACE: Final = 5.0
#: Connections the kernel holds until they are accepted.
BACKLOG: Final = 1024


class BindError(Exception):
    """The gateway cannot listen where it was told to; the message names the address and the reason."""


class Address(NamedTuple):
    """Where the gateway listens."""

    host: str
    port: int

    @property
    def url(self) -> str:
        """The address as a URL."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"


@asynccontextmanager
async def serve_http(app: web.Application, settings: HttpSettings) -> AsyncIterator[Address]:
    """Serve `app` while the context is open. On leaving, requests under way get up to `GRACE` seconds.

    Raises:
        BindError: the port is in use, or the host is not this machine's.
    """
    # aiohttp waits twice: for the handler, then for its task.
    runner = web.AppRunner(app, shutdown_timeout=GRACE / 2)
    await runner.setup()
    try:
        listener = await _listen(runner, settings)
        try:
            yield Address(*listener.sockets[0].getsockname()[:2])
        finally:
            listener.close()
    finally:
        await runner.cleanup()


async def _listen(runner: web.AppRunner, settings: HttpSettings) -> asyncio.Server:
    manager = runner.server
    assert manager is not None, "set up"
    loop = asyncio.get_running_loop()
    try:
        return await loop.create_server(
            lambda: Connection(manager, loop), settings.host, settings.port, backlog=BACKLOG
        )
    except OSError as problem:
        where = f"{settings.host}:{settings.port}"
        raise BindError(f"http: cannot listen on {where}: {problem.strerror or problem}") from problem
