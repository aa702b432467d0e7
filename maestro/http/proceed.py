"""`GET /v1.0.0/gateway/{systemId}/proceed`: asked before nearly every event, so kept as cheap as can be.

The answer "yes" is the same bytes for everybody: they are written as they are, without aiohttp building
headers for each.
"""

import time
from email.utils import formatdate
from typing import Any, Final

from aiohttp import HttpVersion11, hdrs, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.typedefs import Handler

from maestro.access.roles import Role
from maestro.board.owner_view import OwnerView
from maestro.http.authentication import Authentication
from maestro.http.lock_checks import LockChecks
from maestro.http.middleware import explained
from maestro.http.observed import HEADER as REQUEST_ID
from maestro.http.replies import SERVER, answered
from maestro.http.request_context import check_system
from maestro.messages.answers import Answer, Code
from maestro.settings.model import HttpSettings
from maestro.telemetry.definitions import HTTP_SECONDS, LOCK_CHECKS
from maestro.telemetry.metrics import MetricsRegistry

_OK: Final = 200


class EmptyOk(web.Response):
    """An empty 200 over a kept-alive HTTP/1.1 connection. One object answers any number of requests."""

    def __init__(self) -> None:
        super().__init__()
        self._second = 0
        self._bytes = b""

    @property
    def keep_alive(self) -> bool:
        """Always: a request that wants its connection closed gets another response."""
        return True

    async def prepare(self, request: Any) -> AbstractStreamWriter | None:
        """Write the whole response; there is nothing of the request in it."""
        transport = request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client is gone")
        if (second := int(time.time())) != self._second:
            self._second = second
            date = formatdate(second, usegmt=True)
            # A stored "yes" would be one too many: no proxy may keep it.
            self._bytes = (
                f"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nDate: {date}\r\nServer: {SERVER}\r\n"
                "Cache-Control: no-store\r\n\r\n"
            ).encode()
        transport.write(self._bytes)
        if request.protocol.writing_paused:
            # Pipelining without reading: take no more requests until the client reads (or is cut off).
            await request.writer.drain()
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        """Do nothing: `prepare` wrote all there is."""


def fast_path(proceed: Handler, wrapped: Handler, authentication: Authentication) -> Handler:
    """Return what answers a caller that is known already by `proceed`, and gives all others to the wrapped handler."""
    takes = authentication.hosts.takes

    async def open_to_all(request: web.Request) -> web.StreamResponse:
        return await (proceed if takes(request.headers.get(hdrs.HOST)) else wrapped)(request)

    if authentication.open:
        return open_to_all

    async def handle(request: web.Request) -> web.StreamResponse:
        caller = authentication.known(request)
        ours = caller is not None and caller.has(Role.PLATFORM) and caller.may_touch(request.match_info["systemId"])
        if ours and takes(request.headers.get(hdrs.HOST)):
            return await proceed(request)
        return await wrapped(request)

    return handle


def checked_system(proceed: Handler) -> Handler:
    """Return the handler that is to be wrapped: it checks the caller's restriction to systems first."""

    async def handle(request: web.Request) -> web.StreamResponse:
        check_system(request.match_info["systemId"])
        return await proceed(request)

    return handle


def proceed_handler(
    checks: LockChecks, settings: HttpSettings, registry: MetricsRegistry, owner: OwnerView | None = None
) -> Handler:
    """Return the handler: 200 when events may proceed (the system is open or unknown), 403 with the lock's facts.

    503 while the broker's events are not known to be this installation's.
    """
    cached, ask = checks.cached, checks.ask
    now, count, observe = time.monotonic, registry.count, registry.observe

    def note(source: str, answer: str, status: int, started: float) -> None:
        count(LOCK_CHECKS, source, answer)
        observe(HTTP_SECONDS, now() - started, "proceed", str(status))

    retry_after = {"Retry-After": str(settings.retry_after)}
    yes = EmptyOk()

    async def proceed(request: web.Request) -> web.StreamResponse:
        started = now()
        system_id = request.match_info["systemId"]
        source = "board"
        try:
            refusal = owner.refusal if owner is not None else ""
            answer = Answer(Code.UNAVAILABLE, message=refusal) if refusal else cached(system_id)
            if answer is None:
                source = "actor"
                answer = await ask(system_id)
        except Exception as error:  # noqa: BLE001 - this handler is not wrapped
            response = explained(request, error)
            note(source, "failed", response.status, started)
            return response
        if answer.code is not Code.OK:
            locked = answer.code is Code.LOCKED
            response = answered(answer, retry_after if locked else None)
            note(source, "locked" if locked else "failed", response.status, started)
            return response
        note(source, "allowed", _OK, started)
        if request.keep_alive and request.version == HttpVersion11 and REQUEST_ID not in request.headers:
            return yes
        return web.Response()

    return proceed
