"""Around every handler: whatever is raised becomes a response in the platform's error shape, and one log line.

The hot route is not logged: `proceed` is called before every event of the platform.
"""

import time
from typing import Any

import msgspec
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from maestro import logs
from maestro.access.audit import AuditError, Entry
from maestro.events import BadInput
from maestro.http.bridge import Unavailable, UnknownSystem
from maestro.http.guards import Guards
from maestro.http.idempotency import HEADER, ticket
from maestro.http.inputs import read_body
from maestro.http.keys import FACTS
from maestro.http.operations import Operation
from maestro.http.replies import INTERNAL, SERVER, Denied, Problem, problem
from maestro.http.visit import VISIT, Visit
from maestro.store.base import StoreError


def edged(operation: Operation, guards: Guards) -> Handler:
    """Wrap the operation's handler: the door before it, record and answer after it.

    A wrapper and not a middleware: a middleware would cost the hot route, too, about a tenth of its throughput.
    """

    async def answer(request: web.Request) -> web.StreamResponse:
        started = time.monotonic()
        visit: Visit | None = None
        denied = False
        try:
            visit = Visit(await guards.door.enter(request, operation.role, operation.cost))
            token = VISIT.set(visit)
            try:
                response = await _carried_out(operation, guards, request, visit)
            finally:
                VISIT.reset(token)
        except Exception as error:  # noqa: BLE001 - the last line of defence: no bug may show a client our insides
            if isinstance(error, Denied):
                denied = True
                visit = visit or (Visit(error.caller) if error.caller else None)
            response = explained(request, _fitting(operation, error))
        if denied or operation.decides:
            await _record(operation, guards, request, visit, response, denied=denied)
        _log(operation, request, visit, response.status, time.monotonic() - started, denied=denied)
        return response

    return answer


def _fitting(operation: Operation, error: Exception) -> Exception:
    """Return the refusal with the status that this operation has for it."""
    if isinstance(error, Denied) and error.status == 403 != operation.refusal:  # noqa: PLR2004 - forbidden
        scope = 'Bearer realm="maestro", error="insufficient_scope"'
        return Denied(operation.refusal, error.message, {hdrs.WWW_AUTHENTICATE: scope})
    return error


async def _carried_out(operation: Operation, guards: Guards, request: web.Request, visit: Visit) -> web.StreamResponse:
    """Run the handler; a decision only when it can be recorded, and a repeated one not again."""
    if operation.decides and guards.audit is not None:
        await guards.audit.check()
    if not operation.repeatable or HEADER not in request.headers:
        return await operation.handler(request)
    claim = ticket(request, visit.principal.name, await read_body(request))
    assert claim is not None, "the request has a key"
    earlier = guards.replays.begin(claim)
    if earlier is not None:
        return earlier
    response: web.StreamResponse | None = None
    try:
        response = await _answered(operation, request)
    finally:
        guards.replays.end(claim, response)
    return response


async def _answered(operation: Operation, request: web.Request) -> web.StreamResponse:
    """Run the handler; what it refuses for good is an answer like any other."""
    try:
        return await operation.handler(request)
    except Denied:
        raise
    except Exception as error:  # noqa: BLE001 - as in `edged`
        return explained(request, error)


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
    headers = error.headers if isinstance(error, Problem) else None
    return problem(*_meaning(request, error), headers)


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
        case Unavailable() | AuditError():
            meaning = 503, str(error)
        case StoreError():
            meaning = 503, f"store: {error}"
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


async def _record(
    operation: Operation,
    guards: Guards,
    request: web.Request,
    visit: Visit | None,
    response: web.StreamResponse,
    *,
    denied: bool,
) -> None:
    """Put a decision, or a refused attempt, into the audit log."""
    if guards.audit is None:
        return
    facts = {name: str(value) for name, value in _facts(request).items()}
    outcome = "refused" if denied else "done" if response.status < 400 else "failed"  # noqa: PLR2004 - client errors
    name = visit.principal.name if visit else ""
    entry = Entry(
        who=name if visit and visit.principal.proven else facts.pop("user", "") or name,
        via=visit.principal.via if visit else "nobody",
        what=operation.name,
        system=(visit.system if visit else "") or facts.pop("system", "") or facts.pop("systemId", ""),
        target=facts.pop("id", ""),
        why=facts.pop("reason", ""),
        origin=request.remote or "",
        outcome=outcome,
        status=response.status,
        message=_message(response) if outcome != "done" else "",
        facts={name: value[:200] for name, value in facts.items()},
    )
    if denied:
        await guards.audit.record_denied(entry)
        return
    try:
        await guards.audit.record(entry)
    except AuditError as error:
        # It is decided already, and the answer says so; nothing more is decided until the log can be written.
        logs.get(part="audit").critical("audit.not_written", cause=str(error), **msgspec.to_builtins(entry))


class _Told(msgspec.Struct):
    message: str


def _message(response: web.StreamResponse) -> str:
    """Return the message in an error's body, or the body itself where there is none in it."""
    body = response.body if isinstance(response, web.Response) else b""
    if not isinstance(body, bytes | bytearray):
        return ""
    try:
        return msgspec.json.decode(body, type=_Told).message[:500]
    except msgspec.DecodeError:
        return bytes(body)[:500].decode("utf-8", "replace")


def _log(
    operation: Operation, request: web.Request, visit: Visit | None, status: int, seconds: float, *, denied: bool
) -> None:
    log = logs.get(part="http")
    write = log.info if operation.decides or operation.notable or denied else log.debug
    facts = _facts(request)
    if visit is not None and visit.principal.name:
        facts["caller"] = visit.principal.name
    write(
        f"http.{operation.name}",
        method=request.method,
        status=status,
        ms=round(seconds * 1000, 1),
        peer=request.remote,
        **facts,
    )


def _facts(request: web.Request) -> dict[str, Any]:
    return {**request.match_info, **request.get(FACTS, {})}
