"""A load balancer on loopback before the nodes of a cluster: what HAProxy or an ingress is elsewhere.

It asks each node's `/readyz`, and hands requests in turn to those that are ready. A request that reached no node goes
to the next one; so does a GET whose answer was lost. Of another request with a lost answer nobody knows whether it was
done: 504.
"""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from http import HTTPStatus
from typing import Final, Self

import aiohttp
from aiohttp import web
from yarl import URL

#: Seconds between two looks at a node, and for its answer.
_EVERY, _ANSWER = 0.5, 2.0
#: Seconds for a connection to a node, and for its answer to a request.
_CONNECT, _REQUEST = 2.0, 30.0
_HOST: Final = "127.0.0.1"
#: Headers that are handed on, each way.
_ASKED: Final = ("Accept", "Authorization", "Content-Type")
_ANSWERED: Final = ("Content-Type", "Retry-After")


class LoadBalancer:
    """Serves on `port` while it is entered."""

    def __init__(self, port: int, nodes: Sequence[str]) -> None:
        """Prepare; `nodes` are base URLs."""
        self._port = port
        self._nodes = list(nodes)
        self._ready: set[str] = set()
        self._session: aiohttp.ClientSession
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Listen, and look at the nodes from now on. Raises `OSError` when the port is taken."""
        async with AsyncExitStack() as stack:
            limit = aiohttp.ClientTimeout(total=_REQUEST, sock_connect=_CONNECT)
            connector = aiohttp.TCPConnector(limit=0)
            self._session = await stack.enter_async_context(aiohttp.ClientSession(connector=connector, timeout=limit))
            for node in self._nodes:
                looking = asyncio.create_task(self._look(node))
                stack.push_async_callback(_cancelled, looking)
            runner = web.ServerRunner(web.Server(self._serve, access_log=None), shutdown_timeout=0.2)
            stack.push_async_callback(runner.cleanup)
            await runner.setup()
            await web.TCPSite(runner, _HOST, self._port, backlog=1024).start()
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop. Twice is no error."""
        await self._stack.aclose()

    async def _look(self, node: str) -> None:
        """Keep up whether a node is ready, until cancelled."""
        limit = aiohttp.ClientTimeout(total=_ANSWER)
        while True:
            try:
                async with self._session.get(f"{node}/readyz", timeout=limit) as answer:
                    ready = answer.status == HTTPStatus.OK
            except (aiohttp.ClientError, TimeoutError):
                ready = False
            (self._ready.add if ready else self._ready.discard)(node)
            await asyncio.sleep(_EVERY)

    def _in_turn(self) -> list[str]:
        """Return the nodes that are ready, and then the others, for one of them may have come back just now."""
        self._nodes.append(self._nodes.pop(0))
        return sorted(self._nodes, key=lambda node: node not in self._ready)

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        asked = {name: request.headers[name] for name in _ASKED if name in request.headers}
        for node in self._in_turn():
            url = URL(node + request.raw_path, encoded=True)
            try:
                async with self._session.request(request.method, url, data=body or None, headers=asked) as answer:
                    answered = {name: answer.headers[name] for name in _ANSWERED if name in answer.headers}
                    return web.Response(status=answer.status, body=await answer.read(), headers=answered)
            except aiohttp.ClientConnectorError:
                continue
            except (aiohttp.ClientError, TimeoutError):
                if request.method != "GET":
                    return _refused(HTTPStatus.GATEWAY_TIMEOUT, "a node's answer was lost")
        return _refused(HTTPStatus.SERVICE_UNAVAILABLE, "no node answers")


def _refused(status: HTTPStatus, why: str) -> web.Response:
    return web.json_response({"error": why}, status=status)


async def _cancelled(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
