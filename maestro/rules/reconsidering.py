"""A skipped event is judged again: a new delivery of it takes its place behind all that wait (flow 1).

It is stored as waiting in the very step that marks the old document, so no crash can lose it; when the system is
open it is judged at once.
"""

from maestro.events import celery_body, parse_event
from maestro.messages.answers import Code
from maestro.rules import approving, covering, facts, waiting
from maestro.rules.asking import conflict, found, refuse
from maestro.rules.delivery import Delivery
from maestro.rules.document import Document
from maestro.rules.identity import reconsidered
from maestro.rules.outbox import hand_on
from maestro.rules.rendering import wire_time
from maestro.rules.state import System
from maestro.rules.status import Status
from maestro.rules.step import SaveDocument, Step


def delivery_key(document_id: str) -> str:
    """Return what the new delivery of a skipped document's event is known by."""
    return reconsidered(document_id)


def delivery_body(doc: Document) -> bytes:
    """Return the message that the new delivery would have on its queue."""
    return celery_body("", doc.pending_event)


def _note(number: int) -> str:
    return f"reconsidered as event {number}"


def _already(doc: Document) -> str:
    note = _note(doc.reconsidered)
    by = next((f"by {one.user} at {wire_time(one.at)} UTC " for one in doc.history if one.cause == note), "")
    return f"reprocessing {doc.id} was already reconsidered {by}as event {doc.reconsidered}"


def on_reconsider_asked(system: System, fact: facts.ReconsiderAsked, step: Step) -> None:
    """Once only: what became of it is up to the new delivery."""
    doc = found(system, fact, step)
    if doc is None:
        return
    if doc.status is not Status.SKIPPED:
        conflict(fact, doc, step)
        return
    if doc.late:
        refuse(fact, Code.CONFLICT, f"reprocessing {doc.id} is late: it held no event", step)
        return
    if doc.reconsidered:
        refuse(fact, Code.CONFLICT, _already(doc), step)
        return
    if not approving.enough(system, doc, fact, step):
        return
    approving.spend(doc)
    key, event = delivery_key(doc.id), parse_event(doc.pending_event)
    delivery = Delivery(key, system.next_number, doc.held_instance, event.name, doc.branch, doc.tag, system.now)
    hand_on(system, doc, delivery)
    system.next_number += 1
    system.deliveries[delivery.key] = delivery
    doc.reconsidered = delivery.number
    doc.note(system.now, fact.user, _note(delivery.number), fact.reason)
    step.save(SaveDocument(doc))
    covering.withdraw(system, doc, step)  # else a skip that covers its tag would take it right away
    waiting.take_in_waiting(system, delivery, fact.ticket, step)
