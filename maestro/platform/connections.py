"""Kept-alive HTTP/1.1 connections with nothing between a request and its socket.

The two calls of an event are most of what Maestro does; a general HTTP client spends twice the time on each.
https goes through aiohttp (`maestro.platform.https`).
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from select import POLLIN, poll
from time import monotonic
from typing import Final

from msgspec import Struct

from maestro.platform.answer import AnswerReader, BadAnswerError
from maestro.platform.errors import WrongShapeError
from maestro.platform.target import Place, Target
from maestro.ports import why

#: Methods that may be sent once more when a kept connection turns out to be closed.
_IDEMPOTENT: Final = frozenset({"GET", "PUT"})

Answer = tuple[int, bytes]
#: Takes the parts of a body as they come; must not raise.
Sink = Callable[[bytes], None]


class Bounds(Struct, frozen=True):
    """How far a request, and what is kept for the next one, may go."""

    #: Bytes of an answer that are accepted.
    limit: int
    #: Seconds to connect, and until an answer is complete.
    connect_timeout: float
    answer_timeout: float
    #: Seconds an idle connection is kept.
    keep_for: float
    #: Connections to one host; more requests wait for one.
    per_host: int
    #: Look at the socket of an idle connection before it is used: is it closed, though the loop has not heard of it?
    look_first: bool = False


class ConnectionFailedError(Exception):
    """No connection, or it broke before the answer was complete."""


class NotSentError(ConnectionFailedError):
    """No connection: nothing of the request has left this process."""


class NoConnectionInTimeError(TimeoutError):
    """Connecting took too long."""


class Connection(asyncio.Protocol):
    """One connection of a pool: one request at a time, and between two it is idle there."""

    def __init__(self, limit: int, pool: "_Pool") -> None:
        self._reader = AnswerReader(limit)
        self._pool = pool
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._answer: asyncio.Future[Answer] | None = None
        #: When it became idle, by the monotonic clock in seconds.
        self.idle_since = 0.0
        #: It may carry another request.
        self.usable = True
        #: Something of the present answer has come.
        self.answering = False

    async def exchange(self, request: bytes, timeout: float, sink: Sink | None = None) -> Answer:  # noqa: ASYNC109 - cheaper than a context
        """Send a request, return the answer; a `sink` takes the body of one that says yes.

        Raises:
            NotSentError, ConnectionFailedError, BadAnswerError, WrongShapeError: as they say.
            TimeoutError: the answer was not complete in time.
        """
        self.answering = False
        if self._transport is None or not self.usable:
            raise NotSentError("the server hung up")
        self.usable = False
        self._reader.begin(sink)
        answer: asyncio.Future[Answer] = self._loop.create_future()
        self._answer = answer
        self._deadline = self._loop.time() + timeout
        if self._timer is None:
            self._watch()
        self._transport.write(request)
        try:
            return await answer
        finally:
            self._answer = None
            if self.usable and not self._pool.closed:
                self.idle_since = monotonic()
                self._pool.idle.append(self)
            else:
                self.abort()

    def _watch(self) -> None:
        """Fail the request in hand at its deadline. A timer for each request would cost more than all else here."""
        self._timer = None
        if self._answer is None:
            return
        if self._loop.time() < self._deadline:
            self._timer = self._loop.call_at(self._deadline, self._watch)
        else:
            self._fail(TimeoutError())

    def speaks_unasked(self) -> bool:
        """Whether something is to be read though nothing was asked: mostly, that the server has closed it."""
        if self._transport is None:
            return True
        looked_at = poll()
        looked_at.register(self._transport.get_extra_info("socket").fileno(), POLLIN)
        return bool(looked_at.poll(0))

    def abort(self) -> None:
        """End it at once."""
        self.usable = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        self._transport = transport  # type: ignore[assignment]  # a TCP transport is a Transport

    def data_received(self, data: bytes) -> None:
        """Called by the loop: a part of the answer."""
        if self._answer is None or self._answer.done():
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
        if self._answer is None or self._answer.done():
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
    """The connections to all hosts; `fields` are in the head of every request, each line ended.

    Belongs to one event loop.
    """

    def __init__(self, fields: str, bounds: Bounds) -> None:
        self._fields = fields
        self._bounds = bounds
        self._pools: dict[Place, _Pool] = {}
        self._closed = False

    async def request(self, method: str, target: Target, body: bytes | None, sink: Sink | None = None) -> Answer:
        """Send one request over a kept or new connection; return status and body.

        A `sink` takes the body of an answer that says yes, as it comes; what is compressed is returned all the same.

        Raises:
            NotSentError, ConnectionFailedError, BadAnswerError, WrongShapeError: as they say.
            NoConnectionInTimeError, TimeoutError: no connection, no complete answer in time.
            RuntimeError: closed.
        """
        if self._closed:
            raise RuntimeError("the connections are closed")
        pool = self._pools.get(target.place) or self._new_pool(target.place)
        length = f"Content-Length: {len(body or b'')}\r\n" if body is not None or method != "GET" else ""
        further = "".join(f"{name}: {value}\r\n" for name, value in target.fields) if target.fields else ""
        head = f"{method} {target.path} HTTP/1.1\r\n{pool.fields}{further}{length}\r\n".encode("ascii")
        request = head + body if body else head
        if pool.room > 0:
            pool.room -= 1
        else:
            await pool.enter()
        try:
            kept = self._kept(pool)
            if kept is not None:
                try:
                    return await kept.exchange(request, self._bounds.answer_timeout, sink)
                except NotSentError:
                    pass  # it is closed already
                except (ConnectionFailedError, BadAnswerError):
                    # The server closed it just then: nothing came of the answer.
                    if method not in _IDEMPOTENT or kept.answering:
                        raise
            connection = await self._connect(target.place, pool)
            return await connection.exchange(request, self._bounds.answer_timeout, sink)
        finally:
            pool.leave()

    def close(self) -> None:
        """Close the idle connections; those in use end with their requests. Twice is no error."""
        self._closed = True
        for pool in self._pools.values():
            pool.closed = True
            while pool.idle:
                pool.idle.pop().abort()

    def _new_pool(self, place: Place) -> "_Pool":
        fields = f"Host: {place.authority}\r\n{self._fields}"
        pool = self._pools[place] = _Pool(fields, self._bounds.per_host)
        return pool

    def _kept(self, pool: "_Pool") -> Connection | None:
        """Take the connection that was used last; those idle for too long are closed."""
        idle = pool.idle
        oldest = monotonic() - self._bounds.keep_for
        while idle and (not idle[0].usable or idle[0].idle_since < oldest):
            idle.popleft().abort()
        while idle:
            connection = idle.pop()
            if not connection.usable:
                continue
            if self._bounds.look_first and connection.speaks_unasked():
                connection.abort()
                continue
            return connection
        return None

    async def _connect(self, place: Place, pool: "_Pool") -> Connection:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._bounds.connect_timeout):
                _, connection = await loop.create_connection(
                    lambda: Connection(self._bounds.limit, pool), place.host, place.port
                )
        except TimeoutError as problem:
            raise NoConnectionInTimeError from problem
        except OSError as problem:
            raise NotSentError(f"cannot connect to {place.host}:{place.port}: {why(problem)}") from problem
        return connection


@dataclass(slots=True)
class _Pool:
    """What is kept for one place: the fields that every request carries, room for requests, idle connections.

    A semaphore would do; asyncio's makes eleven calls of functions for each request, this makes one.
    """

    fields: str
    #: Requests that may begin at once; 0 as long as one waits.
    room: int
    idle: deque[Connection] = field(default_factory=deque)
    #: No connection stays: each ends with the request it carries.
    closed: bool = False
    _waiting: deque[asyncio.Future[None]] = field(default_factory=deque)

    async def enter(self) -> None:
        """Wait for the place of a request that ends; first come, first served."""
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        try:
            await place
        except asyncio.CancelledError:
            if not place.cancelled():
                self.leave()  # it was given just then
            raise

    def leave(self) -> None:
        """Give a place to who waits longest, or back."""
        while self._waiting:
            place = self._waiting.popleft()
            if not place.done():
                place.set_result(None)
                return
        self.room += 1
