"""`NodeDialer`: this node's session with the gateway of one other node, over which it asks that node's systems.

One WebSocket carries all questions: any number is under way at once, answers come in any order. It is dialed when
something is asked and there is none. A session that breaks leaves its questions unanswered, and says that whether they
were carried out is not known: nothing is asked twice by itself.
"""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Final

from aiohttp import ClientError, ClientSession, ClientWebSocketResponse, ClientWSTimeout, WSMsgType, hdrs

from maestro import logs
from maestro.actors.errors import Unavailable
from maestro.backoff import Backoff
from maestro.gateways.items import (
    HANDSHAKE,
    HEARTBEAT,
    MOST_OPEN,
    OF_ASKED,
    OF_BEGINNING,
    PATH,
    SCHEME,
    NodeHello,
    NotAnswered,
    NotOwned,
    RestAsked,
    RestTold,
    SystemAnswered,
    SystemAsked,
    packed,
    unpacked,
)
from maestro.links.codec import LIMIT
from maestro.links.items import VERSION, Refused
from maestro.messages.answers import Answer
from maestro.messages.questions import Question

#: Seconds between two attempts to connect.
_PAUSE, _PAUSE_MAX = 0.2, 3.0
#: Seconds that the other end has to close a session in good order.
_CLOSING: Final = 1.0


Told = SystemAnswered | RestTold


class Elsewhere(Unavailable):
    """The node that was asked does not own the system. Nothing was done."""


class NodeDialer:
    """Asks the systems of one other node.

    Args:
        http: the connections' owner; it follows no proxy of the environment.
        hello: this node's own.
        node: the other node.
        url: of its gateway.
        secret: what the nodes know each other by; empty: nothing, which the other end takes from its machine only.
    """

    def __init__(self, http: ClientSession, hello: NodeHello, node: str, url: str, secret: str) -> None:
        self.node, self.url = node, url
        self._http = http
        self._hello = hello
        self._headers = {hdrs.AUTHORIZATION: SCHEME + secret} if secret else {}
        self._numbers = itertools.count(1)
        self._open: dict[int, asyncio.Future[Told]] = {}
        self._session: ClientWebSocketResponse | None = None
        self._task: asyncio.Task[None] | None = None
        self._pauses = Backoff(_PAUSE, _PAUSE_MAX)
        #: Until when (monotonic) nobody dials, and why.
        self._rests_until = 0.0
        self._problem = ""
        self._changed = asyncio.Event()
        self._log = logs.get(part="nodes", node=node)

    async def ask(self, system_id: str, question: Question, seconds: float) -> Answer:
        """Ask a system of that node.

        Raises:
            Elsewhere: it is none of that node's.
            Unavailable: it cannot be reached now; whether the question was carried out is not known.
            TimeoutError: no answer within `seconds`.
        """
        told = await self._ask(lambda number, left: SystemAsked(number, system_id, left, question), seconds)
        assert isinstance(told, SystemAnswered), "it answers the question"
        return told.answer

    async def at_rest(self, system_ids: Iterable[str], seconds: float) -> dict[str, str]:
        """Ask which of these systems of that node are passivated. Raises as `ask`."""
        told = await self._ask(lambda number, _left: RestAsked(number, tuple(system_ids)), seconds)
        assert isinstance(told, RestTold), "it answers the question"
        return told.newest

    async def _ask(self, asked: Callable[[int, float], SystemAsked | RestAsked], seconds: float) -> Told:
        if len(self._open) >= MOST_OPEN:
            raise Unavailable(f"node {self.node}: {MOST_OPEN} questions wait for an answer already", retry_after=1)
        number = next(self._numbers)
        reply: asyncio.Future[Told] = asyncio.get_running_loop().create_future()
        until = time.monotonic() + seconds
        self._open[number] = reply
        try:
            async with asyncio.timeout(seconds):
                session = await self._connected(reply)
                message = packed(asked(number, max(0.0, until - time.monotonic())))
                with suppress(ClientError, ConnectionError):  # the reader says that the session is over
                    await session.send_bytes(message)
                return await reply
        except TimeoutError as problem:
            raise TimeoutError(f"node {self.node} did not answer in time") from problem
        finally:
            self._open.pop(number, None)
            if reply.done() and not reply.cancelled():
                reply.exception()  # it may have come in the moment in which the time was up

    async def close(self) -> None:
        """End the session; what is open on it is not answered."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    # --- the session -------------------------------------------------------------------------------------------

    async def _connected(self, reply: "asyncio.Future[Told]") -> ClientWebSocketResponse:
        """Return the session, dialed if there is none. Raises `Unavailable`: it cannot be had now."""
        while self._session is None:
            if reply.done():
                reply.result()
            if self._task is None:
                if time.monotonic() < self._rests_until:
                    raise Unavailable(self._problem, retry_after=1)
                self._task = asyncio.get_running_loop().create_task(self._live(), name=f"session with {self.node}")
            await self._changed.wait()
        return self._session

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _live(self) -> None:
        """Have one session, from its beginning to its end."""
        why = "the session ended"
        try:
            async with self._dialed() as session:
                self._session = session
                self._pauses.reset()
                self._log.info("node.session")
                self._tell()
                await self._read(session)
        except (ClientError, OSError, TimeoutError, ValueError) as problem:
            why = " ".join(str(problem).split()) or "no answer in time"
        except Exception as problem:  # noqa: BLE001 - a bug: who waits for an answer is told
            self._log.exception("node.bug")
            why = type(problem).__name__
        finally:
            unknown = "; whether it was carried out is not known" if self._session is not None else ""
            self._session = self._task = None
            self._rests_until = time.monotonic() + self._pauses.next()
            self._log.warning("node.no_session", cause=why)
            self._fail(f"node {self.node} cannot be reached: {why}{unknown}")

    def _fail(self, problem: str) -> None:
        """Leave all that is open unanswered."""
        self._problem = problem
        for reply in self._open.values():
            if not reply.done():
                reply.set_exception(Unavailable(problem, retry_after=1))
        self._tell()

    @asynccontextmanager
    async def _dialed(self) -> AsyncIterator[ClientWebSocketResponse]:
        """Be connected, both ends having said hello. Raises `ValueError`: the other end is not who it should be."""
        async with asyncio.timeout(HANDSHAKE):
            session = await self._http.ws_connect(
                self.url.rstrip("/") + PATH,
                headers=self._headers,
                timeout=ClientWSTimeout(ws_close=_CLOSING),
                heartbeat=HEARTBEAT,
                max_msg_size=LIMIT,
            )
        try:
            async with asyncio.timeout(HANDSHAKE):
                await session.send_bytes(packed(self._hello))
                (hello,) = unpacked(OF_BEGINNING, (await session.receive()).data)
            if isinstance(hello, Refused):
                raise ValueError(f"it refuses: {hello.reason}")  # noqa: TRY004 - what it says, not its type
            if (hello.cluster, hello.node, hello.version) != (self._hello.cluster, self.node, VERSION):
                raise ValueError(
                    f"at {self.url} there is node {hello.node!r} of {hello.cluster!r}, version {hello.version}"
                )
            yield session
        finally:
            with suppress(ClientError, OSError, TimeoutError):
                await session.close()

    async def _read(self, session: ClientWebSocketResponse) -> None:
        """Take answers until the session is over. Raises `ValueError`: one cannot be read."""
        async for message in session:
            if message.type is not WSMsgType.BINARY:
                raise ValueError("a message that is no frame")
            for item in unpacked(OF_ASKED, message.data):
                self._answered(item)
        if (problem := session.exception()) is not None:
            raise ClientError(str(problem) or type(problem).__name__)

    def _answered(self, item: Told | NotOwned | NotAnswered) -> None:
        reply = self._open.get(item.correlation)
        if reply is None or reply.done():
            return  # its asker is gone
        match item:
            case SystemAnswered() | RestTold():
                reply.set_result(item)
            case NotOwned():
                reply.set_exception(Elsewhere(f"node {self.node} does not own the system", retry_after=1))
            case NotAnswered():
                problem = TimeoutError(item.message) if item.late else Unavailable(item.message, retry_after=1)
                reply.set_exception(problem)
