"""What the platform's services tell Maestro: a system to serve, a replay that failed, an event to persist at once."""

import asyncio
from typing import Final
from uuid import uuid4

from aiohttp import web
from msgspec.structs import replace

from maestro.events import LARGE, BadInput, check_system_id, event_of, heads, parse_event
from maestro.http.actor_client import ActorClient, Unavailable, UnknownSystem
from maestro.http.idempotency import HEADER, KEY
from maestro.http.inputs import parse_passed_on, queue_system, read_body
from maestro.http.keys import ACTOR_CLIENT, NEWCOMERS, QUIET, SETTINGS, note
from maestro.http.log_limits import cut
from maestro.http.replies import Problem, answered, message_ok
from maestro.http.request_context import check_system
from maestro.messages.answers import Answer, Code
from maestro.messages.questions import ForgetAnswer, PersistSync, ReportReplayFailure

#: Seconds between two questions to a system whose actor is being started.
STARTING_PAUSE: Final = 0.05


async def handler_persist(request: web.Request) -> web.StreamResponse:
    """Serve a system from now on: its persist queue gets a consumer, if it has none yet.

    One that API core does not know, or not yet, is served once it does. The platform cannot help it: the answer is ok.
    """
    system_id = queue_system(request)
    note(request, system=system_id)
    check_system(system_id)
    if request.app[ACTOR_CLIENT].knows(system_id) or await _admitted(request, system_id):
        await _install(request, system_id)
    return message_ok()


async def failure(request: web.Request) -> web.StreamResponse:
    """Take the report that a replayed process ended in error.

    The platform cannot help it when the report matches no replay: that is logged, and answered with ok.
    """
    body = await read_body(request)
    system_id = _failed_system(body)
    note(request, system=system_id)
    settings = request.app[SETTINGS]
    try:
        answer = await request.app[ACTOR_CLIENT].ask(system_id, ReportReplayFailure(body), timeout=settings.ask_timeout)
    except UnknownSystem as unknown:
        answer = Answer(Code.NOT_FOUND, message=str(unknown))
    if answer.code in (Code.NOT_FOUND, Code.CONFLICT):
        request.app[QUIET].warn("http.failure_unmatched", request.remote, system=system_id, reason=cut(answer.message))
        return message_ok()
    if answer.code in (Code.OK, Code.ACCEPTED):
        return message_ok()
    return answered(answer)


async def persist_sync(request: web.Request) -> web.StreamResponse:
    """Judge one persist event and answer with what became of it."""
    body = await read_body(request)
    event = event_of(heads(body), body) if len(body) > LARGE else parse_event(body)
    note(request, system=event.system_id, instance=event.instance_id)
    question = PersistSync(body, _idempotency_key(request), uuid4().hex)
    actor_client, timeout = request.app[ACTOR_CLIENT], request.app[SETTINGS].sync_timeout
    try:
        answer = await _ask_sync(actor_client, event.system_id, question, timeout)
    except UnknownSystem as unknown:
        admitted = await _admitted(request, event.system_id)
        if admitted is None:
            raise Unavailable(f"system {event.system_id!r} is not served yet: API core does not answer") from unknown
        if not admitted:
            raise
        await _install(request, event.system_id)
        answer = await _ask_new(request, event.system_id, question, timeout)
    if request.transport is None or request.transport.is_closing():  # asked again, the caller gets this very answer
        await _forget_answer(request, event.system_id, question)
    return answered(answer)


def _idempotency_key(request: web.Request) -> str:
    """Return the caller's key; empty when there is none. Raises `Problem` (400)."""
    sent = request.headers.getall(HEADER, ())
    if sent and (len(sent) > 1 or not KEY.fullmatch(sent[0])):
        raise Problem(400, f"{HEADER}: must be sent once, 1 to 200 visible ASCII characters")
    return sent[0] if sent else ""


async def _forget_answer(request: web.Request, system_id: str, question: PersistSync) -> None:
    try:
        lost = ForgetAnswer(question.event, question.key, question.call)
        await request.app[ACTOR_CLIENT].ask(system_id, lost, timeout=request.app[SETTINGS].ask_timeout)
    except (TimeoutError, Unavailable, UnknownSystem) as problem:
        request.app[QUIET].warn("http.answer_lost", request.remote, system=system_id, cause=cut(str(problem)))


async def _ask_new(request: web.Request, system_id: str, question: PersistSync, timeout: float) -> Answer:  # noqa: ASYNC109 - as in `_ask_sync`
    """Ask a system that was just installed: until its actor is up it takes no event."""
    clock = asyncio.get_running_loop().time
    patient_until = clock() + request.app[SETTINGS].ask_timeout
    while True:
        try:
            answer = await _ask_sync(request.app[ACTOR_CLIENT], system_id, question, timeout)
        except UnknownSystem as unknown:
            raise Unavailable(f"system {system_id!r} is not served yet") from unknown
        if answer.code is not Code.UNAVAILABLE or clock() > patient_until:
            return answer
        await asyncio.sleep(STARTING_PAUSE)


async def _ask_sync(actor_client: ActorClient, system_id: str, question: PersistSync, timeout: float) -> Answer:  # noqa: ASYNC109 - passed on to the actor client, which owns it
    try:
        return await actor_client.ask(system_id, question, timeout=timeout)
    except TimeoutError:
        pass
    try:  # not decided in time: it waits, unless it is decided by now
        return await actor_client.ask(system_id, replace(question, impatient=True), timeout=timeout)
    except TimeoutError:
        raise Problem(504, f"the event is being processed; not decided within {timeout:g} s") from None


async def _admitted(request: web.Request, system_id: str) -> bool | None:
    """Return whether API core knows a system that is not served; None when it does not say."""
    admitted = await request.app[NEWCOMERS].may_be_served(system_id)
    if not admitted:
        reason = "API core does not answer" if admitted is None else "API core does not know it"
        request.app[QUIET].warn("http.system_not_served", request.remote, system=system_id, reason=reason)
    return admitted


async def _install(request: web.Request, system_id: str) -> None:
    async with asyncio.timeout(request.app[SETTINGS].ask_timeout):
        await request.app[ACTOR_CLIENT].install(system_id)


def _failed_system(body: bytes) -> str:
    """Return the system an error event belongs to: that of its `reprocessing` object, or else its own."""
    event = parse_passed_on(body)
    reprocessing = event.get("reprocessing") or {}
    if not isinstance(reprocessing, dict):
        raise BadInput("reprocessing", "must be an object")
    for field, value in (
        ("reprocessing.system_id", reprocessing.get("system_id")),
        ("systemId", event.get("systemId")),
    ):
        if value not in (None, ""):
            if not isinstance(value, str):
                raise BadInput(field, "must be a string")
            return check_system_id(value, field)
    raise BadInput("systemId", "is missing")
