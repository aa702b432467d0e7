"""Flow 1: a persist event arrives, waits or is judged, is committed, held, or fails. And the drain.

One event is judged at a time, in the order of their numbers (I2): first commits that were decided before a
restart, then the oldest waiting event, then the inbox.
"""

from typing import Final

from msgspec.structs import replace

from maestro.events import MASTER
from maestro.messages import Code
from maestro.rules import commands as do
from maestro.rules import (
    committing,
    crowding,
    facts,
    identity,
    kept,
    not_finished,
    opening,
    outage,
    recognising,
    remembering,
    replaying,
    visibility,
)
from maestro.rules.delivery import Delivery, Verdict
from maestro.rules.doubt import IN_DOUBT, Use
from maestro.rules.impact import relevant
from maestro.rules.outage import JUDGING, Ruling
from maestro.rules.outbox import drop_texts
from maestro.rules.settling import (
    COMMITTED,
    answer,
    answer_decided,
    dead_letter,
    embody,
    finish,
    forget_oldest,
    give_up,
    make_way,
    mark_parked,
    park,
    reject,
    settle,
    unpark,
)
from maestro.rules.state import JudgingStage, System
from maestro.rules.step import SaveDelivery, Step

#: Why an event that was adopted is on its error queue.
ADOPTED: Final = f"{IN_DOUBT}the Maestro that owned this event before may have made its commit"


# --- arrival -------------------------------------------------------------------------------------------------


def on_arrived(system: System, fact: facts.EventArrived, step: Step) -> None:
    """Admit a new event, or continue the stored verdict of a known one."""
    system.last_arrived = None
    known = recognising.known(system, fact)
    usurped = known is not None and recognising.is_another(known, fact)
    if usurped and fact.ticket is not None:  # by its `Idempotency-Key`
        step.do(do.Reply(fact.ticket, Code.CONFLICT, recognising.USED))
        return
    if usurped:
        fact = replace(fact, key=identity.other(fact.key, fact.instance_id, recognising.reprocessing_of(fact)))
        known = system.deliveries.get(fact.key)
    refs: tuple[int, ...] = ()
    if known is not None and known.doubt and known.verdict is Verdict.ERROR and _is_new_delivery(known, fact):
        system.last_arrived = known
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


def _receive(system: System, delivery: Delivery, fact: facts.EventArrived, step: Step) -> None:
    """Have a new event judged, wait, or answered for as a replay's result."""
    if fact.replay is not None:
        replaying.on_result(system, delivery, fact.replay, step)
    elif fact.from_wait_queue:  # an unknown one: the store was lost
        _empty_inbox(system, step)  # they have smaller numbers
        mark_parked(system, delivery, step)
        _line_up(system, delivery, step)
    elif not system.open or system.waiting:
        _empty_inbox(system, step)  # a stall closes the system by itself, as time goes by
        _wait(system, delivery, step)
    else:
        system.inbox.append(delivery)
        if crowding.crowded(system):
            system.overflowing = True
            _empty_inbox(system, step)


def _hurry(system: System, delivery: Delivery, fact: facts.EventArrived, step: Step) -> None:
    """Answer a caller who waits no longer, unless it was answered already."""
    if fact.impatient and fact.ticket in delivery.tickets:
        _answer_waiting(system, delivery, step)


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
    if fact.fingerprint:
        system.fingerprints[fact.fingerprint] = delivery.key
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
        status = f"is {doc.status}" if doc is not None else "is not known"
        answer(result, step, Code.FAILED, message=f"reprocessing {result.reprocessing} {status}")


def _meet_again(system: System, known: Delivery, fact: facts.EventArrived, step: Step) -> None:
    """A waiting event comes by the persist queue or its caller again: its copy on the wait queue stays."""
    if fact.ref is not None:
        refs = (fact.ref,)
        step.do(do.AckDelivery(fact.ref) if known.parked else do.ParkEvent(known.key, refs))
    if fact.ticket is not None:
        known.tickets.append(fact.ticket)
        known.calls.append(fact.call)
        if not system.open:
            _answer_waiting(system, known, step)


# --- waiting -------------------------------------------------------------------------------------------------


def _wait(system: System, delivery: Delivery, step: Step) -> None:
    """The event goes to the wait queue, behind those already there."""
    _line_up(system, delivery, step)
    park(delivery, step)
    if not system.open:
        _answer_waiting(system, delivery, step)


def _line_up(system: System, delivery: Delivery, step: Step) -> None:
    delivery.verdict = Verdict.WAITING
    delivery.waited = True
    system.waiting[delivery.number] = delivery
    system.counters.waiting += 1
    step.save(SaveDelivery(delivery))


def take_in_waiting(system: System, delivery: Delivery, ticket: int, step: Step) -> None:
    """Let an event that no queue holds wait behind all others; `ticket` is answered with what becomes of it."""
    opened = system.open
    _empty_inbox(system, step)  # they have smaller numbers
    if not opened:
        delivery.tickets.append(ticket)
    _wait(system, delivery, step)
    if opened:
        delivery.tickets.append(ticket)


def _answer_waiting(system: System, delivery: Delivery, step: Step) -> None:
    if delivery.tickets:
        ahead = sum(1 for number in system.waiting if number < delivery.number)
        position = 1 + ahead + sum(1 for other in system.inbox if other.number < delivery.number)
        answer(delivery, step, Code.ACCEPTED, fields=(("status", "waiting"), ("position", position)))


def on_parked(system: System, fact: facts.Parked, step: Step) -> None:
    """A copy of the event is on the wait queue, confirmed."""
    delivery = system.deliveries.get(fact.key)
    if delivery is not None:
        mark_parked(system, delivery, step)


def on_wait_queue_drained(system: System, _fact: facts.WaitQueueDrained, step: Step) -> None:
    """Nothing is left on the wait queue: what was decided has left it, what waits still is in the store."""
    system.wait_queue_unknown = False
    for delivery in system.deliveries.values():
        unpark(system, delivery, step)
    forget_oldest(system, step)


def feed_wait_queue(system: System, step: Step) -> None:
    """Have the wait queue consumed while events may leave it.

    A copy that is handed back too often is dropped by a quorum queue, so a decision that comes soon hands back none:
    those that ingress holds when the system becomes blocked, or is stalled for long, are kept for less than RabbitMQ's
    consumer time-out.
    """
    wanted = system.parked > 0 or system.wait_queue_unknown
    if wanted and (system.blocked or system.held_up):
        wanted = _may_hold_copies(system, step)
    else:
        system.held_since = 0.0
    if wanted != system.feeding:
        system.feeding = wanted
        step.do(do.FeedWaitQueue(wanted))
        for delivery in system.waiting.values():
            delivery.refs.clear()  # ingress gives them back


def _may_hold_copies(system: System, step: Step) -> bool:
    """Whether the consumer is kept for the sake of copies that ingress holds: without any, nothing is handed back."""
    if not system.feeding or not any(delivery.refs for delivery in system.waiting.values()):
        return False
    if not system.held_since:
        system.held_since = system.now
        step.do(do.WakeAt(do.Topic.GIVE_BACK_COPIES, "", system.now + system.rules.hold_copies))
    return system.now < system.held_since + system.rules.hold_copies


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


# --- judging -------------------------------------------------------------------------------------------------


def advance(system: System, step: Step) -> None:
    """Give the judging slot its next event, if it is free and the rules allow one to be judged."""
    outage.watch(system, step)
    blocked = system.blocked
    if blocked:
        _put_off(system, step)
        _empty_inbox(system, step)
    elif system.held_up:
        _park_judged(system, step)
        _empty_inbox(system, step)
    if system.overflowing and (blocked or system.held_up or not system.waiting):
        system.overflowing = False
        for delivery in system.waiting.values():
            _answer_waiting(system, delivery, step)
    if system.cases:
        pass  # a commit is in doubt, or cannot be begun: nothing else of the system is judged
    elif (
        system.judging_stage is JudgingStage.LOOKS
        and system.judged is not None
        and not _must_wait(system, system.judged)
    ):
        _ask(system, system.judged, step)
    elif system.judged is None and not system.owed and not system.closing:
        if system.unfinished:
            _take_up(system, system.unfinished.popleft(), step)
        elif not blocked:
            _judge_next(system, step)
    feed_wait_queue(system, step)


def _put_off(system: System, step: Step) -> None:
    """A reprocessing was retried while an event is judged: nothing is decided, so it waits, before all others."""
    delivery = system.judged
    if delivery is None or system.judging_stage is JudgingStage.COMMIT:
        return
    _park_judged(system, step)
    outage.over(system, JUDGING)
    system.judged = system.judging_stage = None


def _park_judged(system: System, step: Step) -> None:
    """Have the event being judged wait, before all others: the broker's consumer time-out is not reached."""
    delivery = system.judged
    if (
        delivery is not None
        and system.judging_stage is not JudgingStage.COMMIT
        and delivery.number not in system.waiting
    ):
        _wait(system, delivery, step)
        system.waiting.move_to_end(delivery.number, last=False)


def _empty_inbox(system: System, step: Step) -> None:
    while system.inbox:
        _wait(system, system.inbox.popleft(), step)


def _judge_next(system: System, step: Step) -> None:
    if replaying.waits_to_ask(system):
        return
    if system.waiting:
        delivery = next(iter(system.waiting.values()))
    elif system.inbox:
        delivery = system.inbox[0]
    else:
        return
    if _must_wait(system, delivery) and not (visibility.takes_longer(system) or remembering.takes_longer(system, step)):
        return
    if not system.waiting:
        system.inbox.popleft()
    _ask(system, delivery, step)


def _ask(system: System, delivery: Delivery, step: Step) -> None:
    if system.closing:  # nothing is decided: the next life judges it
        system.judged = system.judging_stage = None
        return
    if _must_wait(system, delivery):
        _occupy(system, delivery, JudgingStage.LOOKS)
        step.do(do.AskFootprint(system.judging_token, delivery.instance_id))
        return
    _occupy(system, delivery, JudgingStage.IMPACT)
    step.do(do.AskImpact(system.judging_token, delivery.instance_id))


def _must_wait(system: System, delivery: Delivery) -> bool:
    """Whether it cannot be asked yet whom the event impacts: a commit must become visible, or is not in the ledger.

    One that changes and destroys no row that is there impacts nobody whom these could show (semantics: Visible).
    """
    return (visibility.awaits_look(system) or not remembering.settled(system)) and not delivery.harmless


def on_footprint_found(_system: System, delivery: Delivery, fact: facts.FootprintFound, _step: Step) -> None:
    """An event that changes and destroys no row impacts nobody whom a look could show: it waits for none."""
    if fact.footprint is not None:
        delivery.harmless = not fact.footprint.changed


def _occupy(system: System, delivery: Delivery, stage: JudgingStage) -> None:
    system.judged, system.judging_stage, system.judging_token = delivery, stage, system.token()


def _release(system: System, delivery: Delivery) -> None:
    system.waiting.pop(delivery.number, None)
    system.judged = system.judging_stage = None


def on_impact_found(system: System, delivery: Delivery, fact: facts.ImpactFound, step: Step) -> None:
    """None impacted: commit. Some: gather what a document needs."""
    delivery.failures = fact.failures
    delivery.footprint = fact.footprint
    units = relevant(fact.units, own_instance=delivery.instance_id, on_master=delivery.branch == MASTER)
    units = remembering.judged(system, delivery, units, step)
    if units:
        _occupy(system, delivery, JudgingStage.ORIGINS)
        step.do(do.FetchOrigins(system.judging_token, delivery.key, delivery.instance_id, units))
        return
    _decide_commit(system, delivery, step)


def _decide_commit(system: System, delivery: Delivery, step: Step) -> None:
    outage.over(system, JUDGING)
    system.waiting.pop(delivery.number, None)
    delivery.verdict = Verdict.COMMIT
    drop_texts(system, delivery.instance_id, delivery, step)
    step.save(SaveDelivery(delivery))
    order_commit(system, delivery, step)


def order_commit(system: System, delivery: Delivery, step: Step, *, again: bool = False) -> None:
    """Call Domain: the verdict is stored before that."""
    _occupy(system, delivery, JudgingStage.COMMIT)
    step.do(do.Commit(system.judging_token, delivery.instance_id, again))


def _take_up(system: System, delivery: Delivery, step: Step) -> None:
    """Go on with a commit that was decided in a former life: if its call may have begun, it is in doubt."""
    if delivery.not_begun:
        delivery.not_begun = False
        step.save(SaveDelivery(delivery))
        order_commit(system, delivery, step, again=True)
        return
    _occupy(system, delivery, JudgingStage.COMMIT)
    if delivery.stored:
        commit_made(system, delivery, 0.0, step)
        advance(system, step)
    else:
        committing.resume(system, Use.EVENT, delivery.key, delivery.instance_id, step)


def on_origins_fetched(system: System, delivery: Delivery, fact: facts.OriginsFetched, step: Step) -> None:
    """Hold the event's commit in a new document, unless all that is named is not finished."""
    outage.over(system, JUDGING)
    if delivery.failures != fact.failures:  # Discovery may not have named all: nothing is decided, so ask again
        _ask(system, delivery, step)
        return
    origins, early = not_finished.part(system, fact.origins)
    not_finished.note(system, early, delivery.instance_id, step)
    if not origins:
        _decide_commit(system, delivery, step)
        return
    _release(system, delivery)
    delivery.verdict = Verdict.PENDING
    system.counters.pending += 1
    doc = opening.open_document(system, delivery, fact, origins, early, step)
    finish(system, delivery, step)
    answer(delivery, step, Code.OK, document_id=doc.id)


def on_committed(system: System, delivery: Delivery, fact: facts.Committed, step: Step) -> None:
    """The event's data is in the domain."""
    commit_made(system, delivery, fact.took, step)


def commit_made(system: System, delivery: Delivery, took: float, step: Step) -> None:
    """Record that the event's data is in the domain: Domain said so, or it is proved."""
    _release(system, delivery)
    committing.made(system, Use.EVENT, delivery.key, took, step)
    system.counters.commit += 1
    visibility.owe(system, delivery, step)
    remembering.event_committed(system, delivery, step)
    kept.outdate(system, None, step)
    finish(system, delivery, step)
    answer(delivery, step, Code.OK, fields=COMMITTED)


def on_judging_failed(system: System, delivery: Delivery, fact: facts.JudgingFailed, step: Step) -> None:
    """Find out whose fault it is, unless it is certain."""
    if fact.sibling:
        system.judging_stage = JudgingStage.TROUBLE
        outage.suspect(system, JUDGING, fact.sibling, fact.cause, step)
    else:
        fail(system, delivery, fact.cause, step)


def on_canary_asked(system: System, fact: facts.CanaryAsked, step: Step) -> None:
    """Put the question again, now or later; or it is the event's own fault."""
    trouble = system.troubles.get(JUDGING)
    ruling = outage.rule(system, fact, step)
    if ruling is None or trouble is None or system.judged is None:
        return
    if ruling is Ruling.AGAIN:
        _ask(system, system.judged, step)
    elif ruling is Ruling.FAULT:
        fail(system, system.judged, trouble.cause, step)


def try_again(system: System, step: Step) -> None:
    """The sibling may be back: put the question again."""
    if system.judged is not None and system.judging_stage is JudgingStage.TROUBLE:
        _ask(system, system.judged, step)


def on_set_aside(system: System, fact: facts.SetAside, step: Step) -> None:
    """Put the event that a stalled system has in hand on its error queue."""
    delivery, stall = system.judged, system.stalled()
    if stall is None:
        step.do(do.Reply(fact.ticket, Code.CONFLICT, f"system {system.id} is not stalled"))
    elif system.rules.require_reason and not fact.reason:
        step.do(do.Reply(fact.ticket, Code.INVALID, "reason: is missing"))
    elif delivery is None or system.judging_stage in (JudgingStage.COMMIT, JudgingStage.LOOKS):
        # It is the commit of another event that holds it up.
        message = f"no event is in hand that could be set aside: {stall.sibling} is waited for ({stall.cause})"
        step.do(do.Reply(fact.ticket, Code.CONFLICT, message))
    else:
        why = f": {fact.reason}" if fact.reason else ""
        fail(system, delivery, f"set aside by {fact.user}{why} ({stall.cause})", step)
        fields: do.Fields = (("number", delivery.number), ("instanceId", delivery.instance_id))
        step.do(do.Reply(fact.ticket, Code.OK, fields=fields))


def fail(system: System, delivery: Delivery, cause: str, step: Step) -> None:
    """Fail closed: the event goes to its error queue; a caller of sync persist is told instead."""
    outage.over(system, JUDGING)
    _release(system, delivery)
    if delivery.has_caller and not delivery.waited and not delivery.refs:
        delivery.verdict, delivery.reason = Verdict.ERROR, cause
        system.failed(delivery.instance_id, cause, system.now)
        finish(system, delivery, step)
        answer(delivery, step, Code.FAILED, message=cause)
    else:
        give_up(system, delivery, cause, step)
