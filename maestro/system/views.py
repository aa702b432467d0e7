"""What a system tells of itself: pure renderings of its state for the gateway."""

import itertools
from collections.abc import Callable
from typing import Any, Final

import msgspec
import orjson

from maestro.messages.answers import Answer, Code
from maestro.messages.questions import FindDocuments, GetReplays, GetUnits
from maestro.rules.document import Document
from maestro.rules.pace import Estimate
from maestro.rules.rendering import (
    budget,
    document_facts,
    document_json,
    estimate_json,
    history_entry,
    likely_json,
    progress,
    zoned_time,
)
from maestro.rules.resolving import doubt_fields, doubts_in_hand
from maestro.rules.stalls import Stall
from maestro.rules.state import Failure, Lock, System
from maestro.rules.status import Status
from maestro.rules.unit import Unit, UnitState, name_of
from maestro.statuses import SystemState
from maestro.system import ledger_records
from maestro.system.pages import page_of
from maestro.system.repository import Repository
from maestro.system.todo import origin_of

#: Bytes of all documents, where no page of them is asked for: what one answer to the gateway may hold.
MAX_LIST: Final = 64 * 1024 * 1024
#: A document of more units is watched without them: it would be sent with every replay.
BRIEF_UNITS = 500
#: Resolved doubts that are shown, the newest ones.
RESOLVED_SHOWN = 100
_STATES = (
    (Status.RUNNING, SystemState.RUNNING),
    (Status.PAUSED, SystemState.PAUSED),
    (Status.APPROVED, SystemState.APPROVED),
    (Status.PENDING, SystemState.PENDING),
)


def locked(lock: Lock | None) -> Answer:
    """Answer a lock check: nothing, or the lock's facts."""
    return Answer(Code.LOCKED, orjson.dumps(lock_facts(lock))) if lock else Answer(Code.OK)


def lock_facts(lock: Lock) -> dict[str, Any]:
    """Render a lock: whose, why, since when, and how far its reprocessing is."""
    return {
        "reprocessing": lock.reprocessing_id,
        "owner": lock.owner,
        "reason": f"a reprocessing is {Status.PAUSED if lock.paused else Status.RUNNING}",
        "since": zoned_time(lock.since),
        "progress": {"replayed": lock.replayed, "outstanding": lock.outstanding},
    }


def state(system: System) -> SystemState:
    """Name the state of a system: running, paused, approved, pending, stalled (for long), draining or open."""
    for status, name in _STATES:
        if any(doc.status is status and doc.blocks for doc in system.live.values()):
            return name
    if system.held_up:
        return SystemState.STALLED
    return SystemState.DRAINING if system.waiting else SystemState.OPEN


def doubts(system: System) -> Answer:
    """Render the commits in doubt, oldest first, and the newest of those that were resolved."""
    known = [{**dict(doubt_fields(one)), "state": "open"} for one in system.open_doubts]
    known += [{**dict(doubt_fields(one)), "state": "in hand"} for one in doubts_in_hand(system)]
    known.sort(key=lambda one: str(one["since"]))
    resolved = [one for one in system.doubts.values() if not one.open]
    body = {
        "total": len(known),
        "doubts": known,
        "resolved": [{**dict(doubt_fields(one)), "state": "resolved"} for one in resolved[-RESOLVED_SHOWN:]],
    }
    return Answer(Code.OK, orjson.dumps(body))


def _oldest_commit(system: System) -> dict[str, Any] | None:
    """Render the commit that has been under way longest; None when none is."""
    if not system.commits_under_way:
        return None
    oldest = min(system.commits_under_way.values(), key=lambda commit: commit.since)
    return {"instanceId": oldest.instance_id, "kind": oldest.kind, "since": zoned_time(oldest.since)}


def described(system: System, depths: dict[str, int] | None, epoch: int) -> Answer:
    """Render a system: state, lock, what runs, what waits, queues (null: broker out of reach) and counters."""
    lock = system.lock()
    counters = system.counters
    body = {
        "id": system.id,
        "state": state(system),
        "lock": lock_facts(lock) if lock else None,
        "stalled": _stall(system.stalled()),
        "pending": [doc.id for doc in system.live.values() if doc.status is Status.PENDING],
        "approved": [doc.id for doc in system.live.values() if doc.status is Status.APPROVED],
        "running": _running(system.running()),
        "waiting": len(system.waiting),
        "inbox": len(system.inbox) + (system.judged is not None),
        "outbox": len(system.outbox),
        "doubts": len(system.open_doubts),
        "commit": _oldest_commit(system),
        "queues": depths,
        "counters": {name: getattr(counters, name) for name in counters.__slots__},
        "lastError": _failure(system.last_failure),
        "epoch": epoch,
    }
    return Answer(Code.OK, orjson.dumps(body))


def _stall(stall: Stall | None) -> dict[str, str] | None:
    if stall is None:
        return None
    return {"sibling": stall.sibling, "cause": stall.cause, "since": zoned_time(stall.since)}


def _failure(failure: Failure | None) -> dict[str, str] | None:
    if failure is None:
        return None
    return {"at": zoned_time(failure.at), "instanceId": failure.instance_id, "reason": failure.reason}


def _running(doc: Document | None) -> dict[str, Any] | None:
    if doc is None:
        return None
    return {
        "id": doc.id,
        "status": doc.status.value,
        "progress": progress(doc, _left(doc)),
        "cancelling": bool(doc.cancelling),
        "pausing": bool(doc.pausing),
        "budget": budget(doc),
        "stage": doc.stage.value if doc.stage else "result" if doc.current else None,
    }


def _left(doc: Document) -> int:
    busy = doc.current is not None and doc.current.state is not UnitState.DONE
    return len(doc.outstanding) + len(doc.set_aside) + busy


def skipped(system: System, after: int, limit: int) -> Answer:
    """Render a page of the skipped events, oldest first: what was not committed, who decided so and why."""
    docs = [doc for doc in system.documents.values() if doc.status is Status.SKIPPED and not doc.late]
    rest = [doc for doc in docs if doc.number > after]
    page, told = page_of(rest, limit, lambda doc: msgspec.json.encode(_skipped(doc)))
    body = {"total": len(docs), "skipped": told, "next": page[-1].number if len(rest) > len(page) else None}
    return Answer(Code.OK, msgspec.json.encode(body))


def units(system: System, repository: Repository, question: GetUnits) -> Answer:
    """Render a page of a document's units: who named each, what it missed, and which computation is its last."""

    def shown(unit: Unit) -> dict[str, Any]:
        computation = ledger_records.computation(repository.store, unit.key) or unit.instance_id
        return {"named": unit.named, "missed": unit.missed, "computation": computation}

    def told(doc: Document) -> dict[str, Any]:
        return {"heldInstance": doc.held_instance, "branch": doc.branch}

    return _units_page(system, repository, question, told, shown)


def replays(system: System, repository: Repository, question: GetReplays) -> Answer:
    """Render a page of a document's units: how far each is, and the first and the last instance that replayed it."""

    def shown(unit: Unit) -> dict[str, Any]:
        first = unit.former_results[0] if unit.former_results else unit.result_instance
        last = unit.result_instance
        return {"state": unit.state, "round": unit.round, "first": first, "last": last, "cause": unit.cause}

    return _units_page(system, repository, question, lambda doc: {"status": doc.status}, shown)


def _units_page(
    system: System,
    repository: Repository,
    question: GetUnits | GetReplays,
    told: Callable[[Document], dict[str, Any]],
    shown: Callable[[Unit], dict[str, Any]],
) -> Answer:
    """Render a page of a document's units: what is `told` of the document, and `shown` of each unit."""
    doc = system.documents.get(question.id)
    if doc is None:
        return Answer(Code.NOT_FOUND, message=f"no reprocessing {question.id}")
    every = chosen = doc.order or repository.units(doc.id)
    if isinstance(question, GetUnits) and question.positions:
        at = {unit.position: unit for unit in every}
        chosen = [at[position] for position in question.positions if position in at]

    def rendered(unit: Unit) -> bytes:
        return orjson.dumps({"instanceId": unit.instance_id, "branch": unit.branch, **shown(unit)})

    page, units = page_of(chosen[question.after :], question.limit, rendered)
    end = question.after + len(page)
    following = end if end < len(chosen) else None
    body = {"systemId": system.id, **told(doc), "total": len(every), "units": units, "next": following}
    return Answer(Code.OK, msgspec.json.encode(body))


def _skipped(doc: Document) -> dict[str, Any]:
    decided = next(entry for entry in doc.history if entry.status is Status.SKIPPED)
    event, about = origin_of(doc)
    return {
        "number": doc.number,
        "id": doc.id,
        "instanceId": doc.held_instance,
        "tag": doc.tag,
        "branch": doc.branch,
        "units": doc.total,
        "skipped": history_entry(decided),
        "reconsidered": doc.reconsidered or None,
        "event": event,
        "about": about,
        "pendingEvent": msgspec.Raw(doc.pending_event),
    }


def document(system: System, doc: Document, rendered: bytes) -> bytes:
    """Return a rendered document, with what is to come."""
    more = msgspec.json.encode(_prospects(system, doc))
    return rendered[:-1] + b"," + more[1:]


def document_page(system: System, doc: Document, repository: Repository, after: int, limit: int) -> bytes:
    """Render one document with a page of its units and events only; `page` says which, and what all of them are."""
    units = sorted(doc.order or repository.units(doc.id), key=lambda unit: unit.position)
    end = after + limit
    facts = document_facts(doc, units)
    whole = {name: facts[name] for name in ("reimpacted", "setAside", "leftOut", "progress", "digest")}
    page = {
        "after": after,
        "total": len(units),
        "next": end if end < len(units) else None,
        "processes": len({name_of(unit.origin) for unit in units}),
        "branches": len({unit.branch for unit in units}),
    }
    return document_json(doc, units[after:end], more=whole | _prospects(system, doc) | {"page": page})


def document_watched(system: System, last_changed: str) -> Document | None:
    """Return the document to watch: what runs, else what is to be decided, else what starts next, else the last one."""
    live = system.running() or system.pending() or system.next_in_line() or system.pending(late=True)
    return live or system.documents.get(last_changed)


def watched(system: System, doc: Document | None, repository: Repository, described: bytes) -> bytes:
    """Render what a watcher sees: the system as it describes itself, and the document at stake."""
    brief = document_brief(system, doc, repository) if doc else None
    return msgspec.json.encode({"system": msgspec.Raw(described), "document": brief})


def document_brief(system: System, doc: Document, repository: Repository) -> dict[str, Any]:
    """Render one document without the events in it; one of very many units without those, too."""
    if doc.total <= BRIEF_UNITS:
        units = doc.order or repository.units(doc.id)
        return document_facts(doc, units) | _prospects(system, doc)
    left = _left(doc)
    without = dict.fromkeys(("units", "reimpacted", "setAside", "notFinished", "leftOut", "digest"))
    rough = system.paces.rough(left) if doc.live else None
    prospects = {"estimate": estimate_json(rough), "likely": _likely(system, doc, rough)}
    return document_facts(doc, ()) | without | {"progress": progress(doc, left)} | prospects


def _prospects(system: System, doc: Document) -> dict[str, Any]:
    """Render what is to come: how long what is left takes, and before the decision how many replays there will be."""
    estimate = system.paces.estimate(doc.order) if doc.live else None
    return {"estimate": estimate_json(estimate), "likely": _likely(system, doc, estimate)}


def _likely(system: System, doc: Document, shown: Estimate | None) -> dict[str, Any] | None:
    """Render what it will become; how long that takes is what is `shown`, and the rest at the pace of all replays."""
    likely = system.growth.likely(doc) if doc.status is Status.PENDING else None
    more = system.paces.rough(max(0, likely.units - _left(doc))) if likely else None
    return likely_json(likely, round(shown.seconds + more.seconds, 3) if shown and more else None)


def documents(system: System, rendered: Callable[[Document], bytes], question: FindDocuments) -> Answer:
    """Answer the documents of a status (all without one), oldest first, or a page of them, each as `rendered`.

    What would be too large for one answer ends earlier, and says which document the next one begins behind.
    """
    status = question.status
    if status and status not in list(Status):
        return Answer(Code.INVALID, message=f"status: must be one of {', '.join(Status)}")
    if question.after and question.after not in system.documents:
        return Answer(Code.INVALID, message="after: is no document of this system")
    found = [doc for doc in system.documents.values() if not status or doc.status == status or doc.id == question.after]
    if status == Status.PENDING:
        found.sort(key=lambda doc: doc.late)  # a late one is decided beside the others, and listed last
    every = iter(found)
    if question.after:
        every = itertools.dropwhile(lambda doc: doc.id != question.after, every)
        next(every)
    wanted = [doc for doc in every if not status or doc.status == status]
    most = 0 if question.limit else MAX_LIST
    page, told = page_of(wanted, question.limit, lambda doc: document(system, doc, rendered(doc)), most)
    more = page[-1].id if len(wanted) > len(page) else ""
    return Answer(Code.OK, msgspec.json.encode(told), more)
