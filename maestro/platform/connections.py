"""Kept-alive HTTP/1.1 connections with nothing between a request and its socket.

The two calls of an event are most of what Maestro does; a general HTTP client spends twice the time on each.
https goes through aiohttp (`maestro.platform.transport`).
"""

import asyncio
from collections import defaultdict, deque
from typing import Final

from maestro.platform.answer import AnswerReader, BadAnswerError
from maestro.platform.errors import WrongShapeError

#: Methods that may be sent once more when a kept connection turns out to be closed.
_IDEMPOTENT: Final = frozenset({"GET", "PUT"})

Answer = tuple[int, bytes]


class ConnectionFailedError(Exception):
    """No connection, or it broke before the answer was complete."""


class NoConnectionInTimeError(TimeoutError):
    """Connecting took too long."""


class Connection(asyncio.Protocol):
    """One connection: one request at a time."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._reader: AnswerReader | None = None
        self._answer: asyncio.Future[Answer] | None = None
        #: When it became idle, in seconds of the loop's clock.
        self.idle_since = 0.0
        #: It may carry another request.
        self.usable = True
        #: Something of the present answer has come.
        self.answering = False

    async def exchange(self, request: bytes, timeout: float) -> Answer:  # noqa: ASYNC109 - cheaper than a context
        """Send a request, return the answer.

        Raises:
            ConnectionFailedError, BadAnswerError, WrongShapeError: as they say.
            TimeoutError: the answer was not complete in time.
        """
        self.answering = False
        if self._transport is None or not self.usable:
            raise ConnectionFailedError("the server hung up")
        self.usable = False
        self._reader = AnswerReader(self._limit)
        answer: asyncio.Future[Answer] = self._loop.create_future()
        self._answer = answer
        timer = self._loop.call_later(timeout, self._fail, TimeoutError())
        self._transport.write(request)
        try:
            return await answer
        finally:
            timer.cancel()
            self._answer = None
            if not self.usable:
                self.abort()

    def abort(self) -> None:
        """End it at once."""
        self.usable = False
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        self._transport = transport  # type: ignore[assignment]  # a TCP transport is a Transport

    def data_received(self, data: bytes) -> None:
        """Called by the loop: a part of the answer."""
        if self._answer is None or self._reader is None or self._answer.done():
            self.abort()  # nothing was asked
            return
        self.answering = True
        try:
            if self._reader.feed(data):
                self._complete()
        except (BadAnswerError, WrongShapeError) as problem:
            self._fail(problem)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the loop."""
        self.usable = False
        self._transport = None
        if self._answer is None or self._reader is None or self._answer.done():
            return
        if exc is not None:
            self._fail(ConnectionFailedError(str(exc) or type(exc).__name__))
            return
        try:
            self._reader.end()
        except BadAnswerError as problem:
            self._fail(problem)
        else:
            self._complete()

    def _complete(self) -> None:
        assert self._reader is not None
        try:
            answer = (self._reader.status, self._reader.body())
        except WrongShapeError as problem:
            self._fail(problem)
            return
        self.usable = self._reader.reusable and self._transport is not None
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(answer)

    def _fail(self, problem: Exception) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(problem)


class Connections:
    """The connections to all hosts. Belongs to one event loop.

    Args:
        head: the fields every request carries, each line ended.
        limit: bytes of an answer that are accepted.
        connect_timeout, answer_timeout: in seconds.
        keep_for: seconds an idle connection is kept.
        per_host: connections to one host; more requests wait for one.
    """

    def __init__(
        self, *, head: bytes, limit: int, connect_timeout: float, answer_timeout: float, keep_for: float, per_host: int
    ) -> None:
        self._head = head
        self._limit = limit
        self._connect_timeout = connect_timeout
        self._answer_timeout = answer_timeout
        self._keep_for = keep_for
        self._places: defaultdict[tuple[str, int], asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(per_host))
        self._idle: defaultdict[tuple[str, int], deque[Connection]] = defaultdict(deque)
        self._closed = False

    async def request(self, method: str, host: str, port: int, target: str, body: bytes | None) -> Answer:
        """Send one request over a kept or new connection; return status and body.

        Raises:
            ConnectionFailedError, BadAnswerError, WrongShapeError: as they say.
            NoConnectionInTimeError, TimeoutError: no connection, no complete answer in time.
            RuntimeError: closed.
        """
        if self._closed:
            raise RuntimeError("the connections are closed")
        place = (host, port)
        request = self._request(method, place, target, body)
        async with self._places[place]:
            kept = self._kept(place)
            if kept is not None:
                try:
                    return await self._exchange(place, kept, request)
                except (ConnectionFailedError, BadAnswerError):
                    # The server closed it just then: nothing came of the answer.
                    if method not in _IDEMPOTENT or kept.answering:
                        raise
            return await self._exchange(place, await self._connect(host, port), request)

    def close(self) -> None:
        """Close the idle connections; those in use end with their requests. Twice is no error."""
        self._closed = True
        for idle in self._idle.values():
            while idle:
                idle.pop().abort()

    def _request(self, method: str, place: tuple[str, int], target: str, body: bytes | None) -> bytes:
        host = f"[{place[0]}]" if ":" in place[0] else place[0]
        length = f"Content-Length: {len(body or b'')}\r\n" if body is not None or method != "GET" else ""
        head = f"{method} {target} HTTP/1.1\r\nHost: {host}:{place[1]}\r\n{length}".encode("ascii")
        return head + self._head + b"\r\n" + (body or b"")

    async def _exchange(self, place: tuple[str, int], connection: Connection, request: bytes) -> Answer:
        answer = await connection.exchange(request, self._answer_timeout)
        if connection.usable and not self._closed:
            connection.idle_since = asyncio.get_running_loop().time()
            self._idle[place].append(connection)
        else:
            connection.abort()
        return answer

    def _kept(self, place: tuple[str, int]) -> Connection | None:
        """Take the connection that was used last; those idle for too long are closed."""
        idle = self._idle[place]
        oldest = asyncio.get_running_loop().time() - self._keep_for
        while idle and (not idle[0].usable or idle[0].idle_since < oldest):
            idle.popleft().abort()
        while idle:
            connection = idle.pop()
            if connection.usable:
                return connection
        return None

    async def _connect(self, host: str, port: int) -> Connection:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._connect_timeout):
                _, connection = await loop.create_connection(lambda: Connection(self._limit), host, port)
        except TimeoutError as problem:
            raise NoConnectionInTimeError from problem
        except OSError as problem:
            raise ConnectionFailedError(f"cannot connect to {host}:{port}: {problem.strerror or problem}") from problem
        return connection
