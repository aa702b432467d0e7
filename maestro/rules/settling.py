"""How a delivery's verdict is carried to its end: settled at the broker, answered to its caller, remembered."""

from itertools import islice

from maestro.messages.answers import Code
from maestro.rules import commands as do
from maestro.rules import facts, not_finished
from maestro.rules.delivery import Delivery, Verdict
from maestro.rules.identity import fingerprint_of
from maestro.rules.outbox import add_outbox_message
from maestro.rules.state import OutboxKind, System
from maestro.rules.step import ForgetDelivery, SaveCommits, SaveDelivery, Step

#: Forgotten commits whose outcomes may still come.
OUTCOMES_AWAITED = 10_000
COMMITTED: do.Fields = (("status", "commited"),)  # spelled as the platform's SDK reads it


def finish(system: System, delivery: Delivery, step: Step) -> None:
    """The verdict is carried out: settle, and remember the event for as long as a redelivery may come."""
    delivery.done, delivery.done_at = True, system.now
    step.save(SaveDelivery(delivery))
    settle(delivery, step)
    if delivery.doubt:
        return  # it is remembered for as long as the doubt is: its copy on the error queue may come back at any time
    system.finished.append(delivery.key)
    forget_oldest(system, step)


def forget_oldest(system: System, step: Step) -> None:
    """Forget the oldest done events beyond the window.

    None whose copy is, or may be, on the wait queue: it would come back as an unknown event.
    """
    indebted = 0
    while len(system.finished) > system.rules.dedup_window + indebted and not system.wait_queue_unknown:
        oldest = system.deliveries[system.finished[0]]
        if oldest.parked:
            return  # its copy on the wait queue would come back as an unknown event
        if oldest.sight:  # what it owes would be forgotten: others leave in its place
            system.finished.rotate(-1)
            indebted += 1
            continue
        system.finished.popleft()
        forget_commit(system, oldest, step)


def forget_commit(system: System, oldest: Delivery, step: Step) -> None:
    """Forget a done event, which was committed perhaps, and note that not every commit is remembered."""
    forget(system, oldest, step)
    _remember_instance(system, oldest)
    if oldest.admitted_at > system.remembers_from:
        _remember_less(system, oldest.admitted_at, step)


def _remember_instance(system: System, forgotten: Delivery) -> None:
    """Its outcome may come late: it is not to be taken for that of a further commit of the instance."""
    if forgotten.verdict is Verdict.COMMIT:
        system.forgotten.pop(forgotten.instance_id, None)
        system.forgotten[forgotten.instance_id] = None
        if len(system.forgotten) > OUTCOMES_AWAITED:
            del system.forgotten[next(iter(system.forgotten))]


def _remember_less(system: System, since: float, step: Step) -> None:
    """Note since when each commit is remembered. For some of the next that will be forgotten, too: once for many."""
    ahead = islice(system.finished, max(1, system.rules.dedup_window // 8))
    system.remembers_from = max([since, *(system.deliveries[key].admitted_at for key in ahead)])
    step.save(SaveCommits(system.longest_commit, system.remembers_from))


def reject(system: System, delivery: Delivery, reason: str, step: Step) -> None:
    """Give the verdict `error`: to the error queue, and tell a caller."""
    delivery.verdict, delivery.reason = Verdict.ERROR, reason
    system.failed(delivery.instance_id, reason, system.now)
    not_finished.ended(system, delivery.instance_id, step)
    step.save(SaveDelivery(delivery))
    dead_letter(delivery, step)
    answer(delivery, step, Code.FAILED, message=reason)


def fail_caller(system: System, delivery: Delivery, reason: str, step: Step) -> None:
    """Give the verdict `error` to a sync persist: its caller is told, and has the event; it goes to no error queue."""
    delivery.verdict, delivery.reason = Verdict.ERROR, reason
    system.failed(delivery.instance_id, reason, system.now)
    not_finished.ended(system, delivery.instance_id, step)
    finish(system, delivery, step)
    answer(delivery, step, Code.FAILED, message=reason)


def dead_letter(delivery: Delivery, step: Step) -> None:
    """Order the event onto its error queue, once there is one to put there; that settles it."""
    if delivery.bodiless:
        return
    order = do.DeadLetterEvent(delivery.key, delivery.number, delivery.reason, take_refs(delivery), delivery.doubt)
    step.do(order)


def give_up(system: System, delivery: Delivery, cause: str, step: Step) -> None:
    """Judging or committing failed for good: to the error queue, and tell a caller and the platform."""
    reject(system, delivery, cause, step)
    _report(system, delivery, step)


def embody(system: System, delivery: Delivery, step: Step) -> None:
    """The event is delivered again, with its body: one that was given up meanwhile can go to its error queue now."""
    if not delivery.bodiless:
        return
    delivery.bodiless = False
    if delivery.verdict is Verdict.ERROR:
        step.save(SaveDelivery(delivery))
        dead_letter(delivery, step)
        _report(system, delivery, step)


def _report(system: System, delivery: Delivery, step: Step) -> None:
    if not delivery.bodiless:
        add_outbox_message(system, OutboxKind.ERROR_EVENT, delivery.instance_id, delivery.reason, step, delivery.number)


def on_dead_lettered(system: System, fact: facts.DeadLettered, step: Step) -> None:
    """The event is on its error queue: done. A confirm of the delivery before a redrive says nothing of the new one."""
    delivery = system.deliveries.get(fact.key)
    if delivery is None or delivery.number != fact.number:
        return
    if delivery.verdict is not Verdict.ERROR or delivery.done:
        return
    if delivery.doubt and delivery.refs:  # redriven before this confirm: it goes back once more
        dead_letter(delivery, step)
    else:
        finish(system, delivery, step)


def park(delivery: Delivery, step: Step) -> None:
    """Order the event onto the wait queue; that settles it."""
    step.do(do.ParkEvent(delivery.key, take_refs(delivery)))


def settle(delivery: Delivery, step: Step) -> None:
    """Acknowledge every delivery of the event."""
    for ref in take_refs(delivery):
        step.do(do.AckDelivery(ref))


def take_refs(delivery: Delivery) -> tuple[int, ...]:
    """Take the references off the event: the command that carries them settles them."""
    refs = tuple(delivery.refs)
    delivery.refs.clear()
    return refs


def forget(system: System, delivery: Delivery, step: Step) -> None:
    """Remove all trace of a delivery."""
    unpark(system, delivery, step)
    del system.deliveries[delivery.key]
    if system.fingerprints.get(fingerprint_of(delivery.key)) == delivery.key:
        del system.fingerprints[fingerprint_of(delivery.key)]
    step.save(ForgetDelivery(delivery.number))


def make_way(system: System, delivery: Delivery, step: Step) -> tuple[int, ...]:
    """Forget a delivery whose event is delivered again. Return its references: the new delivery settles them."""
    if delivery.done and not delivery.doubt:
        system.finished.remove(delivery.key)  # else the new delivery would be forgotten in its place
    if delivery.parked:
        system.wait_queue_unknown = True  # its copy is still to come off it
    forget(system, delivery, step)
    return take_refs(delivery)


def mark_parked(system: System, delivery: Delivery, step: Step) -> None:
    """A copy of the event is on the wait queue: it must come off it before the event may be forgotten."""
    if not delivery.parked:
        delivery.parked = True
        system.parked += 1
        step.save_decided(delivery)


def unpark(system: System, delivery: Delivery, step: Step) -> None:
    """No copy of the event is on the wait queue any more."""
    if delivery.parked:
        delivery.parked = False
        system.parked -= 1
        step.save_decided(delivery)


def answer(
    delivery: Delivery, step: Step, code: Code, *, message: str = "", document_id: str = "", fields: do.Fields = ()
) -> None:
    """Answer the callers that wait for the event's sync persist."""
    delivery.heard = delivery.heard or (bool(delivery.tickets) and code is not Code.ACCEPTED)
    for ticket in delivery.tickets:
        step.do(do.Reply(ticket, code, message, document_id, fields))
    delivery.tickets.clear()


def answer_decided(system: System, delivery: Delivery, step: Step) -> None:
    """Answer a sync persist of an event that was decided before."""
    if not delivery.tickets:
        return
    if delivery.verdict is Verdict.COMMIT:
        answer(delivery, step, Code.OK, fields=COMMITTED)
    elif delivery.verdict is Verdict.PENDING:
        held = [doc for doc in system.documents.values() if doc.held_instance == delivery.instance_id]
        own = [doc for doc in held if doc.number == delivery.number] or held[-1:]
        answer(delivery, step, Code.OK, document_id=own[0].id if own else "")
    else:
        answer(delivery, step, Code.FAILED, message=delivery.reason)
