"""Around a route's handler and what wraps it: the request's id, for its log lines and its answer, and how long it took.

`X-Request-Id` comes in, or one is made up, and goes out with the answer. What is no plain id is not taken over: it
would stand in every log line.
"""

import re
import time
import uuid
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler

from maestro import logs
from maestro.http.keys import METRICS
from maestro.telemetry.definitions import HTTP_SECONDS

HEADER: Final = "X-Request-Id"
_REQUEST_ID: Final = web.RequestKey("REQUEST_ID", str)
_PLAIN: Final = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")


def observed(name: str, handler: Handler) -> Handler:
    """Wrap the handler of the route `name`, which raises nothing but what ends the connection.

    A wrapper and not a middleware of aiohttp, like what it wraps (`middleware`); `proceed` sees to itself.
    """

    async def answer(request: web.Request) -> web.StreamResponse:
        started = time.monotonic()
        request[_REQUEST_ID] = id_ = given_id(request) or uuid.uuid4().hex
        with logs.correlated(request=id_):
            response = await handler(request)
        request.app[METRICS].observe(HTTP_SECONDS, time.monotonic() - started, name, str(response.status))
        return response

    return answer


def given_id(request: web.BaseRequest) -> str:
    """Return the id that the client gave its request; empty without a usable one."""
    given = request.headers.get(HEADER, "")
    return given if _PLAIN.fullmatch(given) else ""


async def tell_request_id(request: web.Request, response: web.StreamResponse) -> None:
    """Put the request's id into its answer; called as any answer begins."""
    id_ = request.get(_REQUEST_ID) or given_id(request)
    if id_:
        response.headers[HEADER] = id_
