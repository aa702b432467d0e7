"""The systems Maestro serves, and Maestro's own health."""

import asyncio
from typing import Any, Final

import orjson
from aiohttp import web

from maestro.events import BadInput
from maestro.http.bridge import Bridge, Unavailable, UnknownSystem
from maestro.http.inputs import (
    check_user,
    parse_object,
    path_number,
    path_system,
    query_number,
    query_page,
    read_body,
)
from maestro.http.keys import BRIDGE, SETTINGS, note
from maestro.http.replies import answered, reply
from maestro.messages import Code, DescribeSystem, GetWaiting, ListErrors, ListSkipped, ListWaiting, Question, Redrive

#: Messages of the error queue in one answer, and those that may be chosen at once.
SHOWN_ERRORS: Final = 20
MAX_ERRORS: Final = 50
MAX_CHOSEN: Final = 1000
#: Systems asked at once for a list.
LIST_WIDTH: Final = 16
#: Seconds the parts have to say whether they are ready; an orchestrator's probe gives up soon after.
READY_TIMEOUT: Final = 5.0


async def list_systems(request: web.Request) -> web.StreamResponse:
    """Every system served, sorted by id, as `describe` says it; one that does not answer is `unavailable`."""
    bridge, timeout = request.app[BRIDGE], request.app[SETTINGS].ask_timeout
    places = asyncio.Semaphore(LIST_WIDTH)

    async def one(system_id: str) -> bytes:
        async with places:
            return await _glance(bridge, system_id, timeout)

    described = await asyncio.gather(*map(one, bridge.systems()))
    return reply(b"[" + b",".join(described) + b"]")


async def _glance(bridge: Bridge, system_id: str, timeout: float) -> bytes:  # noqa: ASYNC109 - the bridge's own
    try:
        answer = await bridge.ask(system_id, DescribeSystem(measure=False), timeout=timeout)
        if answer.code is Code.OK:
            return answer.body
        problem = answer.message
    except (TimeoutError, Unavailable, UnknownSystem) as error:
        problem = str(error) or "no answer in time"
    return orjson.dumps({"id": system_id, "state": "unavailable", "message": problem})


async def describe(request: web.Request) -> web.StreamResponse:
    """One system's state, lock, progress and counters."""
    return await _ask(request, DescribeSystem())


async def waiting(request: web.Request) -> web.StreamResponse:
    """One system's waiting events, oldest first: those numbered above `after`, at most `limit`."""
    return await _ask(request, ListWaiting(*query_page(request)))


async def waiting_event(request: web.Request) -> web.StreamResponse:
    """One waiting event with its body."""
    return await _ask(request, GetWaiting(path_number(request)))


async def skipped(request: web.Request) -> web.StreamResponse:
    """One system's skipped events with their payload, oldest first: those numbered above `after`, at most `limit`."""
    return await _ask(request, ListSkipped(*query_page(request)))


async def errors(request: web.Request) -> web.StreamResponse:
    """The oldest messages of one system's error queue; they stay where they are."""
    return await _ask(request, ListErrors(query_number(request, "limit", default=SHOWN_ERRORS, low=1, high=MAX_ERRORS)))


async def redrive(request: web.Request) -> web.StreamResponse:
    """Give chosen messages of one system's error queue, or all, back to be judged again."""
    system_id = path_system(request)
    fields = parse_object(await read_body(request))
    user = check_user(fields.get("user"))
    note(request, user=user)
    timeout = request.app[SETTINGS].sync_timeout
    return answered(await request.app[BRIDGE].ask(system_id, Redrive(_chosen(fields), user), timeout=timeout))


def _chosen(fields: dict[str, Any]) -> tuple[str, ...]:
    """Return the ids chosen; none for all."""
    ids, everything = fields.get("ids"), fields.get("all")
    if everything not in (None, True):
        raise BadInput("all", "must be true, or left out")
    if (ids is None) == (everything is None):
        raise BadInput("ids", 'give either "ids" or "all": true')
    if ids is None:
        return ()
    if not isinstance(ids, list) or not ids or not all(isinstance(id_, str) and id_ for id_ in ids):
        raise BadInput("ids", "must be a list of message ids")
    if len(ids) > MAX_CHOSEN:
        raise BadInput("ids", f"must be at most {MAX_CHOSEN}")
    return tuple(dict.fromkeys(ids))


async def _ask(request: web.Request, question: Question) -> web.StreamResponse:
    timeout = request.app[SETTINGS].ask_timeout
    return answered(await request.app[BRIDGE].ask(path_system(request), question, timeout=timeout))


async def healthz(_request: web.Request) -> web.StreamResponse:
    """The gateway itself answers."""
    return reply(b'{"status":"ok"}')


async def readyz(request: web.Request) -> web.StreamResponse:
    """All parts that Maestro needs are there; else 503 with what is wrong, part by part."""
    try:
        async with asyncio.timeout(READY_TIMEOUT):
            problems = dict(await request.app[BRIDGE].readiness())
    except TimeoutError:
        problems = {"actors": f"no answer within {READY_TIMEOUT:g} s"}
    if not problems:
        return reply(b'{"status":"ok"}')
    message = "; ".join(f"{part}: {problem}" for part, problem in problems.items())
    return reply(orjson.dumps({"status": "503", "message": message, "problems": problems}), 503)
