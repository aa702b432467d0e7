"""One client connection: aiohttp's, but slow readers are cut off, and its own refusals have the platform's shape."""

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final

from aiohttp import web

from maestro import logs
from maestro.http.crowd import Crowd
from maestro.http.log_limits import Quiet, cut
from maestro.http.replies import INTERNAL, SERVER, problem

#: Seconds a client may leave its answer unread before the connection is cut.
WRITE_TIMEOUT: Final = 30.0
#: Seconds an idle connection is kept, and the time a request's head may take to arrive.
KEEPALIVE: Final = 75.0
#: Seconds after which a request that has come is being handled.
HANDLED_WITHIN: Final = 0.1
#: Seconds to read on after an early refusal, so that the client sees the refusal rather than a reset.
LINGERING: Final = 5.0

#: `middleware.add_headers` is for what reaches a handler.
_HEADERS: Final = {"Server": SERVER, "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


class Connection(web.RequestHandler):
    """aiohttp's protocol with a limit on unread answers, and JSON for requests that never reach a handler."""

    __slots__ = ("_crowd", "_cut", "_ends_with_client", "_half_closed", "_quiet", "_when_lost")

    def __init__(self, manager: web.Server, loop: asyncio.AbstractEventLoop, quiet: Quiet, crowd: Crowd) -> None:
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
        self._crowd = crowd
        #: The client sends no more, and still gets its answers.
        self._half_closed = False
        self._ends_with_client = False
        self._when_lost: Callable[[], None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected."""
        super().connection_made(transport)
        self._crowd.joined(self, self._peer)

    @property
    def waits_for_client(self) -> bool:
        """See `crowd.Member`."""
        handled = self._current_request
        nothing_asked = handled is None and not self._messages
        return nothing_asked or self.writing_paused or (handled is not None and not handled.content.is_eof())

    def eof_received(self) -> bool | None:  # type: ignore[override]  # aiohttp's never keeps the connection
        """The client sends no more: what it sent whole is answered first. Over TLS there is no half of a connection."""
        handled = self._current_request
        whole = all(payload.is_eof() for _, payload in self._messages) and (handled is None or handled.content.is_eof())
        # Without a waiter a request is being handled, or is about to be.
        owed = (self._waiter is None or bool(self._messages)) and not self._ends_with_client
        if not whole or not owed or self.transport is None or self.transport.get_extra_info("ssl_object") is not None:
            return None
        self._half_closed = True
        if handled is None:
            # Whether its request is whole can only be told once it is being handled.
            self._loop.call_later(HANDLED_WITHIN, self._end_if_broken_off)
        return True

    def end_with_client(self, when_lost: Callable[[], None]) -> None:
        """Called by a handler whose answer has no end: it ends once the client sends no more.

        `when_lost` is called when the connection is gone.

        Raises:
            ConnectionResetError: the client sends no more already.
        """
        self._ends_with_client = True
        self._when_lost = when_lost
        if self._half_closed and self.transport is not None:
            self.transport.close()
            raise ConnectionResetError("the client sends no more")

    def _end_if_broken_off(self) -> None:
        handled = self._current_request
        if handled is not None and not handled.content.is_eof() and self.transport is not None:
            self.transport.close()

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send an answer, in the platform's shape where no handler made it (`OPTIONS *`).

        The last one to a client that sends no more ends the connection.
        """
        if isinstance(resp, web.HTTPException):
            resp = problem(resp.status, resp.reason)
        sent = await super().finish_response(request, resp, start_time)
        if self._half_closed and not self._messages:
            self.close()
        return sent

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
        self._crowd.left(self)
        self._keep()
        super().connection_lost(exc)
        if self._when_lost is not None:
            self._when_lost()

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

    @property
    def _peer(self) -> str:
        peer = self.peername
        return str(peer[0]) if isinstance(peer, tuple) else str(peer)

    def _abort(self) -> None:
        self._quiet.warn("http.slow_reader", self._peer, seconds=WRITE_TIMEOUT)
        self.cut()

    def cut(self) -> None:
        """See `crowd.Member`."""
        transport: Any = self.transport
        if transport is not None:
            transport.abort()

    def _keep(self) -> None:
        if self._cut is not None:
            self._cut.cancel()
            self._cut = None
