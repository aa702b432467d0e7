"""Flow 3, the decision: approve, skip, retry, cancel, and the override by hand. Each answers its ticket."""

from maestro.messages import Code
from maestro.reprocessing import commands as do
from maestro.reprocessing import ending, facts, opening
from maestro.reprocessing.document import Document
from maestro.reprocessing.rendering import wire_time
from maestro.reprocessing.settling import add_errand
from maestro.reprocessing.state import ErrandKind, System
from maestro.reprocessing.status import OVERRIDES, TRANSITIONS, Status, Trigger
from maestro.reprocessing.step import SaveDocument, Step

Decision = facts.Approved | facts.Skipped | facts.Retried | facts.Cancelled | facts.StatusSet


def on_approved(system: System, fact: facts.Approved, step: Step) -> None:
    """Put the pending reprocessing in line."""
    doc = _pending(system, fact, step)
    if doc is not None:
        opening.approve(system, doc, fact.user, step)
        _answer(fact, doc, step)


def on_skipped(system: System, fact: facts.Skipped, step: Step) -> None:
    """Drop the held commit; the results stay as they are."""
    doc = _pending(system, fact, step)
    if doc is not None:
        _skip(system, doc, fact, step)


def on_retried(system: System, fact: facts.Retried, step: Step) -> None:
    """Approve again what failed, was aborted or cancelled; only what is not recorded as done will be done."""
    doc = _allowed(system, fact, Trigger.RETRY, step)
    if doc is None:
        return
    doc.load(fact.units)
    opening.approve(system, doc, fact.user, step, Trigger.RETRY)
    _answer(fact, doc, step)


def on_cancelled(system: System, fact: facts.Cancelled, step: Step) -> None:
    """Cancel at once what has not started; what runs stops after the current replay."""
    doc = _allowed(system, fact, Trigger.CANCEL, step)
    if doc is None:
        return
    if doc.status is Status.APPROVED:
        ending.leave_line(system, doc, Trigger.CANCEL, fact.user, step)
    else:
        doc.cancelling = fact.user
        step.save(SaveDocument(doc))
    _answer(fact, doc, step)


def on_status_set(system: System, fact: facts.StatusSet, step: Step) -> None:
    """Override by hand, where the table of overrides allows it."""
    doc = _found(system, fact, step)
    if doc is None:
        return
    if fact.status not in list(Status):
        _refuse(fact, Code.INVALID, f"status: must be one of {', '.join(Status)}", step)
        return
    trigger = OVERRIDES.get(doc.status, {}).get(Status(fact.status))
    if trigger is None or doc.ending is not None:
        _conflict(fact, doc, step)
    elif doc.status is Status.PENDING:
        if _pending(system, fact, step) is not None:
            _decide_pending(system, doc, trigger, fact, step)
    elif doc.status is Status.APPROVED:
        ending.leave_line(system, doc, trigger, fact.user, step)
        _answer(fact, doc, step)
    else:
        doc.tickets.append(fact.ticket)  # answered when the clean-up is done and the status has changed
        doc.cancelling = ""
        ending.end(system, doc, trigger, "set by hand", fact.user, step)


def _decide_pending(system: System, doc: Document, trigger: Trigger, fact: Decision, step: Step) -> None:
    if trigger is Trigger.SKIP:
        _skip(system, doc, fact, step)
    else:
        opening.approve(system, doc, fact.user, step)
        _answer(fact, doc, step)


def _skip(system: System, doc: Document, fact: Decision, step: Step) -> None:
    doc.move(Trigger.SKIP, system.now, fact.user)
    doc.release()
    system.file(doc)
    step.save(SaveDocument(doc))
    add_errand(system, ErrandKind.STATUS, doc.held_instance, opening.STATUS_SKIPPED, step)
    _answer(fact, doc, step)


def _found(system: System, fact: Decision, step: Step) -> Document | None:
    doc = system.documents.get(fact.id)
    if doc is None:
        _refuse(fact, Code.NOT_FOUND, f"no reprocessing {fact.id}", step)
    return doc


def _pending(system: System, fact: Decision, step: Step) -> Document | None:
    """Return the document if it is the one whose decision is due; else refuse."""
    doc = _found(system, fact, step)
    if doc is None:
        return None
    if doc.status is not Status.PENDING:
        _conflict(fact, doc, step)
        return None
    oldest = system.pending()
    if oldest is not None and oldest is not doc:
        _refuse(fact, Code.CONFLICT, f"reprocessing {oldest.id} is older and must be decided first", step)
        return None
    return doc


def _allowed(system: System, fact: Decision, trigger: Trigger, step: Step) -> Document | None:
    doc = _found(system, fact, step)
    if doc is None:
        return None
    if trigger not in TRANSITIONS[doc.status] or doc.ending is not None or doc.cancelling:
        _conflict(fact, doc, step)
        return None
    return doc


def _conflict(fact: Decision, doc: Document, step: Step) -> None:
    last = doc.history[-1]
    state = f"{doc.status}, being cancelled by {doc.cancelling}" if doc.cancelling else str(doc.status)
    if doc.ending is not None:
        state = f"{doc.status}, ending by {doc.ending.user}"
    _refuse(fact, Code.CONFLICT, f"reprocessing {doc.id} is {state} (by {last.user} at {wire_time(last.at)})", step)


def _answer(fact: Decision, doc: Document, step: Step) -> None:
    step.do(do.Reply(fact.ticket, Code.OK, document_id=doc.id))


def _refuse(fact: Decision, code: Code, message: str, step: Step) -> None:
    step.do(do.Reply(fact.ticket, code, message))
