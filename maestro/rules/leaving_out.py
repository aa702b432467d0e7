"""Flow 3: units that cannot be replayed are set aside, the others go on; some are left out, by whom and why.

A unit is set aside when its instance has no origin event, when the Event Manager knows no subscriber for it, or when
its process failed `replay_attempts` times. It stays outstanding. When nothing else is, the run pauses, and somebody
leaves it out or has it tried again (semantics: A unit that cannot be replayed).
"""

from maestro.messages.answers import Code
from maestro.rules import approving, facts, kept, staleness
from maestro.rules import commands as do
from maestro.rules.asking import answer, conflict, found, is_retried, refuse
from maestro.rules.document import MAESTRO, OPEN_BRANCH, PLATFORM, Document
from maestro.rules.doubt import Use, Word
from maestro.rules.state import System
from maestro.rules.status import GIVEN_UP, Status, Trigger
from maestro.rules.step import SaveDocument, SaveUnit, Step
from maestro.rules.unit import LeftOut, Unit, UnitState


def set_aside(doc: Document, problem: str, step: Step) -> None:
    """Set the unit in flight aside: the others go on without it."""
    unit = doc.current
    assert unit is not None
    doc.current = None
    unit.reset()
    unit.state, unit.problem = UnitState.SET_ASIDE, problem
    doc.set_aside[unit.key] = unit
    step.save(SaveUnit(doc, unit))
    step.do(do.TakeControl(doc.id))


def try_again(doc: Document, step: Step) -> None:
    """Somebody has the run go on: what was set aside is sent again, but for units without an origin event."""
    for unit in [unit for unit in doc.set_aside.values() if unit.origin]:
        doc.take_back(unit)
        step.save(SaveUnit(doc, unit))


def left_by_approval(system: System, doc: Document, user: str, step: Step) -> None:
    """Leave out what the preview showed as units that cannot be replayed: approving it said so."""
    units = list(doc.set_aside.values())
    if units:
        _leave_out(system, doc, units, user, "the approved preview showed that it cannot be replayed", step)
        if user in (PLATFORM, OPEN_BRANCH):
            _alarm(doc, units, step)


def nothing_else_left(system: System, doc: Document, step: Step) -> bool:
    """Nothing but set-aside units is outstanding: leave them out if nobody decides here, else pause.

    Return whether the run is to go on.
    """
    units = list(doc.set_aside.values())
    approved = doc.last_move(Status.APPROVED)
    approver = approved.user if approved else ""
    if approver in (PLATFORM, OPEN_BRANCH):
        _leave_out(system, doc, units, approver, "it cannot be replayed, and the run was approved by a rule", step)
        step.save(SaveDocument(doc))
        _alarm(doc, units, step)
        return True
    number = len(units)
    cause = f"{number} unit cannot be replayed: leave it out, or resume to try it again"
    if number != 1:
        cause = f"{number} units cannot be replayed: leave them out, or resume to try them again"
    doc.move(Trigger.PAUSE, system.now, MAESTRO, cause)
    doc.pausing = doc.pause_reason = ""
    step.save(SaveDocument(doc))
    return False


def on_leave_out_asked(system: System, fact: facts.LeaveOutAsked, step: Step) -> None:
    """Leave outstanding units of a run that rests, failed, was aborted or cancelled out of it for good."""
    doc = found(system, fact, step)
    if doc is None:
        return
    if not fact.units:
        refuse(fact, Code.INVALID, "units: is empty", step)
        return
    if not (doc.resting or doc.status in GIVEN_UP):
        conflict(fact, doc, step)
        return
    if is_retried(system, fact, step):
        return
    loaded = not doc.units
    if loaded:
        doc.load(fact.stored)
    units = _named(system, doc, fact, step)
    if units:
        if doc.current in units:
            doc.kept = False
            system.file(doc)
            kept.supersede(system, doc, step)
        approving.void(doc)  # it was of a run with these units
        _leave_out(system, doc, units, fact.user, fact.reason, step)
        number = len(units)
        left = f"left out {number} unit" if number == 1 else f"left out {number} units"
        doc.note(system.now, fact.user, left, fact.reason)
        step.save(SaveDocument(doc))
        answer(fact, doc, step)
    if loaded:
        doc.release()


def _named(system: System, doc: Document, fact: facts.LeaveOutAsked, step: Step) -> list[Unit]:
    """Return the units that are meant; none when one of them is refused."""
    units = []
    for instance_id, branch in dict.fromkeys(fact.units):
        unit = doc.units.get((instance_id, branch))
        if unit is None:
            refuse(fact, Code.INVALID, f"units: {instance_id} on {branch} is no unit of reprocessing {doc.id}", step)
            return []
        doubt = next((one for one in system.open_doubts if one.document == doc.id and one.is_about(unit)), None)
        if doubt is not None:
            said = (
                f"units: the commit of the replay of {instance_id} on {branch} is in doubt: resolve {doubt.key} first"
            )
            refuse(fact, Code.CONFLICT, said, step)
            return []
        if unit.settled or _is_said_to_be_made(system, doc, unit):
            state = "left out" if unit.state is UnitState.LEFT_OUT else "replayed"
            refuse(fact, Code.CONFLICT, f"units: {instance_id} on {branch} is {state} already", step)
            return []
        units.append(unit)
    return units


def _is_said_to_be_made(system: System, doc: Document, unit: Unit) -> bool:
    """Whether its replay's commit was in doubt and is resolved as made: a retry takes the unit for replayed."""
    return any(
        doubt.verdict == Word.MADE and (doubt.use, doubt.document) == (Use.REPLAY, doc.id) and doubt.is_about(unit)
        for doubt in system.doubts.values()
    )


def _leave_out(system: System, doc: Document, units: list[Unit], user: str, reason: str, step: Step) -> None:
    doc.take_off_line(units)
    for unit in units:
        unit.reset()
        unit.state = UnitState.LEFT_OUT
        unit.left_out = LeftOut(user, system.now, reason)
        doc.set_aside.pop(unit.key, None)
        step.save(SaveUnit(doc, unit))
        staleness.left_out(system, unit.key, unit.result_instance or unit.instance_id, user, reason, step)


def _alarm(doc: Document, units: list[Unit], step: Step) -> None:
    names = ", ".join(f"{unit.instance_id} on {unit.branch}" for unit in units[:5])
    more = f" and {len(units) - 5} more" if len(units) > 5 else ""  # noqa: PLR2004 - as many as are named
    text = f"reprocessing {doc.id} left out {names}{more}: {units[0].problem}"
    step.do(do.RaiseAlarm(do.Alarm.LEFT_OUT, doc.held_instance, text))
