"""Lists over all systems that the caller may touch: what waits for a person, and the history."""

from datetime import datetime
from functools import partial

import msgspec
import orjson
from aiohttp import web

from maestro.events import BadInput
from maestro.http.actor_client import UnknownSystem, answer_of, of_each
from maestro.http.checking import query_of
from maestro.http.keys import ACTOR_CLIENT, SETTINGS, TODO
from maestro.http.replies import Problem, reply
from maestro.http.request_context import check_system
from maestro.http.shapes import RecordsQuery, TodoQuery
from maestro.messages import Code, ListRecords, place_of


async def todo(request: web.Request) -> web.StreamResponse:
    """What waits for a person: the most urgent first, a page of it."""
    query = query_of(request, TodoQuery)
    found = await request.app[TODO].of(_systems(request, query.system))
    end = query.after + query.limit
    body = {
        "total": found.total,
        "counts": found.counts,
        "items": found.items[query.after : end],
        "next": end if end < len(found.items) else None,
    }
    return reply(msgspec.json.encode(body))


async def history(request: web.Request) -> web.StreamResponse:
    """The reprocessings of all systems, newest first: those that fit, a page of them."""
    query = query_of(request, RecordsQuery)
    question = ListRecords(
        query.status, query.user, query.text, _moment("since", query.since), _moment("until", query.until),
        query.before, query.limit,
    )  # fmt: skip
    systems = _systems(request, query.system)
    ask = partial(answer_of, request.app[ACTOR_CLIENT], question=question, timeout=request.app[SETTINGS].ask_timeout)
    answers = await of_each(systems, ask)
    refused = next((answer for answer in answers if answer.code is Code.INVALID), None)
    if refused is not None:
        raise Problem(400, refused.message)
    found = [record for answer in answers if answer.code is Code.OK for record in orjson.loads(answer.body)]
    found.sort(key=lambda record: place_of(record["cursor"]), reverse=True)
    page = found[: query.limit]
    body = {
        "records": page,
        "next": page[-1]["cursor"] if len(found) > query.limit else None,
        "unanswered": [id_ for id_, answer in zip(systems, answers, strict=True) if answer.code is not Code.OK],
    }
    return reply(orjson.dumps(body))


def _systems(request: web.Request, system_id: str) -> tuple[str, ...]:
    """Return the systems that are meant. Raises `UnknownSystem`, and `Denied` for one that the caller may not touch."""
    if system_id:
        check_system(system_id)
    known = request.app[ACTOR_CLIENT].systems()
    if system_id and system_id not in known:
        raise UnknownSystem(system_id)
    return (system_id,) if system_id else known


def _moment(name: str, text: str) -> float | None:
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise BadInput(name, "must be a moment like 2026-11-28T00:00:00Z")
    return at.timestamp()
