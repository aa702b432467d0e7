"""What the services share of aiohttp: how they answer, read bodies, and are put on a port."""

from dataclasses import dataclass
from typing import Any

import orjson
from aiohttp import web

from maestro.events import MASTER

#: Largest request body, in bytes: a reprocessing document carries every event it replays.
MAX_BODY = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Address:
    """Where a service listens."""

    host: str
    port: int

    @property
    def url(self) -> str:
        """Base URL, without a slash at its end."""
        return f"http://{self.host}:{self.port}"


def json(value: Any, status: int = 200) -> web.Response:
    """Answer with a JSON value."""
    return web.Response(body=orjson.dumps(value), status=status, content_type="application/json")


def refused(status: int, message: str) -> web.Response:
    """Answer with an error, as the platform's services do."""
    return json({"message": message}, status)


async def body_of(request: web.Request) -> Any:
    """Return the decoded body. Raises `HTTPBadRequest` when it is no JSON."""
    try:
        return orjson.loads(await request.read())
    except orjson.JSONDecodeError as problem:
        raise web.HTTPBadRequest(text=f"the body is no JSON: {problem}") from problem


def needed(request: web.Request, name: str) -> str:
    """Return a query parameter that must be there. Raises `HTTPBadRequest`."""
    value = request.query.get(name, "")
    if not value:
        raise web.HTTPBadRequest(text=f"query parameter {name} is missing")
    return value


def branch_of(request: web.Request) -> str:
    """Return the query's branch, `master` by default."""
    return request.query.get("branch") or MASTER


def new_app(*routes: web.RouteDef) -> web.Application:
    """Return an application with these routes."""
    app = web.Application(client_max_size=MAX_BODY)
    app.add_routes(routes)
    return app


async def serve(app: web.Application, host: str, port: int) -> tuple[web.AppRunner, Address]:
    """Put an application on a port (0: a free one). Clean the runner up to stop it. Raises `OSError` if it is taken."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port, backlog=1024).start()
    except OSError:
        await runner.cleanup()
        raise
    return runner, Address(host, int(runner.addresses[0][1]))
