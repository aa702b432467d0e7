"""Lists over all systems that the caller may touch: what waits for a person, and the history."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Any

import msgspec
import orjson
from aiohttp import web

from maestro.events import BadInput
from maestro.http.actor_client import WIDTH, UnknownSystem, answer_of, of_each
from maestro.http.checking import query_of
from maestro.http.keys import ACTOR_CLIENT, SETTINGS, TODO
from maestro.http.replies import Problem, reply
from maestro.http.request_context import check_system
from maestro.http.shapes.lists import RecordsQuery, TodoQuery
from maestro.messages.answers import Answer, Code
from maestro.messages.questions import ListRecords, place_of


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
    actor_client = request.app[ACTOR_CLIENT]
    ask = partial(answer_of, actor_client, question=question, timeout=request.app[SETTINGS].ask_timeout)
    awake: list[str] = []
    at_rest: list[tuple[tuple[int, str], str]] = []
    meant = _systems(request, query.system)
    resting = await actor_client.at_rest(meant)
    for system_id in meant:
        newest = resting.get(system_id)
        if newest is None:
            awake.append(system_id)
        elif newest:
            at_rest.append((place_of(newest), system_id))
    at_rest.sort(reverse=True)
    found: list[dict[str, Any]] = []
    unanswered: list[str] = []
    await _find(awake, ask, found, unanswered)
    # The others are woken for it: those that may have something for this page, the newest first.
    for start in range(0, len(at_rest), WIDTH):
        some = at_rest[start : start + WIDTH]
        if len(found) > query.limit and place_of(found[query.limit]["cursor"]) > some[0][0]:
            break
        await _find([system_id for _, system_id in some], ask, found, unanswered)
    page = found[: query.limit]
    following = page[-1]["cursor"] if len(found) > query.limit else None
    return reply(orjson.dumps({"records": page, "next": following, "unanswered": unanswered}))


async def _find(
    systems: Sequence[str],
    ask: Callable[[str], Awaitable[Answer]],
    found: list[dict[str, Any]],
    unanswered: list[str],
) -> None:
    """Add the records of these systems, newest first, and the systems that do not answer. Raises `Problem` (400)."""
    answers = await of_each(systems, ask)
    for system_id, answer in zip(systems, answers, strict=True):
        if answer.code is Code.INVALID:
            raise Problem(400, answer.message)
        if answer.code is Code.OK:
            found += orjson.loads(answer.body)
        else:
            unanswered.append(system_id)
    found.sort(key=lambda record: place_of(record["cursor"]), reverse=True)


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
