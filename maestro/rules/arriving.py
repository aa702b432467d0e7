"""Flow 1, its beginning: a persist event arrives, and is new, known, somebody else's, or a replay's result.

A new event gets the next number of its system (I2) and a place: the inbox, the wait queue, its reprocessing, or the
error queue. A known one goes on where its stored verdict left it.
"""

from typing import Final

from msgspec.structs import replace

from maestro.messages.answers import Code
from maestro.rules import commands as do
from maestro.rules import (
    committing,
    concluding,
    crowding,
    facts,
    identity,
    recognising,
    replaying,
    waiting,
)
from maestro.rules.delivery import Delivery, Verdict
from maestro.rules.doubt import IN_DOUBT
from maestro.rules.settling import (
    answer,
    answer_decided,
    dead_letter,
    embody,
    make_way,
    mark_parked,
    park,
    reject,
    settle,
)
from maestro.rules.state import System
from maestro.rules.step import SaveDelivery, Step

#: Why an event that was adopted is on its error queue.
ADOPTED: Final = f"{IN_DOUBT}the Maestro that owned this event before may have made its commit"


def on_arrived(system: System, fact: facts.EventArrived, step: Step) -> None:
    """Admit a new event, or continue the stored verdict of a known one."""
    system.last_arrived = None
    known = recognising.known(system, fact)
    usurped = known is not None and recognising.is_another(known, fact)
    if usurped and fact.ticket is not None:  # by its `Idempotency-Key`
        step.do(do.Reply(fact.ticket, Code.CONFLICT, recognising.USED))
        return
    fact, known = _by_another_id(system, fact, known, usurped=usurped)
    refs: tuple[int, ...] = ()
    if known is not None and known.doubt and known.verdict is Verdict.ERROR and _is_new_delivery(known, fact):
        system.last_arrived = known
        if not _resolved_as_repeatable(system, known, step):
            _meet_doubt(known, fact, step)
            return
    if known is not None and _is_new_delivery(known, fact):
        refs = make_way(system, known, step)
    elif known is not None:
        system.last_arrived = known
        _continue_known(system, known, fact, step)
        _hurry(system, known, fact, step)
        return
    delivery = system.last_arrived = _admit(system, fact, refs)
    recognising.watch_for_storms(system, fact, step)
    if usurped:
        reject(system, delivery, recognising.USED, step)
    elif fact.foreign:  # as after a lost store: its former owner may have made its commit
        committing.leave_in_doubt(system, delivery, ADOPTED.removeprefix(IN_DOUBT), step)
        reject(system, delivery, ADOPTED, step)
    else:
        _receive(system, delivery, fact, step)
    if delivery.key not in system.deliveries:  # a bad request: nothing is left of it
        system.last_arrived = None
    _hurry(system, delivery, fact, step)


def _by_another_id(
    system: System, fact: facts.EventArrived, known: Delivery | None, *, usurped: bool
) -> tuple[facts.EventArrived, Delivery | None]:
    """Return an event that comes with another's id under an id of its own, and the delivery that this makes it."""
    # One that is delivered again: its id was another's when it came first; that one may be forgotten since.
    if not usurped and (known is not None or not fact.redelivered or not fact.key):
        return fact, known
    another = identity.other(fact.key, fact.instance_id, recognising.reprocessing_of(fact))
    known = system.deliveries.get(another)
    return replace(fact, key=another) if usurped or known is not None else fact, known


def _receive(system: System, delivery: Delivery, fact: facts.EventArrived, step: Step) -> None:
    """Have a new event judged, wait, or answered for as a replay's result."""
    if fact.replay is not None:
        replaying.on_result(system, delivery, fact.replay, step)
    elif fact.from_wait_queue:  # an unknown one: the store was lost
        waiting.empty_inbox(system, step)  # they have smaller numbers
        mark_parked(system, delivery, step)
        waiting.line_up(system, delivery, step)
    elif not system.open or system.waiting:
        waiting.empty_inbox(system, step)  # a stall closes the system by itself, as time goes by
        waiting.wait(system, delivery, step)
    else:
        system.inbox.append(delivery)
        if crowding.crowded(system):
            system.overflowing = True
            waiting.empty_inbox(system, step)


def _hurry(system: System, delivery: Delivery, fact: facts.EventArrived, step: Step) -> None:
    """Answer a caller who waits no longer, unless it was answered already."""
    if fact.impatient and fact.ticket in delivery.tickets:
        waiting.tell_impatient(system, delivery, step)


def _resolved_as_repeatable(system: System, known: Delivery, step: Step) -> bool:
    """Resolve the event's commit in doubt where the domain takes any commit again; return whether that was done."""
    doubt = system.doubts.get(known.doubt)
    if doubt is None or not doubt.open or not system.rules.commit_repeatable:
        return False
    concluding.make_again(system, doubt, step)
    return True


def _meet_doubt(known: Delivery, fact: facts.EventArrived, step: Step) -> None:
    """While its commit is in doubt an event goes back to its error queue, with its mark (semantics: The commit)."""
    if fact.ticket is not None:
        step.do(do.Reply(fact.ticket, Code.CONFLICT, known.reason))
        return
    if fact.ref is not None:
        known.refs.append(fact.ref)
    under_way = not known.done and not known.bodiless
    known.done = known.bodiless = False
    step.save(SaveDelivery(known))
    if not under_way:  # else its confirm, which takes the event's body away, orders this one (`settling`)
        dead_letter(known, step)


def _is_new_delivery(known: Delivery, fact: facts.EventArrived) -> bool:
    """A redrive from an error queue is a new delivery; a redelivery, or its copy on the wait queue, is not.

    It comes from there, so it was there, though that may not be confirmed yet. A caller has the event, and asks again.
    """
    if known.verdict is not Verdict.ERROR:
        return False
    again = fact.redriven or (known.bodiless and fact.ticket is not None)
    return again or (known.done and not (fact.redelivered or fact.from_wait_queue))


def _admit(system: System, fact: facts.EventArrived, refs: tuple[int, ...]) -> Delivery:
    delivery = Delivery(
        fact.key or identity.numbered(fact.fingerprint, system.next_number),
        system.next_number,
        fact.instance_id,
        fact.name,
        fact.branch,
        fact.tag,
        system.now,
        refs=list(refs),
        has_caller=fact.ticket is not None,
        redriven=fact.redriven,
        reprocessing=recognising.reprocessing_of(fact),
    )
    system.next_number += 1
    system.deliveries[delivery.key] = delivery
    if mark := fact.fingerprint or identity.fingerprint_of(delivery.key):
        system.fingerprints[mark] = delivery.key
    _attach(delivery, fact)
    return delivery


def _attach(delivery: Delivery, fact: facts.EventArrived) -> None:
    if fact.ref is not None:
        delivery.refs.append(fact.ref)
    if fact.ticket is not None:
        delivery.tickets.append(fact.ticket)
        delivery.calls.append(fact.call)


def _continue_known(system: System, known: Delivery, fact: facts.EventArrived, step: Step) -> None:
    system.counters.duplicate += 1
    if known.verdict is Verdict.WAITING and not fact.from_wait_queue:
        _meet_again(system, known, fact, step)
        return
    _attach(known, fact)
    if fact.from_wait_queue:  # until the wait queue is drained: its ack may come to nothing
        mark_parked(system, known, step)
    embody(system, known, step)
    if known.done or known.replay:
        settle(known, step)
    if known.replay and not known.done:
        _refuse_if_at_rest(system, known, step)
    if known.done or known.verdict is Verdict.ERROR:  # on its way to the error queue: settled once it is there
        answer_decided(system, known, step)


def _refuse_if_at_rest(system: System, result: Delivery, step: Step) -> None:
    """Answer the caller of a result that is kept: nothing becomes of it before its reprocessing is retried."""
    doc = system.documents.get(result.reprocessing)
    if doc is None or not doc.running:
        id_ = result.reprocessing
        said = f"reprocessing {id_} is not known" if doc is None else f"reprocessing {id_} is {doc.status}"
        answer(result, step, Code.FAILED, message=said)


def _meet_again(system: System, known: Delivery, fact: facts.EventArrived, step: Step) -> None:
    """A waiting event comes by the persist queue or its caller again: its copy on the wait queue stays."""
    if fact.ref is not None:
        refs = (fact.ref,)
        step.do(do.AckDelivery(fact.ref) if known.parked else do.ParkEvent(known.key, refs))
    if fact.ticket is not None:
        known.tickets.append(fact.ticket)
        known.calls.append(fact.call)
        if not system.open:
            waiting.tell_position(system, known, step)


def on_ingress_attached(system: System, _fact: facts.IngressAttached, step: Step) -> None:
    """All earlier references are void; what ingress had still to do is asked of the new one."""
    system.feeding = False
    system.wait_queue_unknown = True
    crowding.ingress_attached(system, step)
    for delivery in system.deliveries.values():
        delivery.refs.clear()
        if delivery.done:
            continue
        if delivery.verdict is Verdict.WAITING and not delivery.parked:
            park(delivery, step)
        elif delivery.verdict is Verdict.ERROR:
            dead_letter(delivery, step)
