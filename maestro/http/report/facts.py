"""The facts of a report, gathered from the system, its domain and Process Memory when somebody asks for it.

Nothing of it is stored, and nothing says when or for whom it was made: the same facts make the same report. A run may
have thousands of units: they are all counted, and the first ones are listed with how many more there are.
"""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import orjson

from maestro import json_text
from maestro.http.actor_client import ActorClient, Unavailable
from maestro.http.comparing import does_to, key_of
from maestro.http.documents import Documents
from maestro.http.entities import Pages
from maestro.http.evidence import Asked
from maestro.http.outcome import SURVEYED, Replays, UnitReplayed
from maestro.http.overwrites import Overwriting
from maestro.http.replies import STATUS, Problem
from maestro.messages.answers import Answer, Code
from maestro.messages.questions import GetDocument, GetReplays, GetUnits, ListStale, Question
from maestro.rules.preview import digest
from maestro.statuses import Status
from maestro.titles import cut, gist, words

#: The form of the facts: it changes when they are put otherwise.
FORM: Final = 1
#: Units, entries of the history, rows of the commit, fields of a payload, units of other lists, and overwrites listed.
UNITS: Final = 200
ENTRIES: Final = 200
ROWS: Final = 20
FIELDS: Final = 30
NAMED: Final = 50
OVERWRITES: Final = 20
#: Units of a pending document of which it is asked what they read, and rows of each that are told.
EXPLAINED: Final = 20
READ: Final = 3
#: Pages of units, and of overwrites, that are looked through.
UNIT_PAGES: Final = 20
STALE_PAGES: Final = 10
_PAGE: Final = 1000
#: Seconds to wait for what Process Memory still says about replays, and between two looks.
WAIT: Final = 20.0
LOOK: Final = 0.5
#: Characters of one value.
SHOWN: Final = 300

Facts = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Sources:
    """Whom the facts are asked of. `timeout`: seconds that a system may take to answer."""

    documents: Documents
    actor_client: ActorClient
    pages: Pages
    timeout: float


async def gathered(sources: Sources, document_id: str) -> Facts:
    """Return the facts of a document's report.

    Raises:
        Problem: the document is not there, or not for this caller.
        Unavailable, TimeoutError: its system does not answer.
    """
    doc = await _asked(sources, document_id, GetDocument(document_id, 0, UNITS))
    units = await _replays(sources, document_id)
    late, held = bool(doc["late"]), str(doc["pendingEvent"].get("instanceId") or "")
    writes, changed, overwrites = await asyncio.gather(
        _writes(sources, doc["systemId"], "" if late else held, pending=doc["status"] == Status.PENDING),
        _changed(sources, document_id, units),
        _overwrites(sources, doc["systemId"], {unit.last for unit in units.units} | {held}),
    )
    explained = await _explained(sources, document_id, doc)
    return {
        "form": FORM,
        "id": doc["id"],
        "system": doc["systemId"],
        "status": doc["status"],
        "branch": doc["branch"],
        "tag": doc["tag"],
        "late": late,
        "forking": doc["forking"],
        "asked": _question(doc, held, writes),
        "shown": _shown(doc, held, units),
        "decided": _decided(doc),
        "ran": _ran(doc, units),
        "changed": {**changed.summary, "overwrites": overwrites},
        "units": _units(doc, changed.units, explained),
    }


@dataclass(frozen=True, slots=True)
class _Changed:
    summary: Facts
    #: What the replays of the first units changed, by instance and branch.
    units: Mapping[tuple[str, str], Facts]


async def _asked(sources: Sources, document_id: str, question: Question) -> Any:
    answer = await sources.documents.ask(document_id, question)
    if answer.code is not Code.OK:
        raise _refused(answer)
    return json_text.loads(answer.body)


def _refused(answer: Answer) -> Problem:
    return Problem(STATUS[answer.code], answer.message or str(answer.code))


async def _replays(sources: Sources, document_id: str) -> Replays:
    """Return how far each unit is, of all up to a bound that no run comes near."""
    found: Replays | None = None
    after: int | None = 0
    while after is not None and after < UNIT_PAGES * _PAGE:
        page = msgspec.convert(await _asked(sources, document_id, GetReplays(document_id, after, _PAGE)), Replays)
        if found is None:
            found = page
        else:
            found.units += page.units
        after = page.next
    assert found is not None, "there is a first page"
    return found


async def _writes(sources: Sources, system_id: str, instance_id: str, *, pending: bool) -> Facts:
    """Return the first rows of what the held commit writes; of a late document nothing is held.

    What a row replaces is what stands in the domain while the document is `pending`, as it was shown; afterwards what
    the instance had read, for then the commit itself, or a later one, stands there.
    """
    nothing: Facts = {"total": 0, "rows": [], "problem": ""}
    if not instance_id:
        return nothing
    try:
        response = await sources.pages.page(system_id, instance_id, 0, ROWS)
        assert isinstance(response.body, bytes | bytearray), "it is JSON"
        page = json_text.loads(bytes(response.body))
        rows = page["entities"]
    except (Problem, Unavailable, TimeoutError, ValueError) as problem:
        return nothing | {"problem": _cut(str(problem) or "no answer in time")}
    replaced = None if pending else await sources.pages.replaced(instance_id, {key_of("", row) for row in rows})
    return {"total": page["total"], "rows": [_row(row, replaced) for row in rows], "problem": ""}


def _row(row: Mapping[str, Any], replaced: Mapping[tuple[str, str], Any] | None) -> Facts:
    type_, name = key_of("", row)
    if replaced is None:
        before = row.get("before") or (row.get("_metadata") or {}).get("before")
    else:
        before = replaced.get((type_, name))
    return {"type": type_, "id": name, "change": does_to(row) or "", "is": _plain(row), "was": _plain(before or {})}


def _plain(row: Mapping[str, Any]) -> str:
    return gist(
        {name: value for name, value in row.items() if not name.startswith("_") and name not in ("id", "before")}
    )


async def _changed(sources: Sources, document_id: str, units: Replays) -> _Changed:
    """Return what the replays changed; what is not known at once is waited for."""
    if not any(unit.last for unit in units.units):
        return _Changed({"summary": None, "biggest": []}, {})
    surveyed = msgspec.structs.replace(units, units=units.units[:SURVEYED])
    page: Sequence[UnitReplayed] = units.units[:UNITS]
    until = time.monotonic() + WAIT
    while True:
        told = await sources.pages.outcomes.told(document_id, surveyed, page)
        if not told["summary"]["pending"] or time.monotonic() > until:
            break
        await asyncio.sleep(LOOK)
    summary = {name: value for name, value in told["summary"].items() if name != "says"}
    by_unit = {(one["instanceId"], one["branch"]): one for one in told["units"]}
    return _Changed({"summary": summary, "biggest": told["biggest"]}, by_unit)


async def _overwrites(sources: Sources, system_id: str, computations: set[str]) -> Facts:
    """Return what this run's commits replaced without having seen it: a first few of them with both values."""
    found: list[Any] = []
    after: int | None = 0
    for _ in range(STALE_PAGES):
        question = ListStale("overwrite", after or 0, _PAGE)
        answer = await sources.actor_client.ask(system_id, question, timeout=sources.timeout)
        if answer.code is not Code.OK:
            raise _refused(answer)
        page = orjson.loads(answer.body)
        found += [one for one in page["stale"] if one["computation"] in computations]
        after = page["next"]
        if after is None:
            break
    first = found[:OVERWRITES]
    try:
        valued = await sources.pages.valued(msgspec.convert(first, list[Overwriting])) if first else []
    except Unavailable as problem:
        valued = [{"values": [], "same": 0, "more": 0, "problem": str(problem)} for _ in first]
    listed = [
        {"instanceId": one["instanceId"], "branch": one["branch"], "missed": one["missed"][:READ], **values}
        for one, values in zip(first, valued, strict=True)
    ]
    return {"total": len(found), "first": listed}


async def _explained(sources: Sources, document_id: str, doc: Facts) -> Mapping[tuple[str, str], Facts]:
    """Return what units read that the commit would change: before the decision, for a replay reads it all again."""
    if doc["status"] != Status.PENDING:
        return {}
    asked = msgspec.convert(await _asked(sources, document_id, GetUnits(document_id, 0, EXPLAINED)), Asked)
    try:
        found = await sources.pages.explained(asked)
    except (Unavailable, TimeoutError) as problem:
        why = str(problem) or "no answer in time"
        found = [
            {"instanceId": unit.instance_id, "branch": unit.branch, "read": [], "rows": 0, "problem": why}
            for unit in asked.units
        ]
    return {(one["instanceId"], one["branch"]): one for one in found}


def _question(doc: Facts, held: str, writes: Facts) -> Facts:
    origin = doc["origin"] or doc["pendingEvent"]
    payload = origin.get("payload")
    fields = list(payload.items()) if isinstance(payload, dict) else []
    return {
        "event": words(origin.get("name")),
        "name": _cut(str(origin.get("name") or "")),
        "about": gist(payload),
        "instance": held,
        "at": doc["history"][0]["at"],
        "namedBy": doc["heldNamedBy"] or "",
        "payload": [{"field": _cut(str(name)), "value": _text(value)} for name, value in fields[:FIELDS]],
        "fields": len(fields),
        "writes": writes,
    }


def _shown(doc: Facts, held: str, units: Replays) -> Facts:
    """Return what stood there before the run began: the units that no cascade and no start brought."""
    first = [(unit.instance_id, unit.branch) for unit in units.units if unit.cause == -1]
    likely = doc.get("likely")
    return {
        "units": len(first),
        "digest": digest(held, first),
        "notFinished": len(doc["notFinished"]),
        "likely": {name: likely[name] for name in ("units", "least", "most", "runs")} if likely else None,
        "approvedFirst": _approval(doc.get("firstApproval")),
    }


def _approval(first: Facts | None) -> Facts | None:
    return first and {"user": first["user"], "at": first["at"], "reason": first["reason"]}


def _decided(doc: Facts) -> Facts:
    history = doc["history"]
    kept = history if len(history) <= ENTRIES else [history[0], *history[-ENTRIES + 1 :]]
    entries = [
        {
            "status": one["status"], "at": one["at"], "user": one["user"], "reason": one.get("reason", ""),
            "cause": one.get("cause", ""),
        }
        for one in kept
    ]  # fmt: skip
    return {"total": len(history), "entries": entries, "policies": _policies(doc.get("policies"))}


def _policies(demand: Facts | None) -> list[Facts]:
    """Return the policies that demanded something of the decision, with what they looked at."""
    return [
        {
            "name": one["name"], "digest": one["digest"], "effects": one["effects"],
            "conditions": [{name: it[name] for name in ("setting", "wanted", "found")} for it in one["conditions"]],
        }
        for one in (demand["by"] if demand else ())
    ]  # fmt: skip


def _ran(doc: Facts, units: Replays) -> Facts:
    progress, budget = doc["progress"], doc["budget"]
    return {
        "committed": doc["heldCommitted"],
        "replayed": progress["replayed"],
        "outstanding": progress["outstanding"],
        "units": progress["units"],
        "cascaded": progress["cascaded"],
        "states": dict(Counter(unit.state for unit in units.units)),
        "processes": doc["page"]["processes"],
        "branches": doc["page"]["branches"],
        "budget": budget and {name: budget[name] for name in ("replays", "minutes")},
        "setAside": _named(doc["setAside"]),
        "leftOut": _named(doc["leftOut"]),
        "reimpacted": _named(doc["reimpacted"]),
        "reconsidered": doc["reconsidered"],
    }


def _named(units: Sequence[Facts]) -> Facts:
    """Return a list of units by its length and its first ones; times with their zone."""
    listed = []
    for unit in units[:NAMED]:
        at = {"at": unit["at"]} if "at" in unit else {}
        listed.append({name: value for name, value in unit.items() if name != "timestamp"} | at)
    return {"total": len(units), "first": listed}


def _units(doc: Facts, changed: Mapping[tuple[str, str], Facts], explained: Mapping[tuple[str, str], Facts]) -> Facts:
    listed = []
    for unit, event in zip(doc["units"], doc["events"], strict=True):
        key = (unit["instanceId"], unit["branch"])
        outcome, why = changed.get(key), explained.get(key)
        listed.append({
            "instanceId": key[0],
            "branch": key[1],
            "event": words(event.get("name")),
            "about": gist(event.get("payload")),
            "named": unit["named"],
            "cause": unit["cause"],
            "state": unit["state"],
            "round": unit["round"],
            "replay": unit["replayInstanceId"],
            "doneAt": unit["doneAt"],
            "problem": _cut(unit["problem"] or ""),
            "outcome": outcome and {
                name: outcome[name] for name in ("changed", "added", "destroyed", "unread", "problem")
            },
            "read": why and {
                "rows": why["rows"],
                "first": [{"type": row["type"], "id": row["id"]} for row in why["read"][:READ]],
                "problem": _cut(why["problem"]),
            },
        })  # fmt: skip
    return {"total": doc["page"]["total"], "first": listed}


def _text(value: object) -> str:
    return _cut(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _cut(text: str) -> str:
    return cut(text, SHOWN)
