"""Documents as a history lists them: what was held, who decided what and why, and how far it came."""

from collections.abc import Iterator
from typing import Any

import orjson

from maestro.messages.answers import Answer, Code
from maestro.messages.questions import ListRecords, place_of
from maestro.rules.document import MAESTRO, Document, HistoryEntry
from maestro.rules.rendering import history_entry, zoned_time
from maestro.rules.state import System
from maestro.rules.status import Status
from maestro.system.todo import origin_of

#: What a person, or a rule in their place, decides.
_DECIDED = (Status.APPROVED, Status.SKIPPED, Status.CANCELLED)


def records(system: System, asked: ListRecords) -> Answer:
    """Render the documents that fit, newest first, each with its `cursor`; one more than asked for tells of more."""
    if asked.status and asked.status not in list(Status):
        return Answer(Code.INVALID, message=f"status: must be one of {', '.join(Status)}")
    try:
        before = place_of(asked.before) if asked.before else None
    except ValueError:
        return Answer(Code.INVALID, message="before: is no cursor of a record")
    found = sorted(
        ((_at(doc), doc.id, doc) for doc in system.documents.values()), key=lambda one: one[:2], reverse=True
    )
    page: list[dict[str, Any]] = []
    for at, id_, doc in found:
        if (before is None or (at, id_) < before) and _fits(doc, asked):
            page.append(_record(doc))
            if len(page) > asked.limit:
                break
    return Answer(Code.OK, orjson.dumps(page))


def _at(doc: Document) -> int:
    """Return when it was held, in microseconds since the epoch."""
    return round(doc.history[0].at * 1_000_000) if doc.history else 0


def _fits(doc: Document, asked: ListRecords) -> bool:
    at = doc.history[0].at if doc.history else 0.0
    return (
        (not asked.status or doc.status == asked.status)
        and (asked.since is None or at >= asked.since)
        and (asked.until is None or at < asked.until)
        and (not asked.user or any(_has(entry.user, asked.user) for entry in doc.history))
        and (not asked.text or any(_has(text, asked.text) for text in _texts(doc)))
    )


def _has(text: str, part: str) -> bool:
    return part.casefold() in text.casefold()


def _texts(doc: Document) -> Iterator[str]:
    yield from (doc.id, doc.tag, doc.branch, doc.held_instance)
    for entry in doc.history:
        yield from (entry.user, entry.reason, entry.cause)
    yield from origin_of(doc)
    for event in (doc.origin, doc.pending_event):
        yield event.decode(errors="replace")


def _record(doc: Document) -> dict[str, Any]:
    event, about = origin_of(doc)
    return {
        "cursor": f"{_at(doc)}.{doc.id}",
        "id": doc.id,
        "system": doc.system_id,
        "branch": doc.branch,
        "tag": doc.tag,
        "event": event,
        "about": about,
        "instanceId": doc.held_instance,
        "late": doc.late,
        "status": doc.status.value,
        "since": zoned_time(doc.history[0].at),
        "changed": zoned_time(doc.history[-1].at),
        "cause": doc.taken.cause,
        "decision": _decision(doc.last_move(*_DECIDED)),
        "units": doc.total,
        "replayed": doc.replayed,
        "cascaded": doc.cascaded,
    }


def _decision(entry: HistoryEntry | None) -> dict[str, str] | None:
    """Render who decided last what, when and why; None: nobody did."""
    if entry is None:
        return None
    shown = history_entry(entry)
    why = shown.get("reason", "") or (shown.get("cause", "") if entry.user != MAESTRO else "")
    return {"status": entry.status.value, "user": entry.user, "at": zoned_time(entry.at), "reason": why}
