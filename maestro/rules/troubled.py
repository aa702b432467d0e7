"""Flow 3, a step of a run that failed past its tries: the sibling is waited for, under the lock, or the run fails."""

from maestro.rules import ending, facts, outage
from maestro.rules.document import MAESTRO, Document, Stage
from maestro.rules.outage import Ruling
from maestro.rules.state import System
from maestro.rules.status import Trigger
from maestro.rules.step import Step
from maestro.rules.visibility import VISIBILITY


def on_run_failed(system: System, doc: Document, fact: facts.RunFailed, step: Step) -> None:
    """A step of the run failed past its tries: find out whose fault it is, unless that is certain."""
    if doc.ending is not None:
        outage.over(system, doc.id)
        return
    if fact.sibling and not doc.cancelling:
        doc.stage = Stage.OUTAGE
        outage.suspect(system, doc.id, fact.sibling, fact.cause, step)
    else:
        ending.end(system, doc, _failing(doc), fact.cause, MAESTRO, step)


def on_send_failed(system: System, doc: Document, fact: facts.RunFailed, step: Step) -> None:
    """A send failed past its tries, unless its result came all the same."""
    if doc.answered:
        outage.over(system, doc.id)
    else:
        on_run_failed(system, doc, fact, step)


def on_look_awaited(system: System, doc: Document, step: Step) -> None:
    """No question can be put before a look at API core, which is out of reach: it is waited for as any sibling is.

    A run that is to be cancelled does not wait for it: the result that it has is kept.
    """
    stall = system.stalls.get(VISIBILITY)
    if stall is None:
        return
    if doc.cancelling or system.now - max(stall.since, doc.since) >= system.rules.outage_limit:
        ending.end(system, doc, _failing(doc), stall.cause, MAESTRO, step)


def _failing(doc: Document) -> Trigger:
    return Trigger.FAIL if doc.held_committed else Trigger.ABORT_SPLIT


def on_canary_asked(system: System, fact: facts.CanaryAsked, step: Step) -> None:
    """Try the step again, now or later; or the run fails: by its own fault, or the sibling is away for too long."""
    doc, trouble = system.documents.get(fact.what), system.troubles.get(fact.what)
    if doc is None or trouble is None or doc.stage is not Stage.OUTAGE:
        return
    ruling = outage.rule(system, fact, step, limit=system.rules.outage_limit)
    if ruling is Ruling.AGAIN:
        try_again(system, doc.id)
    elif ruling is Ruling.FAULT:
        doc.stage = None
        ending.end(system, doc, _failing(doc), trouble.cause, MAESTRO, step)


def try_again(system: System, id_: str) -> None:
    """Let a run go on with the step that failed: `replaying.advance` reads it off the document."""
    doc = system.documents.get(id_)
    if doc is not None and doc.stage is Stage.OUTAGE:
        doc.stage = None
