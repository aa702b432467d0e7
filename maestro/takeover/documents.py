"""A reprocessing document as another Maestro left it becomes one of ours. Pure.

How far a run had come is read off its queues (contracts: RabbitMQ): the events queue holds what is still to be sent,
the control queue one message for each replay that is not persisted yet. So a unit that stands on both is to be sent,
one on the control queue alone is under way, and one on neither is done.

A replay is sent only after the held commit was made: a run of which something was sent has made it. Of a run of which
nothing was sent that cannot be told: its commit is in doubt, and is not made again on a guess (semantics: The commit).
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC
from typing import Final

import msgspec

from maestro.events import MASTER, BadInput, check_system_id
from maestro.rules.document import MAESTRO, Document, HistoryEntry
from maestro.rules.impact import Impacted, Origin, UnitKey, parse_timestamp
from maestro.rules.status import IN_PROGRESS, LIVE, Status
from maestro.rules.unit import Unit, UnitState

#: What stands in the history of an imported document.
IMPORTED: Final = "imported from the Go Maestro"
IN_DOUBT: Final = f"{IMPORTED}, which may have made the held commit: nothing of this run was sent yet"
#: Statuses of what is not ended.
OPEN: Final = tuple(status.value for status in Status if status in LIVE)


class _Entry(msgspec.Struct):
    status: str = ""
    timestamp: str | None = None
    user: str | None = None


class Left(msgspec.Struct, rename="camel"):
    """A document as Process Memory or the reprocessing queue has it."""

    id: str
    system_id: str
    status: str = ""
    tag: str | None = None
    branch: str | None = None
    forking: bool | None = None
    pending_event: msgspec.Raw = msgspec.Raw()
    origin: msgspec.Raw = msgspec.Raw()
    events: list[msgspec.Raw] | None = None
    history: list[_Entry] | None = None


class _Ref(msgspec.Struct):
    id: str | None = None
    instance_id: str | None = None


class _Event(msgspec.Struct):
    instanceId: str | None = None  # noqa: N815 - the platform's name
    branch: str | None = None
    timestamp: msgspec.Raw = msgspec.Raw()
    reprocessing: _Ref | None = None


class _Celery(msgspec.Struct):
    args: list[msgspec.Raw]


@dataclass(frozen=True, slots=True)
class QueuedUnit:
    """A message of the events or the control queue: which unit, and of which document, if it says so."""

    key: UnitKey
    document_id: str


@dataclass(slots=True)
class Queued:
    """What the queues of a system hold."""

    #: Documents in line, in order.
    line: list[Left] = field(default_factory=list)
    to_send: list[QueuedUnit] = field(default_factory=list)
    not_persisted: list[QueuedUnit] = field(default_factory=list)


def read_document(body: bytes) -> Left:
    """Read a document from its JSON, or from a Celery message around it.

    Raises:
        BadInput: it is none that can be taken over; the message names the field.
    """
    try:
        left = msgspec.json.decode(unwrapped(body), type=Left)
    except (msgspec.DecodeError, RecursionError) as problem:
        raise BadInput("document", f"cannot be read ({problem})") from problem
    check_system_id(left.system_id)
    if not left.id:
        raise BadInput("id", "is missing")
    if not _instance(left.pending_event):
        raise BadInput("pendingEvent.instanceId", "is missing")
    return left


def read_unit(body: bytes) -> QueuedUnit:
    """Read a message of the events or control queue. Raises `BadInput`."""
    try:
        event = msgspec.json.decode(unwrapped(body), type=_Event)
    except (msgspec.DecodeError, RecursionError) as problem:
        raise BadInput("event", f"cannot be read ({problem})") from problem
    ref = event.reprocessing or _Ref()
    instance = ref.instance_id or event.instanceId
    if not instance:
        raise BadInput("instanceId", "is missing")
    return QueuedUnit((instance, event.branch or MASTER), ref.id or "")


def unwrapped(body: bytes) -> bytes:
    """Return the one object in a Celery message; a body that is none as it is."""
    try:
        args = msgspec.json.decode(body, type=_Celery).args
    except msgspec.DecodeError:
        return body
    return bytes(args[0]) if len(args) == 1 else body


def converted(left: Left, queued: Queued, number: int, line: int, at: float) -> tuple[Document, list[Unit]]:
    """Return a document of ours, numbered so among its system's, and its units.

    `line` is its place among the approved ones, `at` now. Raises `BadInput`.
    """
    status = _status(left, queued)
    doc = Document(
        id=left.id,
        system_id=left.system_id,
        number=number,
        tag=left.tag or "",
        branch=left.branch or MASTER,
        forking=bool(left.forking),
        held_instance=_instance(left.pending_event),
        pending_event=bytes(left.pending_event),
        origin=_object(left.origin),
        status=status,
        history=_history(left, at),
        line=line if status is not Status.PENDING else 0,
    )
    units = doc.add(_origins(left))
    cause = _progress(doc, units, queued, at) if status in IN_PROGRESS else IMPORTED
    doc.history.append(HistoryEntry(doc.status, at, MAESTRO, cause))
    return doc, units


def _status(left: Left, queued: Queued) -> Status:
    """Return the document's status: what stands in line is approved, although Process Memory may not know it yet."""
    try:
        status = Status(left.status)
    except ValueError:
        raise BadInput("status", f"{left.status[:40]!r} is none that is known") from None
    in_line = any(one.id == left.id for one in queued.line)
    return Status.APPROVED if in_line and status is Status.PENDING else status


def _progress(doc: Document, units: Sequence[Unit], queued: Queued, at: float) -> str:
    """Say of each unit of a run how far it had come; return what the history says."""
    to_send = _of(doc, queued.to_send)
    open_ = _of(doc, queued.not_persisted)
    in_flight: Unit | None = None
    for unit in units:
        if to_send[unit.key]:
            continue
        if open_[unit.key] and in_flight is None:
            in_flight = unit
        elif not open_[unit.key]:
            unit.state = UnitState.DONE
    done = [unit for unit in units if unit.state is UnitState.DONE]
    if not (to_send or open_) or not (done or in_flight):
        # With both queues empty it had not begun to send, or was over and did not say so: not to be told either.
        for unit in done:
            unit.state = UnitState.OUTSTANDING
        doc.held_begun = True
        return IN_DOUBT
    doc.held_committed = True
    doc.replayed = len(done)
    if in_flight is not None:
        in_flight.begin_send(at)
        in_flight.state = UnitState.SENT
    under_way = ", 1 under way" if in_flight is not None else ""
    return f"{IMPORTED}: {len(done)} of {len(units)} replayed{under_way}"


def _of(doc: Document, units: Iterable[QueuedUnit]) -> Counter[UnitKey]:
    return Counter(unit.key for unit in units if unit.document_id in ("", doc.id))


def _origins(left: Left) -> list[Origin]:
    origins: dict[UnitKey, Origin] = {}
    for raw in left.events or ():
        event = msgspec.json.decode(raw, type=_Event)
        if not event.instanceId:
            raise BadInput("events", "one of them has no instanceId")
        unit = Impacted(event.instanceId, event.branch or MASTER)
        stamp = bytes(event.timestamp)
        timestamp = msgspec.json.decode(stamp) if stamp[:1] == b'"' else ""
        origins.setdefault(unit.key, Origin(unit, bytes(raw), timestamp))
    return list(origins.values())


def _history(left: Left, at: float) -> list[HistoryEntry]:
    known = {status.value: status for status in Status}
    entries = [
        HistoryEntry(known[entry.status], moment(entry.timestamp or "", at), entry.user or "")
        for entry in left.history or ()
        if entry.status in known
    ]
    return entries or [HistoryEntry(Status.PENDING, at, MAESTRO)]


def moment(timestamp: str, otherwise: float) -> float:
    """Return the moment that a timestamp without zone names (UTC, seconds since the epoch)."""
    parsed = parse_timestamp(timestamp)
    if parsed is None:
        return otherwise
    second, nanoseconds = parsed
    return second.replace(tzinfo=UTC).timestamp() + nanoseconds / 1e9


def _instance(event: msgspec.Raw) -> str:
    try:
        return msgspec.json.decode(event, type=_Event).instanceId or ""
    except msgspec.DecodeError:
        return ""


def _object(raw: msgspec.Raw) -> bytes:
    body = bytes(raw)
    return body if body.startswith(b"{") else b""
