"""Serves the gateway's application on a port, and stops it in good order."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, NamedTuple

from aiohttp import web

from maestro.http.connection import Connection
from maestro.http.crowd import Crowd
from maestro.http.keys import QUIET
from maestro.http.log_limits import Quiet
from maestro.ports import why
from maestro.settings.model import HttpSettings

#: Seconds that requests under way have to end when the gateway stops.
GRACE: Final = 5.0
#: Seconds a client has for the TLS handshake.
HANDSHAKE: Final = 10.0
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
        return self._url("http")

    def _url(self, scheme: str) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{host}:{self.port}"


class TlsAddress(Address):
    """Where the gateway listens for HTTPS."""

    __slots__ = ()

    @property
    def url(self) -> str:
        """The address as a URL."""
        return self._url("https")


@asynccontextmanager
async def serve_http(app: web.Application, settings: HttpSettings) -> AsyncIterator[Address]:
    """Serve `app` while the context is open. On leaving, requests under way get up to `GRACE` seconds.

    Raises:
        BindError: the port is in use, the host is not this machine's, or the certificate cannot be used.
    """
    tls = _tls(settings)
    # aiohttp waits twice: for the handler, then for its task.
    runner = web.AppRunner(app, shutdown_timeout=GRACE / 2)
    await runner.setup()
    try:
        listener = await _listen(runner, app[QUIET], settings, tls)
        try:
            yield (TlsAddress if tls else Address)(*listener.sockets[0].getsockname()[:2])
        finally:
            listener.close()
    finally:
        await runner.cleanup()


def check_free(settings: HttpSettings) -> None:
    """Look whether the gateway could listen where it is told to, before anything else is started.

    Raises:
        BindError: as `serve_http` raises it.
    """
    if not settings.port:
        return
    try:
        found = socket.getaddrinfo(
            settings.host or None, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        for family, kind, protocol, _, address in dict.fromkeys(found):
            with socket.socket(family, kind, protocol) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                probe.bind(address)
    except OSError as problem:
        raise _cannot_listen(settings, problem) from problem


def _cannot_listen(settings: HttpSettings, problem: OSError) -> BindError:
    where = f"{settings.host}:{settings.port}"
    return BindError(f"http.host, http.port: cannot listen on {where}: {why(problem)}")


def _tls(settings: HttpSettings) -> ssl.SSLContext | None:
    """Return what HTTPS needs; None when the gateway speaks HTTP."""
    if not settings.tls_cert:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        # An encrypted key would ask the terminal.
        context.load_cert_chain(settings.tls_cert, settings.tls_key, password=lambda: "")
    except (OSError, ValueError) as problem:
        what = f"{settings.tls_cert}, {settings.tls_key}"
        raise BindError(f"http: certificate or key cannot be used ({what}): {problem}") from problem
    return context


async def _listen(
    runner: web.AppRunner, quiet: Quiet, settings: HttpSettings, tls: ssl.SSLContext | None
) -> asyncio.Server:
    manager = runner.server
    assert manager is not None, "set up"
    loop = asyncio.get_running_loop()
    crowd = Crowd(quiet)
    try:
        return await loop.create_server(
            lambda: Connection(manager, loop, quiet, crowd),
            settings.host,
            settings.port,
            backlog=BACKLOG,
            ssl=tls,
            ssl_handshake_timeout=HANDSHAKE if tls else None,
        )
    except OSError as problem:
        raise _cannot_listen(settings, problem) from problem
