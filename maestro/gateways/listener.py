"""`NodeListener`: takes the sessions of other nodes' gateways, and answers about the systems that this node owns.

It asks the node's own actor client only, so a question is never passed on: of a system that is not this node's the
answer is `NotOwned`. Who asks has authenticated the caller, whose identity is in the question.
"""

import asyncio
import hmac
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from ipaddress import ip_address
from typing import Final

from aiohttp import WSCloseCode, WSMsgType, hdrs, web

from maestro import logs
from maestro.actors.errors import Unavailable, UnknownSystem
from maestro.gateways.items import (
    HANDSHAKE,
    HEARTBEAT,
    MOST_OPEN,
    OF_ASKING,
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
from maestro.http.actor_client import ActorClient
from maestro.http.hosts import from_browser
from maestro.http.keys import QUIET
from maestro.http.replies import problem
from maestro.links.items import VERSION, Refused

#: Bytes that a question may have beside the body of the request that it is about.
_BESIDE: Final = 64 * 1024
#: Longest time that a question has, in seconds, whatever is asked for.
_LONGEST: Final = 24 * 3600.0
#: What a proxy adds: the caller is not who is connected.
_OF_PROXIES: Final = ("Forwarded", "X-Forwarded-For", "X-Real-IP", hdrs.VIA)
LEASE_OVER: Final = "this node's lease is over: another node takes its systems"


class NodeListener:
    """Answers other nodes.

    Args:
        own: the node's own actor client.
        hello: this node's.
        secret: what the nodes know each other by; empty: only this machine's are let in.
        body_bytes: `http.max_body_bytes`, the largest event that a question carries.
        believed: whether the node's lease is believed; what is answered while it is not may be old.
    """

    def __init__(
        self, own: ActorClient, hello: NodeHello, secret: str, body_bytes: int, believed: Callable[[], bool]
    ) -> None:
        self._own = own
        self._hello = hello
        self._secret = secret.encode()
        self._largest = body_bytes + _BESIDE
        self._believed = believed
        self._sessions: set[web.WebSocketResponse] = set()
        self._log = logs.get(part="nodes")

    def add_to(self, app: web.Application) -> None:
        """Have an application take the sessions."""
        app.router.add_get(PATH, self.handle)
        app.on_shutdown.append(self._close)

    async def _close(self, _app: web.Application) -> None:
        closing = [session.close(code=WSCloseCode.GOING_AWAY) for session in self._sessions]
        await asyncio.gather(*closing, return_exceptions=True)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Let a node in, and answer it for as long as its session lasts."""
        if (refusal := self._refusal(request)) is not None:
            request.app[QUIET].warn("node.refused", request.remote, cause=refusal)
            return problem(HTTPStatus.FORBIDDEN, refusal)
        session = web.WebSocketResponse(
            timeout=1.0, heartbeat=HEARTBEAT, max_msg_size=self._largest, compress=False, autoping=True
        )
        await session.prepare(request)
        self._sessions.add(session)
        try:
            if (node := await self._met(session)) is not None:
                await self._answer_all(session, node)
        except (ValueError, TimeoutError, ConnectionError) as cause:
            request.app[QUIET].warn("node.broken", request.remote, cause=str(cause) or "no greeting came")
        finally:
            self._sessions.discard(session)
            await session.close()
        return session

    def _refusal(self, request: web.Request) -> str | None:
        """Return why a request is no node's; None: it is one's."""
        if from_browser(request):
            return "a browser is no node"
        if not self._secret:
            here = _is_loopback(request.remote) and not any(name in request.headers for name in _OF_PROXIES)
            return None if here else "without cluster.secret only nodes of this machine may ask"
        sent = request.headers.get(hdrs.AUTHORIZATION, "")
        given = sent.removeprefix(SCHEME).encode("utf-8", "surrogateescape")
        return None if hmac.compare_digest(given, self._secret) else "a secret that is not this cluster's"

    async def _met(self, session: web.WebSocketResponse) -> str | None:
        """Say hello, and return which node it is; None: it is refused. Raises `ValueError`, `TimeoutError`."""
        async with asyncio.timeout(HANDSHAKE):
            (hello,) = unpacked(OF_BEGINNING, (await session.receive()).data)
            if not isinstance(hello, NodeHello):
                return None
            if (hello.cluster, hello.version) == (self._hello.cluster, VERSION):
                await session.send_bytes(packed(self._hello))
                return hello.node
            reason = f"this is version {VERSION} of cluster {self._hello.cluster!r}"
            await session.send_bytes(packed(Refused(reason)))
            raise ValueError(f"node {hello.node!r} of {hello.cluster!r}, version {hello.version}: {reason}")

    async def _answer_all(self, session: web.WebSocketResponse, node: str) -> None:
        """Answer each question when there is an answer. Raises `ValueError`: one cannot be read."""
        open_: set[asyncio.Task[None]] = set()
        loop = asyncio.get_running_loop()
        try:
            async for message in session:
                if message.type is not WSMsgType.BINARY:
                    raise ValueError(f"node {node}: a message that is no frame")
                for asked in unpacked(OF_ASKING, message.data):
                    task = loop.create_task(self._answer(session, asked, busy=len(open_) >= MOST_OPEN))
                    open_.add(task)
                    task.add_done_callback(open_.discard)
        finally:
            left = list(open_)
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)

    async def _answer(self, session: web.WebSocketResponse, asked: SystemAsked | RestAsked, *, busy: bool) -> None:
        item = NotAnswered(asked.correlation, "too many questions are open") if busy else await self._item(asked)
        try:
            message = packed(item)
        except ValueError as cause:
            message = packed(NotAnswered(asked.correlation, f"an answer that cannot be carried: {cause}"))
        with suppress(ConnectionError, RuntimeError):  # it is over, and its questions unanswered: the other end knows
            await session.send_bytes(message)

    async def _item(  # noqa: PLR0911 - one for each kind of answer
        self, asked: SystemAsked | RestAsked
    ) -> SystemAnswered | RestTold | NotOwned | NotAnswered:
        number = asked.correlation
        if not self._believed():
            return NotAnswered(number, LEASE_OVER)
        if isinstance(asked, RestAsked):
            newest = await self._own.at_rest(asked.system_ids)
            return RestTold(number, dict(newest)) if self._believed() else NotAnswered(number, LEASE_OVER)
        try:
            answer = await self._own.ask(asked.system_id, asked.question, timeout=min(asked.seconds, _LONGEST))
        except UnknownSystem:
            return NotOwned(number)
        except Unavailable as cause:
            return NotAnswered(number, str(cause))
        except TimeoutError:
            return NotAnswered(number, "no answer in time", late=True)
        except Exception:  # noqa: BLE001 - a bug: who waits for an answer is told
            self._log.exception("node.bug", system=asked.system_id)
            return NotAnswered(number, "an internal error")
        # What was read while the lease went by may be old by now.
        return SystemAnswered(number, answer) if self._believed() else NotAnswered(number, LEASE_OVER)


def _is_loopback(remote: str | None) -> bool:
    try:
        address = ip_address(remote or "")
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback
