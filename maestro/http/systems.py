"""The systems Maestro serves, and Maestro's own health."""

import asyncio
from collections.abc import Collection, Mapping
from functools import partial
from typing import Any, Final

import msgspec
import orjson
from aiohttp import web

from maestro.access.roles import Role
from maestro.events import BadInput, check_system_id
from maestro.http.actor_client import ActorClient, answer_of, of_each
from maestro.http.checking import checked, query_of
from maestro.http.deciding import check_reason, decision_body
from maestro.http.inputs import path_number, path_system, query_page, read_object, user_of
from maestro.http.keys import ACTOR_CLIENT, CLUSTER, ENTITIES, LABELS, SETTINGS, note
from maestro.http.overwrites import AT_MOST, Overwriting
from maestro.http.replies import answered, problem, reply
from maestro.http.request_context import check_system, principal
from maestro.http.shapes.decisions import DecisionBody, ReasonedBody
from maestro.http.shapes.doubts import ResolveBody
from maestro.http.shapes.error_queue import MAX_LOOK, ErrorsQuery, RedriveBody
from maestro.http.shapes.notices import DeliveriesQuery
from maestro.http.shapes.stale import StaleQuery
from maestro.http.shapes.systems import StoreQuery
from maestro.messages.answers import BROKER_PROBLEM, Code
from maestro.messages.error_queue import ShownGroup
from maestro.messages.questions import (
    CopyStore,
    DescribeSystem,
    GetWaiting,
    ListDeliveries,
    ListDoubts,
    ListErrorGroups,
    ListErrors,
    ListPolicies,
    ListSkipped,
    ListStale,
    ListWaiting,
    Question,
    ReadStore,
    Redrive,
    ResolveDoubt,
    SetAside,
)

#: Seconds the parts have to say whether they are ready; an orchestrator's probe gives up soon after.
READY_TIMEOUT: Final = 5.0
#: Seconds that each system has to say whether it is stalled.
STALLED_TIMEOUT: Final = 2.0
#: The state of a unit that replaced what it had not seen.
OVERWRITE: Final = "overwrite"
_CONDITIONS: Final = msgspec.json.Decoder(tuple[str, ...])


async def list_systems(request: web.Request) -> web.StreamResponse:
    """Every system served, sorted by id, as `describe` says it; one that does not answer is `unavailable`."""
    actor_client = request.app[ACTOR_CLIENT]
    trouble = await _broker_trouble(actor_client)
    systems = actor_client.systems()
    described = await of_each(systems, partial(_summary_of, actor_client, timeout=request.app[SETTINGS].ask_timeout))
    owners = _owners(request, systems)
    told = (_told(said, broker=trouble, node=owners.get(one, "")) for one, said in zip(systems, described, strict=True))
    return reply(b"[" + b",".join(told) + b"]")


def _owners(request: web.Request, system_ids: Collection[str]) -> Mapping[str, str]:
    """Return the node that owns each of these systems; without a cluster nothing."""
    view = request.app.get(CLUSTER)
    return {} if view is None else view.owners(system_ids)


async def _broker_trouble(actor_client: ActorClient) -> str:
    """Say what keeps the broker from its work, as the parts that use it say, or that they do not; else nothing."""
    try:
        async with asyncio.timeout(READY_TIMEOUT):
            problems = await actor_client.readiness()
    except TimeoutError:
        return f"no answer within {READY_TIMEOUT:g} s"
    found = (cause for cause in problems.values() if cause.startswith(BROKER_PROBLEM))
    return next(found, "").removeprefix(BROKER_PROBLEM)


def _told(system: bytes, **more: str) -> bytes:
    """Add to a system's description what else is known: what is not empty."""
    known = {name: value for name, value in more.items() if value}
    return orjson.dumps(orjson.loads(system) | known) if known else system


async def _summary_of(actor_client: ActorClient, system_id: str, timeout: float) -> bytes:  # noqa: ASYNC109 - the actor client's own
    answer = await answer_of(actor_client, system_id, DescribeSystem(measure=False), timeout)
    if answer.code is Code.OK:
        return answer.body
    return orjson.dumps({"id": system_id, "state": "unavailable", "message": answer.message})


async def describe(request: web.Request) -> web.StreamResponse:
    """One system's state, lock, progress and counters."""
    client, timeout = request.app[ACTOR_CLIENT], request.app[SETTINGS].ask_timeout
    system_id = path_system(request)
    answer = await client.ask(system_id, DescribeSystem(), timeout=timeout)
    if answer.code is not Code.OK:
        return answered(answer)
    node = _owners(request, (system_id,)).get(system_id, "")
    return reply(_told(answer.body, broker=await _broker_trouble(client), node=node))


async def labels(request: web.Request) -> web.StreamResponse:
    """What the system's data are called: by type of row its name, and its fields' names, units and decimals."""
    system_id = path_system(request)
    check_system(system_id)
    return reply(msgspec.json.encode({"types": request.app[LABELS].get(system_id, {})}))


async def waiting(request: web.Request) -> web.StreamResponse:
    """One system's waiting events, oldest first: those numbered above `after`, at most `limit`."""
    return await _ask(request, ListWaiting(*query_page(request)))


async def waiting_event(request: web.Request) -> web.StreamResponse:
    """One waiting event with its body."""
    return await _ask(request, GetWaiting(path_number(request)))


async def skipped(request: web.Request) -> web.StreamResponse:
    """One system's skipped events with their payload, oldest first: those numbered above `after`, at most `limit`."""
    return await _ask(request, ListSkipped(*query_page(request)))


async def policies(request: web.Request) -> web.StreamResponse:
    """The policies that are for one system, and the settings beside them."""
    return await _ask(request, ListPolicies())


async def stale(request: web.Request) -> web.StreamResponse:
    """One system's units whose results are not known to be fresh, oldest note first; overwrites with their values."""
    query = query_of(request, StaleQuery)
    if query.values == "false":
        return await _ask(request, ListStale(query.state, query.after, query.limit))
    client, timeout = request.app[ACTOR_CLIENT], request.app[SETTINGS].ask_timeout
    question = ListStale(query.state, query.after, min(query.limit, AT_MOST))
    answer = await client.ask(path_system(request), question, timeout=timeout)
    if answer.code is not Code.OK:
        return answered(answer)
    page = orjson.loads(answer.body)
    units = [one for one in page["stale"] if one["state"] == OVERWRITE]
    asked = msgspec.convert(units, list[Overwriting])
    for one, valued in zip(units, await request.app[ENTITIES].valued(asked), strict=True):
        one["overwrite"] = valued
    return reply(orjson.dumps(page))


async def errors(request: web.Request) -> web.StreamResponse:
    """The oldest messages of one system's error queue; they stay where they are."""
    query = query_of(request, ErrorsQuery)
    return await _ask(request, ListErrors(query.limit, query.group, query.after))


async def error_groups(request: web.Request) -> web.StreamResponse:
    """The messages of one system's error queue, those that failed alike together."""
    after, limit = query_page(request)
    return await _ask(request, ListErrorGroups(MAX_LOOK, after, limit))


async def redrive(request: web.Request) -> web.StreamResponse:
    """Give chosen messages of one system's error queue, or all, back to be judged again."""
    system_id = path_system(request)
    body = checked(await read_object(request), RedriveBody)
    question = _redrive(body, user_of(body.user))
    if question.groups:
        note(request, user=question.user, groups=",".join(f"{one.key} ({one.count})" for one in question.groups))
    else:
        note(request, user=question.user, ids=",".join(question.ids or ("all",)))
    timeout = request.app[SETTINGS].sync_timeout
    return answered(await request.app[ACTOR_CLIENT].ask(system_id, question, timeout=timeout))


async def set_aside(request: web.Request) -> web.StreamResponse:
    """Put the event that a stalled system has in hand on its error queue."""
    system_id = path_system(request)
    body = checked(await decision_body(request), ReasonedBody)
    user, reason = user_of(body.user), check_reason(body.reason)
    note(request, user=user, reason=reason)
    timeout = request.app[SETTINGS].ask_timeout
    return answered(await request.app[ACTOR_CLIENT].ask(system_id, SetAside(user, reason), timeout=timeout))


def _redrive(body: RedriveBody, user: str) -> Redrive:
    """Return which messages are redriven. Raises `BadInput`."""
    if body.all is False:
        raise BadInput("all", "must be true, or left out")
    if sum(given is not None for given in (body.ids, body.groups, body.all)) != 1:
        raise BadInput("ids", 'give one of "ids", "groups" and "all": true')
    groups = tuple(ShownGroup(one.key, one.count, one.digest) for one in body.groups or ())
    keys = [one.key for one in groups]
    if len(set(keys)) < len(keys):
        raise BadInput("groups", "one is named twice")
    return Redrive(tuple(dict.fromkeys(body.ids or ())), user, groups)


async def doubts(request: web.Request) -> web.StreamResponse:
    """One system's commits in doubt, and the last ones that were resolved."""
    return await _ask(request, ListDoubts())


async def read_store(request: web.Request) -> web.StreamResponse:
    """What one system's store holds."""
    query = query_of(request, StoreQuery)
    try:
        where = (
            _CONDITIONS.decode(query.where) if query.where.startswith("[") else (query.where,) if query.where else ()
        )
    except msgspec.DecodeError as problem:
        raise BadInput("where", "must be one condition, or a JSON list of them") from problem
    return await _ask(request, ReadStore(query.table, query.key, where, query.after, query.limit))


async def copy_store(request: web.Request) -> web.StreamResponse:
    """Have a system's store copied beside it, by its owner."""
    system_id = path_system(request)
    body = checked(await decision_body(request), DecisionBody)
    if body.user is not None or principal().proven:
        note(request, user=user_of(body.user))
    timeout = request.app[SETTINGS].sync_timeout
    return answered(await request.app[ACTOR_CLIENT].ask(system_id, CopyStore(), timeout=timeout))


async def resolve_doubt(request: web.Request) -> web.StreamResponse:
    """Say what became of a commit in doubt."""
    system_id, key = path_system(request), request.match_info["key"]
    body = checked(await read_object(request), ResolveBody)
    user = user_of(body.user)
    note(request, user=user, key=key, verdict=body.verdict)
    question = ResolveDoubt(key, user, check_reason(body.reason), body.verdict)
    timeout = request.app[SETTINGS].ask_timeout
    return answered(await request.app[ACTOR_CLIENT].ask(system_id, question, timeout=timeout))


async def _ask(request: web.Request, question: Question) -> web.StreamResponse:
    timeout = request.app[SETTINGS].ask_timeout
    return answered(await request.app[ACTOR_CLIENT].ask(path_system(request), question, timeout=timeout))


async def deliveries(request: web.Request) -> web.StreamResponse:
    """One system's webhook deliveries, oldest first."""
    query = query_of(request, DeliveriesQuery)
    question = ListDeliveries(query.after, query.limit)
    timeout = request.app[SETTINGS].ask_timeout
    return answered(await request.app[ACTOR_CLIENT].ask(check_system_id(query.systemId), question, timeout=timeout))


async def healthz(_request: web.Request) -> web.StreamResponse:
    """The gateway itself answers."""
    return reply(b'{"status":"ok"}')


async def _stalled(request: web.Request) -> dict[str, Any]:
    """Name the systems that wait for a sibling, to callers who may look at systems. Maestro itself is ready."""
    if not principal().has(Role.VIEWER):
        return {}
    actor_client = request.app[ACTOR_CLIENT]
    described = await asyncio.gather(
        *(_summary_of(actor_client, one, STALLED_TIMEOUT) for one in actor_client.systems())
    )
    found = [system for system in map(orjson.loads, described) if system.get("stalled")]
    return {"stalled": [{"system": system["id"]} | system["stalled"] for system in found]} if found else {}


async def readyz(request: web.Request) -> web.StreamResponse:
    """All parts that Maestro needs are there; else 503 with what is wrong, part by part."""
    try:
        async with asyncio.timeout(READY_TIMEOUT):
            problems = dict(await request.app[ACTOR_CLIENT].readiness())
    except TimeoutError:
        problems = {"actors": f"no answer within {READY_TIMEOUT:g} s"}
    if not problems:
        return reply(orjson.dumps({"status": "ok"} | await _stalled(request)))
    if not principal().has(Role.VIEWER):
        return problem(503, "not ready")
    message = "; ".join(f"{part}: {cause}" for part, cause in problems.items())
    return reply(orjson.dumps({"status": "503", "message": message, "problems": problems}), 503)
