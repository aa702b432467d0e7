"""Flow 3, the pause: a run stops after its current replay and goes on when somebody says so.

A run with lock keeps it while paused, for the data is half replayed. A paused run keeps its place: no other
reprocessing of the system begins before it is resumed or cancelled.
"""

from maestro.rules import approving, facts, leaving_out
from maestro.rules.asking import allowed, answer, conflict
from maestro.rules.state import System
from maestro.rules.status import Trigger
from maestro.rules.step import SaveDocument, Step


def on_pause_asked(system: System, fact: facts.PauseAsked, step: Step) -> None:
    """Note it; `replaying.advance` pauses the run before its next replay."""
    doc = allowed(system, fact, Trigger.PAUSE, step)
    if doc is None:
        return
    if doc.pausing:
        conflict(fact, doc, step)
        return
    doc.pausing, doc.pause_reason = fact.user, fact.reason
    step.save(SaveDocument(doc))
    answer(fact, doc, step)


def on_resume_asked(system: System, fact: facts.ResumeAsked, step: Step) -> None:
    """Go on, as far as the new budget goes; without one to the end."""
    doc = allowed(system, fact, Trigger.RESUME, step)
    if doc is None or not approving.enough(system, doc, fact, step):
        return
    trigger = Trigger.RESUME_WITHOUT_LOCK if doc.forking else Trigger.RESUME
    doc.move(trigger, system.now, fact.user, reason=fact.reason)
    leaving_out.try_again(doc, step)
    doc.grant(approving.granted(doc, fact.budget))
    step.save(SaveDocument(doc))
    answer(fact, doc, step)
