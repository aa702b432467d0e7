"""The edge of a system: raw deliveries, sync persists and failure reports become facts, or say what is wrong."""

from typing import Any

from maestro import json_text
from maestro.events import (
    BadInput,
    CeleryMessage,
    Event,
    NoEvent,
    celery_body,
    check_lengths,
    parse_arrival,
    parse_event,
)
from maestro.messages.ingress import Arrived, DeadLetter, Source
from maestro.messages.questions import ForgetAnswer, PersistSync
from maestro.rules import identity
from maestro.rules.facts import EventArrived, ReplayErred


def accept(arrived: Arrived, system_id: str, max_bytes: int) -> EventArrived | DeadLetter:
    """Parse a delivery; what breaks the contract goes to an error queue, unchanged, with the reason."""
    try:
        if len(arrived.body) > max_bytes:
            raise NoEvent("body", f"is larger than {max_bytes} bytes")
        message = parse_arrival(arrived.body)
        _check_owner(message.event, system_id)
        if arrived.source is not Source.WAIT and not arrived.redelivered:  # else it may have been admitted already
            check_lengths(message)
    except BadInput as problem:
        no_event = isinstance(problem, NoEvent)
        return DeadLetter("", arrived.body, str(problem), no_event=no_event, refs=(arrived.ref,))
    key = identity.own_key(arrived.mark) or identity.from_outside(message.id)
    return _arrival(
        message.event, key, ref=arrived.ref, redelivered=arrived.redelivered, redriven=arrived.redriven,
        foreign=arrived.foreign,
        from_wait_queue=arrived.source is Source.WAIT,
        fingerprint="" if key else identity.fingerprint(identity.BODY, arrived.body),
    )  # fmt: skip


def accept_sync(question: PersistSync, system_id: str, ticket: int) -> tuple[EventArrived, bytes]:
    """Parse a sync persist; return the fact and the body the event would have on its queue. Raises `BadInput`."""
    event = parse_event(question.event)
    _check_owner(event, system_id)
    check_lengths(CeleryMessage("", event))
    fact = _arrival(
        event, "", ticket=ticket, fingerprint=sync_fingerprint(question), call=question.call,
        impatient=question.impatient,
    )  # fmt: skip
    return fact, celery_body("", event.raw)


def sync_fingerprint(question: PersistSync | ForgetAnswer) -> str:
    """Return what a sync persist has in common with the same one asked again."""
    content = b"key " + question.key.encode() if question.key else b"event " + question.event
    return identity.fingerprint(identity.SYNC, content)


def accept_failure(body: bytes) -> ReplayErred | None:
    """Read the error event of a replayed process; None when it speaks of no replay. Raises `BadInput`."""
    try:
        event: Any = json_text.loads(body)
    except ValueError as problem:
        raise BadInput("body", f"is no JSON ({problem})") from problem
    ref = event.get("reprocessing") if isinstance(event, dict) else None
    if not isinstance(ref, dict) or not ref.get("id"):
        return None
    said = (
        ref["id"],
        ref.get("instance_id", ""),
        event.get("branch") or "master",
        ref.get("send") or "",
        _cause(event),
    )
    return ReplayErred(*(json_text.plain(str(one)) for one in said))


def _arrival(event: Event, key: str, **how: Any) -> EventArrived:
    return EventArrived(key, event.instance_id, event.name, event.branch, event.tag, event.reprocessing, **how)


def _check_owner(event: Event, system_id: str) -> None:
    if event.system_id != system_id:
        raise BadInput("systemId", f"is {event.system_id}, on the queue of {system_id}")


def _cause(event: dict[str, Any]) -> str:
    payload = event.get("payload")
    message = payload.get("message") if isinstance(payload, dict) else None
    name = str(event.get("name") or "an error event")[:200]
    return f"{name}: {str(message)[:1000]}" if message else name
