"""Around every handler: whatever is raised becomes a response in the platform's error shape, and one log line.

The hot route is not logged: `proceed` is called before every event of the platform.
"""

import time
from http import HTTPStatus
from typing import Any, Final

import msgspec
from aiohttp import HttpVersion11, hdrs, web
from aiohttp.typedefs import Handler

from maestro import logs
from maestro.access.audit import AuditError, Entry
from maestro.events import BadInput
from maestro.http.actor_client import Unavailable, UnknownSystem
from maestro.http.guards import Guards
from maestro.http.idempotency import HEADER, REPLAYED, ticket
from maestro.http.inputs import read_body
from maestro.http.keys import FACTS, QUIET
from maestro.http.log_limits import cut
from maestro.http.operations import Operation
from maestro.http.replies import HSTS, INTERNAL, SERVER, Denied, Problem, problem
from maestro.http.request_context import CONTEXT, RequestContext
from maestro.http.saying import in_language, language_of
from maestro.http.sending import compress, unchanged
from maestro.language import speaking
from maestro.store.base import StoreError

#: Characters of each fact of a refused attempt that the audit log keeps.
REFUSED_SHOWN: Final = 200


def wrapped(operation: Operation, guards: Guards) -> Handler:
    """Wrap the operation's handler: authentication before it, record and answer after it.

    A wrapper and not a middleware: a middleware would cost the hot route, too, about a tenth of its throughput.
    """

    async def answer(request: web.Request) -> web.StreamResponse:
        started = time.monotonic()
        context: RequestContext | None = None
        denied = False
        try:
            context = RequestContext(await guards.authentication.enter(request, operation.role, operation.cost))
            token = CONTEXT.set(context)
            try:
                with speaking(language_of(request)):
                    response = await _carried_out(operation, guards, request, context)
            finally:
                CONTEXT.reset(token)
        except Exception as error:  # noqa: BLE001 - the last line of defence: no bug may show a client our insides
            if isinstance(error, Denied):
                denied = True
                context = context or (RequestContext(error.caller) if error.caller else None)
            response = explained(request, _fitting(operation, error))
            if request.writer.output_size and request.transport is not None:
                # An answer has begun: another head would stand in the middle of it. So would a whole end of it lie.
                request.transport.abort()
        english = response
        response = unchanged(request, await in_language(operation, request, english))
        compress(request, response)
        whole = operation.decides and not (operation.records_itself and response.status == HTTPStatus.OK)
        whole = whole and REPLAYED not in response.headers  # it was recorded when it was decided
        if denied or whole or (operation.recorded and response.status == HTTPStatus.OK):
            await _record(operation, guards, request, context, english, denied=denied)
        _log(operation, request, context, response.status, time.monotonic() - started, denied=denied)
        return response

    return answer


def _fitting(operation: Operation, error: Exception) -> Exception:
    """Return the refusal with the status that this operation has for it."""
    if isinstance(error, Denied) and error.status == 403 != operation.refusal:  # noqa: PLR2004 - forbidden
        scope = 'Bearer realm="maestro", error="insufficient_scope"'
        return Denied(operation.refusal, error.message, {hdrs.WWW_AUTHENTICATE: scope})
    return error


async def _carried_out(
    operation: Operation, guards: Guards, request: web.Request, context: RequestContext
) -> web.StreamResponse:
    """Run the handler; what is to be recorded only when it can be, and a repeated decision not again."""
    if (operation.decides or operation.recorded) and guards.audit is not None:
        await guards.audit.check()
    if not operation.repeatable or HEADER not in request.headers:
        return await operation.handler(request)
    claim = ticket(request, context.principal.name, await read_body(request))
    assert claim is not None, "the request has a key"
    earlier = await guards.replays.begin(claim, lambda system: not system or context.principal.may_touch(system))
    if earlier is not None:
        return earlier
    response: web.StreamResponse | None = None
    try:
        response = await _answered(operation, request)
    finally:
        await guards.replays.end(claim, response, context.system)
    return response


async def _answered(operation: Operation, request: web.Request) -> web.StreamResponse:
    """Run the handler; what it refuses for good is an answer like any other."""
    try:
        return await operation.handler(request)
    except Denied:
        raise
    except Exception as error:  # noqa: BLE001 - as in `wrapped`
        return explained(request, error)


async def expected(request: web.Request) -> web.StreamResponse | None:
    """Meet what a client expects before it sends its body: to be told to go on, and nothing else (417)."""
    if request.version < HttpVersion11:
        return None
    if request.headers.get(hdrs.EXPECT, "").lower() != "100-continue":
        return problem(HTTPStatus.EXPECTATION_FAILED, "Expect: only 100-continue can be met")
    await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    request.writer.output_size = 0  # the answer has not begun
    return None


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
    if isinstance(error, Unavailable) and error.retry_after is not None:
        headers = {hdrs.RETRY_AFTER: str(error.retry_after)}
    return problem(*_meaning(request, error), headers)


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Name the server without versions (aiohttp would tell its own and Python's), and say how an answer may be used.

    Nothing is stored on the way (what is public says so itself), no browser guesses a type, and where the gateway
    speaks HTTPS a browser asks it in no other way.
    """
    headers = response.headers
    headers["Server"] = SERVER
    headers["X-Content-Type-Options"] = "nosniff"
    headers.setdefault(hdrs.CACHE_CONTROL, "no-store")
    if request.secure:
        headers["Strict-Transport-Security"] = HSTS


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
                "http.bug", method=request.method, path=cut(request.path), exc_info=error,
                **{name: cut(value) for name, value in _facts(request).items()},
            )  # fmt: skip
            meaning = 500, INTERNAL
    return meaning


async def _record(
    operation: Operation,
    guards: Guards,
    request: web.Request,
    context: RequestContext | None,
    response: web.StreamResponse,
    *,
    denied: bool,
) -> None:
    """Put a decision, another recorded call, or a refused attempt into the audit log."""
    if guards.audit is None or guards.refused is None:
        return
    facts = {name: str(value) for name, value in _facts(request).items()}
    if denied:  # nothing of it was checked: its path may be of thousands of characters
        facts = {name: value[:REFUSED_SHOWN] for name, value in facts.items()}
    outcome = "refused" if denied else "done" if response.status < 400 else "failed"  # noqa: PLR2004 - client errors
    name = context.principal.name if context else ""
    entry = Entry(
        who=name if context and context.principal.proven else facts.pop("user", "") or name,
        via=context.principal.via if context else "nobody",
        what=operation.name,
        system=(context.system if context else "") or facts.pop("system", "") or facts.pop("systemId", ""),
        target=facts.pop("id", ""),
        why=facts.pop("reason", ""),
        origin=request.remote or "",
        outcome=outcome,
        status=response.status,
        message=_message(response) if outcome != "done" else "",
        facts={name: value[:200] for name, value in facts.items()},
    )
    if denied:
        await guards.refused.record_denied(entry)
        return
    await guards.record(entry)


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
    operation: Operation,
    request: web.Request,
    context: RequestContext | None,
    status: int,
    seconds: float,
    *,
    denied: bool,
) -> None:
    event = f"http.{operation.name}"
    # What clients do wrong is logged up to a rate: nobody fills the log by being refused.
    wrong = denied or 400 <= status < 500  # noqa: PLR2004 - clients' errors
    told = operation.decides or operation.recorded or operation.notable or denied
    if told and wrong:
        told = request.app[QUIET].allows(event, request.remote)
    log = logs.get(part="http")
    write = log.info if told else log.debug
    facts = {name: cut(value) for name, value in _facts(request).items()}
    if context is not None and context.principal.name:
        facts["caller"] = context.principal.name
    write(event, method=request.method, status=status, ms=round(seconds * 1000, 1), peer=request.remote, **facts)


def _facts(request: web.Request) -> dict[str, Any]:
    return {**request.match_info, **request.get(FACTS, {})}
