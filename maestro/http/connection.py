"""One client connection: aiohttp's, but it cuts off slow readers, and its own refusals have the platform's shape."""

import asyncio
from http import HTTPStatus
from typing import Any, Final

from aiohttp import web
from aiohttp.http_parser import RawRequestMessage

from maestro import logs
from maestro.http.quiet import Quiet, cut
from maestro.http.replies import INTERNAL, SERVER, problem

#: Seconds a client may leave its answer unread before the connection is cut.
WRITE_TIMEOUT: Final = 30.0
#: Seconds an idle connection is kept, and the time a request's head may take to arrive.
KEEPALIVE: Final = 75.0
#: Seconds to read on after an early refusal, so that the client sees the refusal rather than a reset.
LINGERING: Final = 5.0

#: `edge.add_headers` is for what reaches a handler.
_REFUSALS: Final = {404: "there is no such resource", 417: "Expect: only 100-continue is met"}
_HEADERS: Final = {"Server": SERVER, "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


class Connection(web.RequestHandler):
    """aiohttp's protocol with a limit on unread answers, and JSON for requests that never reach a handler."""

    #: `ends_with_client`: its answer has no end, so there is none to wait for once the client sends no more.
    __slots__ = ("_cut", "_quiet", "ends_with_client")

    def __init__(self, manager: web.Server, loop: asyncio.AbstractEventLoop, quiet: Quiet) -> None:
        super().__init__(
            manager,
            loop=loop,
            access_log=None,  # type: ignore[arg-type]  # aiohttp's own way to say: none
            auto_decompress=False,
            keepalive_timeout=KEEPALIVE,
            lingering_time=LINGERING,
        )
        self._cut: asyncio.TimerHandle | None = None
        self._quiet = quiet
        self.ends_with_client = False

    def pause_writing(self) -> None:
        """The client does not read: it has `WRITE_TIMEOUT` seconds to go on."""
        super().pause_writing()
        self._cut = self._loop.call_later(WRITE_TIMEOUT, self._abort)

    def resume_writing(self) -> None:
        """The client reads again."""
        self._keep()
        super().resume_writing()

    def connection_lost(self, exc: BaseException | None) -> None:
        """The connection is gone, and the timer with it."""
        self._keep()
        super().connection_lost(exc)

    def eof_received(self) -> bool | None:  # type: ignore[override]  # asyncio's own: true keeps the connection open
        """The client sends no more, but may read on: what it asked for is answered before the connection is closed.

        Not over TLS, which cannot be half closed, nor when the body of the request at hand broke off.
        """
        current = self._current_request
        broken = current is not None and not current.content.is_eof() and not self._messages
        if self.ssl_context is not None or self.ends_with_client or broken:
            return None
        if self._messages:
            message, payload = self._messages.pop()
            if isinstance(message, RawRequestMessage):
                message = message._replace(should_close=True)
            self._messages.append((message, payload))
            return True
        if self._request_in_progress:
            self.close()
            return True
        return None

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send the answer; what aiohttp itself refuses (`OPTIONS *`, an unknown `Expect`) in the platform's shape."""
        if isinstance(resp, web.HTTPError):
            closing = resp.keep_alive is False
            resp = problem(resp.status, _REFUSALS.get(resp.status, resp.reason), _HEADERS)
            if closing or request.can_read_body:
                resp.force_close()
        return await super().finish_response(request, resp, start_time)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - aiohttp passes it; it may quote its buffers
    ) -> web.StreamResponse:
        """Refuse what is no valid request (400), or answer for a bug outside of the handlers (500)."""
        if status == HTTPStatus.BAD_REQUEST:
            if self._quiet.allows("http.malformed", request.remote):
                logs.get(part="http").info("http.malformed", peer=request.remote, reason=str(exc)[:200])
            text = "the request is malformed, or its head is too long"
        else:
            logs.get(part="http").error("http.bug", path=cut(request.path), exc_info=exc)
            text = INTERNAL
        response = problem(status, text, _HEADERS)
        response.force_close()
        return response

    def _abort(self) -> None:
        peer = self.peername
        address = peer[0] if isinstance(peer, tuple) else str(peer)
        self._quiet.warn("http.slow_reader", address, seconds=WRITE_TIMEOUT)
        transport: Any = self.transport
        if transport is not None:
            transport.abort()

    def _keep(self) -> None:
        if self._cut is not None:
            self._cut.cancel()
            self._cut = None
