"""Many pending reprocessings decided together: each on the digest that was shown, each with an outcome of its own."""

from typing import Any, Final

import orjson
from aiohttp import web

from maestro.access.audit import Entry
from maestro.events import BadInput
from maestro.http.actor_client import Unavailable, UnknownSystem, of_each
from maestro.http.checking import checked
from maestro.http.deciding import check_reason, decision_body
from maestro.http.documents import Documents
from maestro.http.idempotency import OPEN
from maestro.http.inputs import user_of
from maestro.http.keys import DOCUMENTS, GUARDS, note
from maestro.http.replies import STATUS, Denied, Problem, reply
from maestro.http.request_context import CONTEXT, RequestContext, principal
from maestro.http.shapes.decisions import DecideManyBody
from maestro.messages.answers import Code
from maestro.messages.decisions import Approve, Skip

#: What became of one: decided; an approval that is noted, for a second person must approve as well; refused, and not
#: decided; not known, for no answer came in time.
DECIDED: Final = "decided"
NOTED: Final = "noted"
REFUSED: Final = "refused"
UNKNOWN: Final = "unknown"
_CODES: Final = {Code.OK: DECIDED, Code.ACCEPTED: NOTED}
#: In the audit log.
_RECORDED: Final = {DECIDED: "done", NOTED: "done", REFUSED: "failed", UNKNOWN: "failed"}


async def decide_many(request: web.Request) -> web.StreamResponse:
    """Approve or skip each of several pending reprocessings, if it is still what was shown; say what became of each."""
    body = checked(await decision_body(request), DecideManyBody)
    user, reason = user_of(body.user), check_reason(body.reason)
    if not reason:
        raise BadInput("reason", "is missing")
    digests = {one.id: one.digest for one in body.items}
    if len(digests) < len(body.items):
        raise BadInput("items", "one is named twice")
    note(request, user=user, reason=reason, action=body.action, number=str(len(digests)))
    documents = request.app[DOCUMENTS]

    async def one(document_id: str) -> dict[str, Any]:
        # A context of its own: it is about a system of its own.
        context = RequestContext(principal())
        CONTEXT.set(context)
        told = await _decided(documents, body.action, document_id, digests[document_id], user, reason)
        told["system"] = context.system
        await _record(request, context, body.action, told, user, reason)
        return told

    items = await of_each(digests, one)
    counts = {name: sum(item["outcome"] == name for item in items) for name in (DECIDED, NOTED, REFUSED, UNKNOWN)}
    answer = reply(orjson.dumps({**counts, "items": items}))
    answer[OPEN] = counts[UNKNOWN] > 0  # sent again under its key it is tried again
    return answer


async def _decided(
    documents: Documents, action: str, document_id: str, digest: str, user: str, reason: str
) -> dict[str, Any]:
    question: Approve | Skip
    if action == "approve":
        question = Approve(document_id, user, reason, digest, token=principal().token)
    else:
        question = Skip(document_id, user, reason, digest=digest)
    try:
        answer = await documents.ask(document_id, question)
    except TimeoutError:
        return _told(document_id, UNKNOWN, 503, "no answer in time; it may still be decided")
    except UnknownSystem as problem:
        return _told(document_id, REFUSED, 404, str(problem))
    except Unavailable as problem:
        return _told(document_id, UNKNOWN, 503, f"{problem}; it may still be decided")
    except Denied as problem:
        return _told(document_id, REFUSED, problem.status, problem.message)
    except Problem as problem:
        return _told(document_id, UNKNOWN, problem.status, problem.message)
    outcome = _CODES.get(answer.code) or (UNKNOWN if answer.code is Code.UNAVAILABLE else REFUSED)
    message = "" if answer.code in _CODES else answer.message or str(answer.code)
    return _told(document_id, outcome, STATUS[answer.code], message)


def _told(document_id: str, outcome: str, status: int, message: str) -> dict[str, Any]:
    return {"id": document_id, "system": "", "outcome": outcome, "status": status, "message": message}


async def _record(
    request: web.Request, context: RequestContext, action: str, told: dict[str, Any], user: str, reason: str
) -> None:
    """Put one decision into the audit log, as if it had been made by itself."""
    guards = request.app[GUARDS]
    caller = context.principal
    entry = Entry(
        who=caller.name if caller.proven else user,
        via=caller.via,
        what=action,
        system=context.system,
        target=told["id"],
        why=reason,
        origin=request.remote or "",
        outcome=_RECORDED[told["outcome"]],
        status=told["status"],
        message=told["message"][:500],
        facts={"together": "true"},
    )
    await guards.record(entry)
