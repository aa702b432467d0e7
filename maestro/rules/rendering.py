"""The JSON that leaves Maestro: the document, the events to replay, notifications and error events.

Every field the platform sent passes through byte for byte (contracts: Event, Reprocessing document).
"""

from collections.abc import Container, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec
import orjson

from maestro.events import edited
from maestro.json_text import members, text_of
from maestro.rules.budget import limited
from maestro.rules.document import Document, HistoryEntry
from maestro.rules.growth import Likely
from maestro.rules.impact import UnitKey
from maestro.rules.pace import Estimate
from maestro.rules.policies import Check, Demand, Verdict
from maestro.rules.preview import digest
from maestro.rules.status import after
from maestro.rules.unit import Unit, UnitState

Raw = msgspec.Raw
_NULL = Raw(b"null")
_UNSAID = (b"", b"null", b'""')
_EVENT_KEYS = ("branch", "tag", "version", "image", "idempotencyKey")


def wire_time(at: float) -> str:
    """Render seconds since the epoch as the platform's timestamps: UTC, no zone, microseconds."""
    return datetime.fromtimestamp(at, UTC).replace(tzinfo=None).isoformat(timespec="microseconds")


def zoned_time(at: float) -> str:
    """Render seconds since the epoch as `wire_time` does, but with the zone."""
    return wire_time(at) + "Z"


def document_json(
    doc: Document, units: Iterable[Unit], *, ended: bool = False, more: Mapping[str, Any] | None = None
) -> bytes:
    """Render a document with its units, and `more` members. `ended`: as it will be once the decided end is recorded."""
    ordered = sorted(units, key=lambda unit: unit.position)
    events = [Raw(event_of(unit)) for unit in ordered]
    return document_of(doc, shown_units(doc, ordered), events, ended=ended, more=more)


class ShownUnits(NamedTuple):
    """What a document shows of its units, in the order of their positions: as JSON, or to be encoded."""

    units: Sequence[dict[str, Any]] | Raw
    reimpacted: list[dict[str, Any]]
    set_aside: list[dict[str, Any]]
    left_out: list[dict[str, Any]]
    #: How many are not settled.
    outstanding: int
    #: Of the preview that has these units.
    digest: str
    keys: Container[UnitKey]


def shown_units(doc: Document, units: Sequence[Unit]) -> ShownUnits:
    """Render the units of a document, in the order of their positions."""
    keys = [unit.key for unit in units]
    return ShownUnits(
        [unit_json(unit) for unit in units],
        *listed(units),
        sum(not unit.settled for unit in units),
        digest(doc.held_instance, keys),
        set(keys) if doc.not_finished else (),
    )


def listed(units: Sequence[Unit]) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[dict[str, Any]]]:
    """Render the units that a document lists besides: impacted again after their last round, set aside, left out."""
    return (
        [_unit_name(unit) for unit in units if unit.reimpacted],
        [_unit_name(unit) | {"problem": unit.problem} for unit in units if unit.state is UnitState.SET_ASIDE],
        [_left_out(unit) for unit in units if unit.left_out is not None],
    )


def document_of(
    doc: Document,
    units: ShownUnits,
    events: Sequence[Raw] | Raw,
    *,
    ended: bool = False,
    more: Mapping[str, Any] | None = None,
) -> bytes:
    """Render a document whose units and their events are rendered."""
    bodies = {
        "pendingEvent": Raw(doc.pending_event),
        "origin": Raw(doc.origin) if doc.origin else _NULL,
        "events": events,
    }
    return msgspec.json.encode(_facts(doc, units, ended=ended) | bodies | dict(more or {}))


def document_facts(doc: Document, units: Sequence[Unit], *, ended: bool = False) -> dict[str, Any]:
    """Render all of a document but the events in it; `units` in the order of their positions."""
    return _facts(doc, shown_units(doc, units), ended=ended)


def _facts(doc: Document, units: ShownUnits, *, ended: bool) -> dict[str, Any]:
    history = list(doc.history)
    if ended and doc.ending is not None:
        history.append(_ended(doc))
    return {
        "id": doc.id,
        "systemId": doc.system_id,
        "tag": doc.tag,
        "branch": doc.branch,
        "forking": doc.forking,
        "status": history[-1].status,
        "history": [history_entry(entry) for entry in history],
        "units": units.units,
        "reimpacted": units.reimpacted,
        "setAside": units.set_aside,
        "notFinished": _not_finished(doc, units),
        "leftOut": units.left_out,
        "progress": progress(doc, units.outstanding),
        "cancelling": bool(doc.cancelling),
        "pausing": bool(doc.pausing),
        "budget": budget(doc),
        "digest": units.digest,
        "reconsidered": doc.reconsidered or None,
        "firstApproval": _approval(doc),
        "rows": doc.rows,
        "policies": demand_json(doc.demand) if doc.demand is not None else None,
        "heldCommitted": doc.held_committed,
        "late": doc.late,
        "heldNamedBy": doc.held_named_by or None,
    }


def _not_finished(doc: Document, units: ShownUnits) -> list[dict[str, str]]:
    """Render the units that were named before their own commits, but for those that a later question brought in."""
    left = [unit for unit in doc.not_finished if unit.key not in units.keys]
    return [{"instanceId": unit.instance_id, "branch": unit.branch} for unit in left]


def _approval(doc: Document) -> dict[str, Any] | None:
    first = doc.first_approval
    if first is None:
        return None
    return {
        "user": first.user,
        "timestamp": wire_time(first.at),
        "at": zoned_time(first.at),
        "reason": first.reason,
        "decision": first.kind,
        "decided": first.spent,
    }


def budget(doc: Document) -> dict[str, Any] | None:
    """Render what a run may use before it pauses, and the replays used of it; None when it has no limit."""
    if not limited(doc.budget):
        return None
    return {
        "replays": doc.budget.replays,
        "minutes": doc.budget.minutes,
        "replayed": doc.replayed - doc.budget_from,
    }


def demand_json(demand: Demand) -> dict[str, Any]:
    """Render what the policies demanded of a decision, when, which did, and why."""
    return {
        "approval": demand.approval.value,
        "skipRefused": demand.skip_refused,
        "at": zoned_time(demand.at),
        "says": demand.text,
        "by": [
            {
                "name": one.name,
                "digest": one.digest,
                "effects": [effect.value for effect in one.effects],
                "why": one.why,
                "conditions": [_check(check) for check in one.checks],
            }
            for one in demand.by
        ],
    }


def explained(verdict: Verdict) -> list[dict[str, Any]]:
    """Render each policy as it was held against a document: whether it applies (null: not known), and why."""
    return [
        {
            "name": one.policy.name,
            "digest": one.policy.digest,
            "applies": one.applies,
            "effects": [effect.value for effect in one.effects],
            "configured": [effect.value for effect in one.policy.effects],
            "conditions": [_check(check) for check in one.checks],
        }
        for one in verdict.weighed
    ]


def _check(check: Check) -> dict[str, Any]:
    return {
        "setting": check.setting,
        "wanted": check.wanted,
        "found": check.found or None,
        "holds": check.holds,
        "says": check.text,
    }


def estimate_json(estimate: Estimate | None) -> dict[str, Any] | None:
    """Render how long what is left will take."""
    return {"seconds": estimate.seconds, "basis": estimate.basis} if estimate else None


def likely_json(likely: Likely | None, seconds: float | None) -> dict[str, Any] | None:
    """Render how many replays there will be in all, and how many seconds they will take."""
    if likely is None:
        return None
    return {
        "units": likely.units,
        "least": likely.least,
        "most": likely.most,
        "runs": likely.runs,
        "name": likely.name,
        "surprise": {"shown": likely.surprise.shown, "made": likely.surprise.made},
        "seconds": seconds,
    }


def _ended(doc: Document) -> HistoryEntry:
    assert doc.ending is not None
    return HistoryEntry(
        after(doc.status, doc.ending.trigger), doc.ending.at, doc.ending.user, doc.ending.cause, doc.ending.reason
    )


def progress(doc: Document, outstanding: int) -> dict[str, int]:
    """Render how far a run is: replays done, replays left, units in all, units (and rounds) added by cascades."""
    return {"replayed": doc.replayed, "outstanding": outstanding, "units": doc.total, "cascaded": doc.cascaded}


def history_entry(entry: HistoryEntry) -> dict[str, str]:
    """Render one entry of a history; why only where it is known. `at` is the platform's `timestamp` with its zone."""
    time = wire_time(entry.at)
    shown = {"status": entry.status.value, "timestamp": time, "at": time + "Z", "user": entry.user}
    if entry.cause:
        shown["cause"] = entry.cause
    if entry.reason:
        shown["reason"] = entry.reason
    return shown


def _unit_name(unit: Unit) -> dict[str, Any]:
    return {"instanceId": unit.instance_id, "branch": unit.branch}


def event_of(unit: Unit) -> bytes:
    """Render what is replayed: the unit's origin event; of a unit without one, whose it would be."""
    if not unit.origin:
        return msgspec.json.encode({"instanceId": unit.instance_id, "branch": unit.branch})
    return edited(unit.origin, {"branch": unit.branch})


def _left_out(unit: Unit) -> dict[str, Any]:
    assert unit.left_out is not None
    by = unit.left_out
    who = {"user": by.user, "timestamp": wire_time(by.at), "at": zoned_time(by.at)}
    who |= {"reason": by.reason, "problem": unit.problem}
    return _unit_name(unit) | who


def unit_json(unit: Unit) -> dict[str, Any]:
    """Render a unit, without its event."""
    # One dict, for there may be thousands.
    return {
        "instanceId": unit.instance_id,
        "branch": unit.branch,
        "forking": unit.forking,
        "named": unit.named,
        "missed": list(unit.missed),
        "state": unit.state.value,
        "round": unit.round,
        "sends": unit.sends,
        "replayInstanceId": unit.result_instance,
        "cause": unit.cause,
        "problem": unit.problem or None,
        "sentAt": zoned_time(unit.sent_at) if unit.sent_at else None,
        "doneAt": zoned_time(unit.done_at) if unit.done_at else None,
        "duration": None if unit.duration is None else round(unit.duration, 6),
    }


def replay_event(doc: Document, unit: Unit) -> bytes:
    """Render the event that replays a unit (semantics, flow 3.3)."""
    ref = {"id": doc.id, "instance_id": unit.instance_id, "system_id": doc.system_id, "send": doc.send_name(unit)}
    put = {"scope": "reprocessing", "branch": unit.branch, "reprocessing": ref, **_reference_date(unit.origin)}
    return edited(unit.origin, put, drop=("instanceId", "tag"))


def _reference_date(origin: bytes) -> dict[str, Any]:
    """Return the date a process computes for, under the name that events have it, where the origin has only the other.

    Source: contracts, Event, `referenceDate`.
    """
    dates = members(origin)
    kept = bytes(dates.get("reference_date", b""))
    if kept in _UNSAID or bytes(dates.get("referenceDate", b"")) not in _UNSAID:
        return {}
    return {"referenceDate": orjson.Fragment(kept)}


def queued_event(doc: Document, unit: Unit) -> bytes:
    """Render a unit for the events and control queues: its origin event, and which replay it stands for."""
    ref = {"id": doc.id, "instance_id": unit.instance_id, "system_id": doc.system_id}
    return edited(unit.origin, {"scope": "reprocessing", "branch": unit.branch, "reprocessing": ref})


def queued_id(doc: Document, unit: Unit) -> str:
    """Name a unit's message on the events queue."""
    return f"{doc.id}.{unit.position}.{unit.round}"


def notification(doc: Document, kind: str, document: bytes) -> bytes:
    """Render `<systemId>.reprocessing.<kind>` for the Event Manager; `document` is its payload."""
    return msgspec.json.encode(
        {
            "name": f"{doc.system_id}.reprocessing.{kind}",
            "systemId": doc.system_id,
            "branch": doc.branch,
            "tag": doc.tag,
            "payload": {"reprocessing": Raw(document)},
        }
    )


def error_event(event: bytes, instance_id: str, message: str) -> bytes:
    """Render the event that tells the platform of a persist event that failed for good."""
    fields = members(event)
    name = text_of(event, "name")
    kept: dict[str, Any] = {key: fields[key] for key in ("systemId", "instanceId", *_EVENT_KEYS) if key in fields}
    failed = name.removesuffix(".request") + ".error"
    payload = {"instance_id": instance_id, "message": message, "origin": Raw(event)}
    return msgspec.json.encode({"name": failed, **kept, "payload": payload})


def sync_answer(document: bytes) -> bytes:
    """Render what a sync persist answers when its commit is held."""
    return msgspec.json.encode({"status": "reprocessing_request", "reprocessing": Raw(document)})


def outstanding_first(units: Iterable[Unit]) -> tuple[tuple[Unit, ...], tuple[Unit, ...]]:
    """Split the units that are not done into those to send, in order, and the one in flight."""
    left = tuple(units)
    return (
        tuple(unit for unit in left if unit.state is UnitState.OUTSTANDING),
        tuple(unit for unit in left if unit.state is not UnitState.OUTSTANDING),
    )
