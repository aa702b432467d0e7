"""The late reprocessing: what is stale already is replayed, once somebody or the policy says so.

Nothing is held: the commits that its units missed are made. It waits for a decision beside an ordinary one, blocks
nothing while it does, grows meanwhile, and runs with lock like any other.
"""

from typing import Final

import msgspec

from maestro.events import MASTER
from maestro.rules import commands as do
from maestro.rules import demanding, facts, opening, staleness
from maestro.rules.document import FIRST, MAESTRO, PLATFORM, Document, HistoryEntry
from maestro.rules.impact import LEDGER, Impacted, Origin, UnitKey, replay_order
from maestro.rules.ledger_book import LatePolicy, Stale, StaleState
from maestro.rules.policies import Effect
from maestro.rules.preview import digest
from maestro.rules.remembering import settled
from maestro.rules.state import System
from maestro.rules.status import Status
from maestro.rules.step import DropUnit, SaveDocument, SavePreview, SaveUnit, Step
from maestro.rules.unit import LeftOut, Unit, UnitState

#: Units of one late reprocessing.
LIMIT: Final = 1000
#: Of `Book.late_due`: a moment that has passed by any clock.
OVERDUE: Final = -1.0
#: From this generation on a person is asked, whatever the policy.
ASKED_FROM: Final = 3


def on_woken(system: System, _key: str, _step: Step) -> None:
    """The gathering is over, whatever the clock says from here on: `advance` follows each fact."""
    if system.ledger.late_due:
        system.ledger.late_due = OVERDUE


def advance(system: System, step: Step) -> None:
    """Open a late reprocessing, or let the pending one grow, once stale units have gathered and nothing is locked."""
    book = system.ledger
    if system.now < book.late_due or book.late_token or system.closing or not settled(system):
        return
    if any(doc.status is not Status.PENDING and doc.blocks for doc in system.live.values()):
        return
    pending = system.pending(late=True)
    units = _candidates(system)[: LIMIT - (pending.total if pending is not None else 0)]
    if not units:
        book.late_due = 0.0  # decided, or replayed, meanwhile; or for the next one
        return
    book.late_token = system.token()
    named = tuple(Impacted(*one.unit, one.forking, named=LEDGER) for one in units)
    step.do(do.FetchLateOrigins(book.late_token, named))


def _candidates(system: System) -> list[Stale]:
    """Return the stale units that no late reprocessing has, and no live one is still to replay."""
    busy = {unit.key for doc in system.live.values() for unit in doc.order if not unit.settled}
    return [
        one
        for one in system.ledger.stale.values()
        if one.state is StaleState.STALE and not one.document_id and one.unit not in busy
    ]


def on_origins_fetched(system: System, fact: facts.LateOriginsFetched, step: Step) -> None:
    """All that a late reprocessing needs is known; what cannot be had now is tried again."""
    book = system.ledger
    if fact.token != book.late_token:
        return
    book.late_token, book.late_due = 0, 0.0
    wanted = {one.unit for one in _candidates(system)}
    origins = [] if fact.problem else [origin for origin in fact.origins if origin.unit.key in wanted]
    doc = system.pending(late=True)
    if origins and doc is None:
        _open(system, fact.document_id, origins, step)
    elif origins and doc is not None:
        _grow(system, doc, origins, step)
    if _candidates(system):
        staleness.gather(system, step)


def _open(system: System, document_id: str, origins: list[Origin], step: Step) -> None:
    stub = {"name": f"{system.id}.late.request", "systemId": system.id, "branch": MASTER, "tag": "", "payload": {}}
    doc = Document(
        id=document_id,
        system_id=system.id,
        number=system.next_number,
        tag="",
        branch=MASTER,
        forking=False,
        held_instance="",
        pending_event=msgspec.json.encode(stub),
        origin=b"",
        history=[HistoryEntry(Status.PENDING, system.now, MAESTRO)],
        held_committed=True,
        late=True,
    )
    system.next_number += 1
    units = doc.add(replay_order(origins))
    _assign(system, doc, units, step)
    system.add_document(doc)
    step.save(SaveDocument(doc), *(SaveUnit(doc, unit) for unit in units))
    replays = system.rules.late_policy is LatePolicy.REPLAY and doc.generation < ASKED_FROM
    verdict = demanding.when_held(system, doc, *((Effect.APPROVE,) if replays else ()))
    if verdict.approval is Effect.APPROVE:
        opening.approve(system, doc, PLATFORM, step)
    elif doc.generation >= ASKED_FROM:
        text = (
            f"late reprocessing {doc.id} is of generation {doc.generation}: late runs make each other's results stale"
        )
        step.do(do.RaiseAlarm(do.Alarm.LATE_AGAIN, units[0].instance_id, text))


def _grow(system: System, doc: Document, origins: list[Origin], step: Step) -> None:
    before = [unit.key for unit in doc.order]
    step.save(SavePreview(doc, doc.revision, digest(doc.held_instance, before), tuple(before)))
    units = doc.replace_units(replay_order([*(unit.as_origin() for unit in doc.order), *origins]))
    doc.revision += 1
    _assign(system, doc, units, step)
    demanding.look_again(system, doc, step)
    step.save(SaveDocument(doc), *(SaveUnit(doc, unit) for unit in units))


def _assign(system: System, doc: Document, units: list[Unit], step: Step) -> None:
    for unit in units:
        stale = system.ledger.stale.get(unit.key)
        if stale is None or stale.state is not StaleState.STALE:
            continue  # replayed, or accepted, since: the start drops it
        unit.missed = tuple(commit.instance_id for commit in stale.missed)
        doc.generation = max(doc.generation, *(1 + commit.generation for commit in stale.missed), 1)
        if stale.document_id != doc.id:
            staleness.assign(system, unit.key, doc.id, step)


def keep_only(system: System, doc: Document, seen: frozenset[UnitKey], step: Step) -> None:
    """An approval by an earlier preview approves the units which that showed; the others open the next document."""
    _replace(doc, [unit for unit in doc.order if unit.key in seen], step)
    for stale in list(system.ledger.stale.values()):
        if stale.document_id == doc.id and stale.unit not in seen:
            staleness.assign(system, stale.unit, "", step)
    staleness.gather(system, step)


def drop_replayed(system: System, doc: Document, step: Step) -> None:
    """At the approval, and at each start: leave out what was replayed since: it is not stale any more."""
    if not doc.late:
        return
    listed = system.ledger.stale
    # What was found stale again, in a run that has ended, has no reprocessing.
    unassigned = {one.unit for one in listed.values() if one.state is StaleState.STALE and not one.document_id}
    again = [unit for unit in doc.order if unit.key in unassigned and not unit.settled]
    if again:
        _assign(system, doc, again, step)
        step.save(SaveDocument(doc), *(SaveUnit(doc, unit) for unit in again))
    stale = {one.unit for one in listed.values() if one.document_id == doc.id}
    if doc.unlisted:
        stale |= doc.units.keys() - listed.keys()
    if any(unit.sends or unit.state is UnitState.DONE for unit in doc.order):
        _leave_out(system, doc, stale, step)
        return
    left = [unit for unit in doc.order if unit.key in stale or unit.state is UnitState.LEFT_OUT]
    if len(left) < doc.total:
        _replace(doc, left, step)


def _leave_out(system: System, doc: Document, stale: set[UnitKey], step: Step) -> None:
    """A run that is retried leaves out what it has not replayed and others have, but for what its replays impact."""
    replayed = [
        unit
        for unit in doc.order
        if unit.state is UnitState.OUTSTANDING and unit.cause == FIRST and unit.round == 1 and unit.key not in stale
    ]
    doc.take_off_line(replayed)
    for unit in replayed:
        note = system.ledger.stale.get(unit.key)
        elsewhere = note is not None and note.state is StaleState.STALE
        why = "another late reprocessing has it" if elsewhere else "it was replayed since"
        unit.state, unit.left_out = UnitState.LEFT_OUT, LeftOut(MAESTRO, system.now, why)
        step.save(SaveUnit(doc, unit))


def _replace(doc: Document, units: list[Unit], step: Step) -> None:
    before = {unit.key: unit for unit in units}
    total = doc.total
    placed = doc.replace_units([unit.as_origin() for unit in units])
    for unit in placed:
        was = before[unit.key]
        unit.missed = was.missed
        if was.state is UnitState.LEFT_OUT:
            doc.set_aside.pop(unit.key, None)
            unit.state, unit.problem, unit.left_out = was.state, was.problem, was.left_out
    step.save(SaveDocument(doc), *(SaveUnit(doc, unit) for unit in placed))
    step.save(*(DropUnit(doc, position) for position in range(doc.total, total)))


def look_again(system: System, step: Step) -> None:
    """After a restart, or the end of a reprocessing that was to replay them: gather what is stale.

    What was found before has gathered since then: else one that is restarted again and again would gather for ever.
    """
    if system.ledger.stale and (units := _candidates(system)):
        staleness.gather(system, step, since=min(one.at for one in units))
