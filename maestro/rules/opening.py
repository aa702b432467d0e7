"""Flow 1, the held side: a document is opened for an event whose data would change finished results."""

from maestro.messages.decisions import UNLIMITED, Budget
from maestro.rules import commands as do
from maestro.rules import covering, demanding, facts, leaving_out
from maestro.rules.delivery import Delivery
from maestro.rules.document import MAESTRO, OPEN_BRANCH, PLATFORM, Document, HistoryEntry
from maestro.rules.impact import Impacted, Origin, replay_order
from maestro.rules.outbox import drop_texts, hand_on, tell_status
from maestro.rules.policies import Effect
from maestro.rules.state import System
from maestro.rules.status import Status, Trigger
from maestro.rules.step import SaveDocument, SaveUnit, Step

#: Instance statuses told to API core. They inform, they decide nothing.
STATUS_PENDING = "reprocessing_pending_approval"
STATUS_SKIPPED = "reprocessing_skipped"


def open_document(
    system: System,
    delivery: Delivery,
    fact: facts.OriginsFetched,
    origins: tuple[Origin, ...],
    not_finished: tuple[Impacted, ...],
    step: Step,
) -> Document:
    """Hold the event's commit in a document, its units in the order of replay; decide it if a rule does."""
    doc = Document(
        id=fact.document_id,
        system_id=system.id,
        number=delivery.number,
        tag=delivery.tag,
        branch=delivery.branch,
        forking=fact.is_fork,
        held_instance=delivery.instance_id,
        pending_event=fact.pending_event,
        origin=fact.origin,
        not_finished=not_finished,
        rows=fact.rows,
        history=[HistoryEntry(Status.PENDING, system.now, MAESTRO)],
    )
    hand_on(system, delivery, doc)
    units = doc.add(replay_order(origins))
    system.add_document(doc)
    step.save(SaveDocument(doc), *(SaveUnit(doc, unit) for unit in units))
    if fact.is_fork:  # wins over auto-approval and all policies
        approve(system, doc, OPEN_BRANCH, step)
        return doc
    given = (Effect.APPROVE,) if system.rules.auto_approve else ()
    verdict = demanding.when_held(system, doc, *given)
    if verdict.approval is Effect.APPROVE:
        approve(system, doc, PLATFORM, step, cause=demanding.approved_by(doc.demand), budget=verdict.budget)
    else:
        tell_status(system, doc.held_instance, STATUS_PENDING, step)
        covering.offer(system, doc, step)
    return doc


def approve(
    system: System,
    doc: Document,
    user: str,
    step: Step,
    trigger: Trigger = Trigger.APPROVE,
    *,
    cause: str = "",
    reason: str = "",
    budget: Budget = UNLIMITED,
) -> None:
    """Put a document in line. Raises `IllegalTransition`."""
    drop_texts(system, doc.held_instance, doc, step)
    doc.move(trigger, system.now, user, cause, reason)
    if trigger is Trigger.APPROVE:
        leaving_out.left_by_approval(system, doc, user, step)
    else:
        leaving_out.try_again(doc, step)
    doc.grant(budget)
    doc.line = system.next_line
    system.next_line += 1
    system.file(doc)
    step.save(SaveDocument(doc))
    step.do(do.Enqueue(doc.id))
