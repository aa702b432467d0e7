"""What the services share of aiohttp: how they answer, read bodies, fail, and are put on a port."""

import errno
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import orjson
from aiohttp import web

from maestro.events import MASTER

#: Largest request body, in bytes: a reprocessing document carries every event it replays.
MAX_BODY = 64 * 1024 * 1024
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Refused(Exception):  # noqa: N818 - an answer, not a fault
    """The service says no; the message is the answer's."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        #: 400 for every error (contracts), save Domain's own 500.
        self.status = status


class Service:
    """A service of the platform, which may be out of reach for a while."""

    def __init__(self) -> None:
        #: While it is, every connection is dropped without an answer.
        self.away = False

    def new_app(self, *routes: web.RouteDef) -> web.Application:
        """Return an application with these routes, whose every error is worded as the platform words it."""
        app = web.Application(client_max_size=MAX_BODY, middlewares=[self._answered])
        app.add_routes(routes)
        return app

    @web.middleware
    async def _answered(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        if self.away:
            if request.transport is not None:
                request.transport.abort()
            return _error(400, "away")
        try:
            return await handler(request)
        except Refused as refused:
            return _error(refused.status, str(refused))
        except web.HTTPException as problem:
            return _error(400, problem.text or problem.reason)


class PortTaken(OSError):  # noqa: N818 - the name says what is wrong
    """Somebody else listens on the port."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a service listens."""

    host: str
    port: int

    @property
    def url(self) -> str:
        """Base URL, without a slash at its end."""
        return f"http://{self.host}:{self.port}"


def json(value: Any) -> web.Response:
    """Answer with a JSON value."""
    return web.Response(body=orjson.dumps(value), content_type="application/json")


async def body_of(request: web.Request) -> Any:
    """Return the decoded body. Raises `Refused` when it is no JSON."""
    try:
        return orjson.loads(await request.read())
    except orjson.JSONDecodeError as problem:
        raise Refused(f"the body is no JSON: {problem}") from problem


def needed(request: web.Request, name: str) -> str:
    """Return a query parameter that must be there. Raises `Refused`."""
    value = request.query.get(name, "")
    if not value:
        raise Refused(f"query parameter {name} is missing")
    return value


def branch_of(request: web.Request) -> str:
    """Return the query's branch, `master` by default."""
    return request.query.get("branch") or MASTER


async def serve(app: web.Application, host: str, port: int) -> tuple[web.AppRunner, Address]:
    """Put an application on a port (0: a free one). Clean the runner up to stop it.

    Raises:
        PortTaken: somebody listens there.
        OSError: it cannot be listened there.
    """
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port, backlog=1024).start()
    except OSError as problem:
        await runner.cleanup()
        if problem.errno == errno.EADDRINUSE:
            raise PortTaken(
                f"port {port} of {host} is taken; another sandbox may be running: end it, or give --free-ports"
            ) from problem
        raise
    return runner, Address(host, int(runner.addresses[0][1]))


def _error(status: int, message: str) -> web.Response:
    body = orjson.dumps({"status": str(status), "message": message})
    return web.Response(body=body, status=status, content_type="application/json")
