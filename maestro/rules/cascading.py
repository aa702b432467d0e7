"""Flow 3, the cascade: what a replay's result impacts is in the document before the result is committed.

A unit that is outstanding is not added twice; one that was replayed gets another round, up to
`max_replays_per_instance`, and is listed as `reimpacted` beyond that (semantics: Impacted again).
"""

from maestro.events import MASTER
from maestro.rules import commands as do
from maestro.rules import facts, not_finished, outage
from maestro.rules.document import Document, Stage
from maestro.rules.impact import Impacted, Origin, relevant, replay_order
from maestro.rules.state import System
from maestro.rules.step import SaveDocument, SaveUnit, Step
from maestro.rules.unit import Unit, UnitState


def on_replay_impact_found(system: System, doc: Document, fact: facts.ReplayImpactFound, step: Step) -> None:
    """Grow the document by what the result impacts; origins of units not met yet are fetched first."""
    if doc.current is None:
        return
    doc.footprint = fact.footprint
    impacted = _impacted_by(doc, doc.current, fact.units, step)
    met = [unit for unit in map(doc.unit_of, impacted) if unit is not None]
    doc.again = tuple(unit for unit in met if unit.state is UnitState.DONE)  # else still outstanding: not added twice
    new = tuple(found for found in impacted if doc.unit_of(found) is None)
    if new:
        outage.answered(system, doc.id)
        doc.await_answer(Stage.ORIGINS, system.token())
        step.do(do.FetchReplayOrigins(doc.id, doc.token, new))
    else:
        outage.over(system, doc.id)
        _grow(system, doc, doc.current, (), step)


def _impacted_by(doc: Document, unit: Unit, found: tuple[Impacted, ...], step: Step) -> tuple[Impacted, ...]:
    """Drop what a replay cannot impact, and the held instance: replayed within its own run it would apply twice."""
    on_master = unit.branch == MASTER and doc.on_master
    named = relevant(found, own_instance=unit.result_instance, on_master=on_master, own_unit=unit.key)
    impacted = tuple(one for one in named if one.instance_id != doc.held_instance)
    if len(impacted) < len(named) and not doc.held_named_by:
        doc.held_named_by = unit.instance_id
        step.save(SaveDocument(doc))
        text = f"reprocessing {doc.id}: the replay of {unit.instance_id} impacts the held instance itself"
        step.do(do.RaiseAlarm(do.Alarm.HELD_NAMED, doc.held_instance, text))
    return impacted


def on_replay_origins_fetched(system: System, doc: Document, fact: facts.ReplayOriginsFetched, step: Step) -> None:
    """All that the cascade adds is known."""
    if doc.current is not None:
        outage.over(system, doc.id)
        origins, early = not_finished.part(system, fact.origins)
        not_finished.note(system, early, doc.current.result_instance, step)
        not_finished.listed(doc, early)
        step.save(SaveDocument(doc))
        _grow(system, doc, doc.current, origins, step)


def _grow(system: System, doc: Document, unit: Unit, new: tuple[Origin, ...], step: Step) -> None:
    """Add new units and new rounds to document and queues; only then may the result be committed."""
    rounds = system.rules.max_replays_per_instance
    again = [met for met in doc.again if met.round < rounds]
    for stale in (met for met in doc.again if met.round >= rounds):
        stale.reimpacted = True
        step.save(SaveUnit(doc, stale))
    grown = [_take_in(doc, unit, origin) for origin in replay_order((*new, *(met.as_origin() for met in again)))]
    doc.grown = bool(grown or doc.again)
    doc.again = ()
    unit.state = UnitState.COMMITTING
    step.save(SaveUnit(doc, unit), *(SaveUnit(doc, added) for added in grown))
    if grown:
        step.save(SaveDocument(doc))
        doc.cascaded += len(grown)
        system.counters.cascaded += len(grown)
        positions = tuple(added.position for added in grown if added.state is UnitState.OUTSTANDING)
        if positions:  # what is set aside is on no queue
            doc.await_answer(Stage.GROWTH, system.token())
            step.do(do.GrowQueues(doc.id, doc.token, positions))


def _take_in(doc: Document, cause: Unit, origin: Origin) -> Unit:
    met = doc.unit_of(origin.unit)
    if met is None:
        return doc.add((origin,), cause.position)[0]
    doc.add_round(met)
    return met
