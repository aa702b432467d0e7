"""What the platform says of ended processes, for a run (semantics: Outcomes).

Everything works without it, only later.
"""

from maestro.rules import commands as do
from maestro.rules import facts, outage, replaying, staleness
from maestro.rules.document import Document
from maestro.rules.state import System
from maestro.rules.step import SaveDocument, SaveUnit, Step
from maestro.rules.unit import UnitState


def on_instance_ended(system: System, fact: facts.InstanceEnded, step: Step) -> None:
    """A replay ended: in an error, as `POST …/failure` would say it; or done, perhaps with nothing to commit."""
    ref = fact.replay
    if ref is None:
        return
    if fact.cause:
        erred = facts.ReplayErred(ref.id, ref.instance_id, fact.branch, ref.send, fact.cause)
        replaying.on_replay_erred(system, erred, step)
        return
    doc = system.documents.get(ref.id)
    if doc is not None and not fact.stored and _is_in_flight(doc, fact):
        assert doc.current is not None
        send = doc.send_name(doc.current)
        step.do(do.AskFollowing(doc.id, send, fact.instance_id, fact.name, fact.version))


def _is_in_flight(doc: Document, fact: facts.InstanceEnded) -> bool:
    """Whether it is about the unit in flight, from the current send, and no result of that has come.

    An outcome that names no send can only be believed while there was no former send it might be from.
    """
    unit, ref = doc.current, fact.replay
    if unit is None or ref is None or not doc.running or doc.ending is not None:
        return False
    if unit.state not in (UnitState.SENDING, UnitState.SENT) or (ref.instance_id, fact.branch) != unit.key:
        return False
    if unit.was_answered_by(fact.instance_id):
        return False
    return ref.send == doc.send_name(unit) if ref.send else unit.sends == 1


def on_following_known(system: System, fact: facts.FollowingKnown, step: Step) -> None:
    """API core knows whether a replay's end starts another operation; if not, the unit is done, with nothing to commit.

    Else the persist event of its chain is still to come.
    """
    doc = system.documents.get(fact.id)
    if doc is None or fact.follows or not doc.running or doc.ending is not None:
        return
    unit = doc.current
    if unit is None or unit.state not in (UnitState.SENDING, UnitState.SENT) or doc.send_name(unit) != fact.send:
        return
    outage.send_arrived(system, doc)
    doc.current = None
    unit.state, unit.done_at = UnitState.DONE, system.now
    unit.accept(fact.instance_id, "")
    staleness.replayed(system, unit.key, step, unit.logged)
    doc.replayed += 1
    system.counters.replayed += 1
    step.save(SaveDocument(doc), SaveUnit(doc, unit))
    step.do(do.TakeControl(doc.id))
