"""Around every handler: whatever is raised becomes a response in the platform's error shape, and one log line.

The hot route is not logged: `proceed` is called before every event of the platform.
"""

import time
from typing import Any, Final

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from maestro import logs
from maestro.events import BadInput
from maestro.http.bridge import Unavailable, UnknownSystem
from maestro.http.keys import FACTS
from maestro.http.replies import INTERNAL, SERVER, Problem, problem

#: Routes (by name) whose requests decide something: logged at level info, the others at debug.
DECISIONS: Final = frozenset(
    {"approve", "skip", "retry", "cancel", "pause", "resume", "recheck", "reconsider", "set_status", "redrive",
     "handler_persist", "persist_sync"}
)  # fmt: skip


def edged(name: str, handler: Handler) -> Handler:
    """Wrap the handler of the route `name`.

    A wrapper and not a middleware: a middleware would cost the hot route, too, about a tenth of its throughput.
    """

    async def answer(request: web.Request) -> web.StreamResponse:
        started = time.monotonic()
        try:
            response = await handler(request)
        except Exception as error:  # noqa: BLE001 - the last line of defence: no bug may show a client our insides
            response = explained(request, error)
        _log(name, request, response.status, time.monotonic() - started)
        return response

    return answer


async def unmatched(request: web.Request) -> web.StreamResponse:
    """Answer what no route takes: 405 when the path takes another method, else 404."""
    allowed: set[str] = set()
    for resource in request.app.router.resources():
        allowed |= (await resource.resolve(request))[1]
    allowed.discard(hdrs.METH_ANY)
    if not allowed:
        return problem(404, "there is no such resource")
    return problem(405, f"the resource does not take {request.method}", {hdrs.ALLOW: ",".join(sorted(allowed))})


def explained(request: web.Request, error: Exception) -> web.Response:
    """Return what `error` means to the client; a bug is logged."""
    return problem(*_meaning(request, error))


async def hide_versions(_request: web.Request, response: web.StreamResponse) -> None:
    """Name the server without versions; aiohttp would tell its own and Python's."""
    response.headers["Server"] = SERVER


def _meaning(request: web.Request, error: Exception) -> tuple[int, str]:
    match error:
        case Problem():
            meaning = error.status, error.message
        case BadInput():
            meaning = 400, str(error)
        case UnknownSystem():
            meaning = 404, str(error)
        case Unavailable():
            meaning = 503, str(error)
        case TimeoutError():
            meaning = 503, "no answer in time; what was asked may still be carried out"
        case web.HTTPException():
            meaning = error.status, error.reason
        case _:
            logs.get(part="http").error(
                "http.bug", method=request.method, path=request.path, exc_info=error, **_facts(request)
            )
            meaning = 500, INTERNAL
    return meaning


def _log(name: str, request: web.Request, status: int, seconds: float) -> None:
    log = logs.get(part="http")
    write = log.info if name in DECISIONS else log.debug
    write(
        f"http.{name}",
        method=request.method,
        status=status,
        ms=round(seconds * 1000, 1),
        peer=request.remote,
        **_facts(request),
    )


def _facts(request: web.Request) -> dict[str, Any]:
    return {**request.match_info, **request.get(FACTS, {})}
