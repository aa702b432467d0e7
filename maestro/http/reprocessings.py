"""Reprocessing documents: look-ups and decisions."""

import re
from contextlib import suppress
from typing import Final

import msgspec
import orjson
from aiohttp import web
from aiohttp.typedefs import Handler

from maestro import json_text
from maestro.http.actor_client import UnknownSystem
from maestro.http.checking import query_of
from maestro.http.comparing import key_of
from maestro.http.deciding import check_reason, decision_body, decision_of, leave_out_of
from maestro.http.evidence import Asked
from maestro.http.inputs import path_document, path_system, query_page, user_of
from maestro.http.keys import ACTOR_CLIENT, DOCUMENTS, ENTITIES, SETTINGS, note
from maestro.http.outcome import SURVEYED, Replays
from maestro.http.outcome_csv import exported
from maestro.http.replies import answered, reply
from maestro.http.request_context import principal
from maestro.http.shapes.decisions import SetStatusQuery
from maestro.http.shapes.documents import EntitiesQuery, FindQuery
from maestro.http.shapes.units import EvidenceQuery, FindUnitsQuery, UnitsQuery
from maestro.messages.answers import Answer, Code
from maestro.messages.decisions import Decision, Reconsider, SetStatus
from maestro.messages.questions import (
    ExplainPolicies,
    FindDocuments,
    FindUnits,
    GetDocument,
    GetHeldInstance,
    GetReplays,
    GetUnits,
)
from maestro.statuses import Status

#: Says of a page of documents which one it ends with, when there are more: the `after` of the next page.
NEXT: Final = "X-Next-After"
#: Units explained by one answer: each is a call.
EVIDENCE_AT_ONCE: Final = 50
#: Who overrides a status when the query does not say.
OPERATOR: Final = "operator"
#: What stands in no name of a file.
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9_-]")


async def pending(request: web.Request) -> web.StreamResponse:
    """The system's documents waiting for a decision, oldest first."""
    return await _list(request, FindDocuments(Status.PENDING))


async def find(request: web.Request) -> web.StreamResponse:
    """The system's documents, all or those of one `status`, oldest first; a page of them where a `limit` is given.

    The platform's own client takes a list: where the next page begins stands in a header.
    """
    query = query_of(request, FindQuery)
    return await _list(request, FindDocuments(query.status, query.after, query.limit))


async def _list(request: web.Request, question: FindDocuments) -> web.StreamResponse:
    system_id = path_system(request)
    try:
        answer = await request.app[ACTOR_CLIENT].ask(system_id, question, timeout=request.app[SETTINGS].ask_timeout)
    except UnknownSystem:
        # The admin UI shows systems that are installed but have sent nothing yet: they have no documents.
        return reply(b"[]")
    more = answer.code is Code.OK and answer.message
    return answered(answer, {NEXT: answer.message} if more else None)


async def get(request: web.Request) -> web.StreamResponse:
    """One document; with a `limit` only a page of its units and events."""
    document_id = path_document(request)
    query = query_of(request, UnitsQuery)
    return answered(await request.app[DOCUMENTS].ask(document_id, GetDocument(document_id, query.after, query.limit)))


async def units(request: web.Request) -> web.StreamResponse:
    """The units of one document that fit, a page of them, and how many there are of each process, branch and period."""
    document_id = path_document(request)
    query = query_of(request, FindUnitsQuery)
    question = FindUnits(
        document_id, query.process, query.branch, query.period, query.state, query.text, query.after, query.limit
    )
    return answered(await request.app[DOCUMENTS].ask(document_id, question))


async def policies(request: web.Request) -> web.StreamResponse:
    """Each policy held against the document as it is now, and what follows."""
    document_id = path_document(request)
    return answered(await request.app[DOCUMENTS].ask(document_id, ExplainPolicies(document_id)))


async def evidence(request: web.Request) -> web.StreamResponse:
    """Why each unit of a page is in the document: the rows that it read and that are changed, and who named it."""
    document_id = path_document(request)
    query = query_of(request, EvidenceQuery)
    positions = tuple(map(int, query.positions.split(","))) if query.positions else ()
    question = GetUnits(document_id, query.after, min(query.limit, EVIDENCE_AT_ONCE), positions)
    answer = await request.app[DOCUMENTS].ask(document_id, question)
    if answer.code is not Code.OK:
        return answered(answer)
    asked = msgspec.json.decode(answer.body, type=Asked)
    units = await request.app[ENTITIES].explained(asked)
    return reply(orjson.dumps({"total": asked.total, "units": units, "next": asked.next}))


async def outcome(request: web.Request) -> web.StreamResponse:
    """What the replays changed: a summary, the biggest changes, and a page of the units."""
    document_id = path_document(request)
    after, limit = query_page(request)
    limit = min(limit, EVIDENCE_AT_ONCE)
    first = await request.app[DOCUMENTS].ask(document_id, GetReplays(document_id, 0, SURVEYED))
    if first.code is not Code.OK:
        return answered(first)
    asked = msgspec.json.decode(first.body, type=Replays)
    page = asked.units[after : after + limit]
    if asked.next is not None and after + limit > len(asked.units):
        more = await request.app[DOCUMENTS].ask(document_id, GetReplays(document_id, after, limit))
        if more.code is not Code.OK:
            return answered(more)
        page = msgspec.json.decode(more.body, type=Replays).units
    told = await request.app[ENTITIES].outcomes.told(document_id, asked, page)
    end = after + len(page)  # the system ends a page that would be too large
    told["next"] = end if page and end < asked.total else None
    return reply(orjson.dumps(told))


async def outcome_csv(request: web.Request) -> web.StreamResponse:
    """All that the replays changed, a line for each value; sent while it is asked for, unit by unit."""
    document_id = path_document(request)
    documents, outcomes = request.app[DOCUMENTS], request.app[ENTITIES].outcomes
    answer = await documents.ask(document_id, GetReplays(document_id, 0, EVIDENCE_AT_ONCE))
    if answer.code is not Code.OK:
        return answered(answer)
    response = web.StreamResponse(
        headers={
            "Content-Type": "text/csv; charset=utf-8",
            "Content-Disposition": f'attachment; filename="outcome-{_UNSAFE.sub("_", document_id)}.csv"',
            "Cache-Control": "no-store",
        }
    )
    await response.prepare(request)
    first = msgspec.json.decode(answer.body, type=Replays)
    with suppress(ConnectionError):  # the client is gone
        async for lines in exported(
            outcomes, first, lambda after: documents.ask(document_id, GetReplays(document_id, after, EVIDENCE_AT_ONCE))
        ):
            await response.write(lines)
        await response.write_eof()
    return response


async def entities(request: web.Request) -> web.StreamResponse:
    """What the commit of the document's held instance would write, a page of it."""
    document_id = path_document(request)
    query = query_of(request, EntitiesQuery)
    answer = await request.app[DOCUMENTS].ask(document_id, GetHeldInstance(document_id))
    if answer.code is not Code.OK:
        return answered(answer)
    held = orjson.loads(answer.body)
    pages = request.app[ENTITIES]
    response = await pages.page(held["systemId"], held["instanceId"], query.after, query.limit)
    if query.replaced == "false":
        return response
    assert isinstance(response.body, bytes | bytearray), "it is JSON"
    page = json_text.members(bytes(response.body))
    keys = [_key(bytes(row)) for row in json_text.elements(bytes(page["entities"]))]
    found = await pages.replaced(held["instanceId"], {key for key in keys if key is not None})
    told = [_row(found[key]) if key is not None and key in found else b"null" for key in keys]
    page["replaced"] = msgspec.Raw(b"[%s]" % b",".join(told))
    return reply(json_text.joined(page))


def _row(row: object) -> bytes:
    """Return a row as JSON; null: it has a number or a text that not every reader takes."""
    try:
        return orjson.dumps(row)
    except TypeError:
        return b"null"


def _key(raw: bytes) -> tuple[str, str] | None:
    """Return what a row is matched by; None: it is no row."""
    row = json_text.loads(raw)
    return key_of("", row) if isinstance(row, dict) else None


async def unusual(request: web.Request) -> web.StreamResponse:
    """What is unusual about the document's held commit: its new numbers against their past values."""
    document_id = path_document(request)
    answer = await request.app[DOCUMENTS].ask(document_id, GetHeldInstance(document_id))
    if answer.code is not Code.OK:
        return answered(answer)
    held = orjson.loads(answer.body)
    told = await request.app[ENTITIES].unusual.told(held["systemId"], held["instanceId"], held["branch"])
    return reply(orjson.dumps(told))


def decision(kind: type[Decision]) -> Handler:
    """Return the handler of one kind of decision, which needs to know who decides."""

    async def decide(request: web.Request) -> web.StreamResponse:
        document_id = path_document(request)
        decided = decision_of(kind, document_id, await decision_body(request))
        note(request, user=decided.user, reason=getattr(decided, "reason", ""))
        if getattr(decided, "covers", None) is not None:
            note(request, covers="tag")
        answer = await request.app[DOCUMENTS].ask(document_id, decided)
        _note_policies(request, answer)
        return answered(answer)

    return decide


def _note_policies(request: web.Request, answer: Answer) -> None:
    """Have the audit log say which policies, in which wording, demanded what of the decision."""
    if answer.code not in (Code.OK, Code.ACCEPTED) or not answer.body:
        return
    recorded = json_text.members(answer.body).get("policies")
    demand = orjson.loads(bytes(recorded)) if recorded is not None else None
    if demand and demand["by"]:
        said = (f"{one['name']} ({one['digest']}): {', '.join(one['effects'])}" for one in demand["by"])
        note(request, policies="; ".join(said))


async def reconsider(request: web.Request) -> web.StreamResponse:
    """Have the event of a skipped document judged again, and answer with what became of it."""
    document_id = path_document(request)
    decided = decision_of(Reconsider, document_id, await decision_body(request))
    assert isinstance(decided, Reconsider), "as asked for"
    note(request, user=decided.user, reason=decided.reason)
    timeout = request.app[SETTINGS].sync_timeout
    return answered(await request.app[DOCUMENTS].ask(document_id, decided, timeout=timeout))


async def leave_out(request: web.Request) -> web.StreamResponse:
    """Leave units out of a reprocessing that is paused or was given up."""
    document_id = path_document(request)
    decided = leave_out_of(document_id, await decision_body(request))
    units = " ".join(f"{instance_id}@{branch}" for instance_id, branch in decided.units)
    note(request, user=decided.user, reason=decided.reason, units=units)
    return answered(await request.app[DOCUMENTS].ask(document_id, decided))


async def set_status(request: web.Request) -> web.StreamResponse:
    """Override a document's status by hand."""
    query = query_of(request, SetStatusQuery)
    nobody = query.user is None and not principal().proven
    user = OPERATOR if nobody else user_of(query.user)
    reason = check_reason(query.reason)
    note(request, id=query.id, to=query.status, user=user, reason=reason)
    decided = SetStatus(query.id, query.status, user, reason, principal().token)
    answer = await request.app[DOCUMENTS].ask(query.id, decided)
    _note_policies(request, answer)
    return answered(answer)
