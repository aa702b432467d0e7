"""Flow 3, the decision: approve, skip, retry, cancel, and the override by hand. Each answers its ticket."""

from maestro.messages.answers import Code
from maestro.messages.decisions import UNLIMITED
from maestro.rules import (
    approving,
    concluding,
    covering,
    demanding,
    ending,
    facts,
    late,
    not_finished,
    opening,
    preview,
    resolving,
    staleness,
)
from maestro.rules import commands as do
from maestro.rules.asking import Decision, allowed, answer, conflict, found, is_retried, refuse
from maestro.rules.document import Document, Stage
from maestro.rules.outbox import drop_texts, tell_status
from maestro.rules.state import System
from maestro.rules.status import OVERRIDES, Status, Trigger
from maestro.rules.step import DropPreviews, SaveDocument, Step


def on_approved(system: System, fact: facts.Approved, step: Step) -> None:
    """Put the pending reprocessing in line, if it is the one that was previewed."""
    doc = _pending(system, fact, step)
    if doc is None:
        return
    earlier = doc.late and fact.seen is not None and fact.digest != preview.digest(doc.held_instance, doc.units)
    if not (earlier or _as_previewed(doc, fact, step)) or not covering.possible(doc, fact, step):
        return
    if not approving.enough(system, doc, fact, step):
        return
    _settle_preview(doc, step)
    if earlier:
        late.keep_only(system, doc, frozenset(fact.seen or ()), step)
    late.drop_replayed(system, doc, step)
    budget = approving.granted(doc, fact.budget)
    cause = covering.remember(system, doc, fact, step, budget=budget)
    opening.approve(system, doc, fact.user, step, cause=cause, reason=fact.reason, budget=budget)
    answer(fact, doc, step)


def on_skipped(system: System, fact: facts.Skipped, step: Step) -> None:
    """Drop the held commit; the results stay as they are."""
    doc = _pending(system, fact, step)
    if doc is None or demanding.refuses_skip(system, doc, fact, step):
        return
    if _as_previewed(doc, fact, step) and covering.possible(doc, fact, step):
        _skip(system, doc, fact.user, fact.reason, step, covering.remember(system, doc, fact, step))
        answer(fact, doc, step)


def on_deciders_checked(system: System, fact: facts.DecidersChecked, step: Step) -> None:
    """Decide a document as the decision that covers its tag, if that still holds."""
    found = covering.taken(system, fact)
    if found is None:
        return
    doc, decider = found.document, found.cover.deciders[-1]
    if found.cover.approves:
        _settle_preview(doc, step)
        opening.approve(
            system, doc, decider.user, step, cause=found.cause, reason=decider.reason, budget=found.cover.budget
        )
    else:
        _skip(system, doc, decider.user, decider.reason, step, found.cause)


def on_retried(system: System, fact: facts.Retried, step: Step) -> None:
    """Approve again what failed, was aborted or cancelled; only what is not recorded as done will be done."""
    doc = allowed(system, fact, Trigger.RETRY, step)
    if doc is None or is_retried(system, fact, step):
        return
    if resolving.holds_up(system, fact, step) or not approving.enough(system, doc, fact, step):
        return
    doc.load(fact.units)
    concluding.apply_resolved(system, doc, step)
    budget = approving.granted(doc, fact.budget)
    opening.approve(system, doc, fact.user, step, Trigger.RETRY, reason=fact.reason, budget=budget)
    answer(fact, doc, step)


def on_proof_found(system: System, fact: facts.ProofFound, step: Step) -> None:
    """Go on with the commit, or with the retry, that waited for a proof."""
    if fact.token not in system.retries:
        concluding.on_proof_found(system, fact, step)
        return
    retry = resolving.proof_for_retry(system, fact, step)
    if retry is not None:
        on_retried(system, retry, step)


def on_cancelled(system: System, fact: facts.Cancelled, step: Step) -> None:
    """Cancel at once what has not started; what runs stops after the current replay."""
    doc = allowed(system, fact, Trigger.CANCEL, step)
    if doc is None:
        return
    covering.withdraw(system, doc, step)
    if doc.status is Status.APPROVED:
        ending.leave_line(system, doc, Trigger.CANCEL, fact.user, fact.reason, step)
    else:
        doc.cancelling, doc.cancel_reason = fact.user, fact.reason
        step.save(SaveDocument(doc))
    answer(fact, doc, step)


def on_status_set(system: System, fact: facts.StatusSet, step: Step) -> None:
    """Override by hand, where the table of overrides allows it."""
    doc = found(system, fact, step)
    if doc is None:
        return
    if fact.status not in list(Status):
        refuse(fact, Code.INVALID, f"status: must be one of {', '.join(Status)}", step)
        return
    trigger = OVERRIDES.get(doc.status, {}).get(Status(fact.status))
    if trigger is None or doc.ending is not None:
        conflict(fact, doc, step)
    elif trigger is Trigger.FINISH and not doc.held_committed:
        message = f"the held commit of reprocessing {doc.id} is not made: cancel it, or set {Status.FAILURE}"
        refuse(fact, Code.CONFLICT, message, step)
    elif doc.status is Status.PENDING:
        if _pending(system, fact, step) is not None:
            _decide_pending(system, doc, trigger, fact, step)
    elif doc.status is Status.APPROVED:
        covering.withdraw(system, doc, step)
        ending.leave_line(system, doc, trigger, fact.user, fact.reason, step)
        answer(fact, doc, step)
    else:
        _end_by_hand(system, doc, trigger, fact, step)


def _end_by_hand(system: System, doc: Document, trigger: Trigger, fact: facts.StatusSet, step: Step) -> None:
    """End a run. The caller is answered when the status has changed, but does not wait for a sibling's answer."""
    doc.cancelling = ""
    if trigger is Trigger.FAIL:
        covering.withdraw(system, doc, step)
    ending.end(system, doc, trigger, "set by hand", fact.user, step, reason=fact.reason)
    concluding.end_by_hand(system, doc, step)
    if doc.stage in (Stage.CLEAN_UP, None):
        doc.tickets.append(fact.ticket)
    else:
        answer(fact, doc, step)


def _decide_pending(system: System, doc: Document, trigger: Trigger, fact: facts.StatusSet, step: Step) -> None:
    if trigger is Trigger.SKIP:
        if not demanding.refuses_skip(system, doc, fact, step):
            _skip(system, doc, fact.user, fact.reason, step)
            answer(fact, doc, step)
    elif approving.enough(system, doc, fact, step):
        _settle_preview(doc, step)
        late.drop_replayed(system, doc, step)
        opening.approve(system, doc, fact.user, step, reason=fact.reason, budget=approving.granted(doc, UNLIMITED))
        answer(fact, doc, step)


def _skip(system: System, doc: Document, user: str, reason: str, step: Step, cause: str = "") -> None:
    _settle_preview(doc, step)
    drop_texts(system, doc.held_instance, doc, step)
    doc.move(Trigger.SKIP, system.now, user, cause, reason)
    doc.release()
    system.file(doc)
    step.save(SaveDocument(doc))
    if doc.late:
        staleness.accept(system, doc.id, user, reason, step)
    else:
        tell_status(system, doc.held_instance, opening.STATUS_SKIPPED, step)
        not_finished.ended(system, doc.held_instance, step, skipped=True)


def _as_previewed(doc: Document, fact: facts.Approved | facts.Skipped, step: Step) -> bool:
    """Whether the preview that was decided on is the present one; else refuse, with what changed since, if known."""
    now = preview.digest(doc.held_instance, doc.units)
    if fact.digest in ("", now):
        return True
    fields: do.Fields = (("digest", now),)
    message = f"digest: is not among the last previews of reprocessing {doc.id}"
    if fact.seen is not None:
        fields += tuple(preview.difference(fact.seen, [unit.key for unit in doc.order]).items())
        message = f"digest: reprocessing {doc.id} is not what was previewed: its units changed"
    step.do(do.Reply(fact.ticket, Code.CONFLICT, message, fields=fields))
    return False


def _settle_preview(doc: Document, step: Step) -> None:
    """It is decided: earlier previews are of no use any more, nor is a re-check under way."""
    if doc.revision:
        step.save(DropPreviews(doc))
    if doc.recheck is not None:
        for ticket in doc.recheck.tickets:
            step.do(do.Reply(ticket, Code.CONFLICT, f"reprocessing {doc.id} was decided meanwhile"))
        doc.recheck = None


def _pending(system: System, fact: Decision, step: Step) -> Document | None:
    """Return the document if it is the one whose decision is due; else refuse."""
    doc = found(system, fact, step)
    if doc is None:
        return None
    if doc.status is not Status.PENDING:
        conflict(fact, doc, step)
        return None
    oldest = system.pending(late=doc.late)
    if oldest is not None and oldest is not doc:
        refuse(fact, Code.CONFLICT, f"reprocessing {oldest.id} is older and must be decided first", step)
        return None
    return doc
