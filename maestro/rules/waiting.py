"""Flow 1, between arrival and judging: events that wait, their copies on the wait queue, and its feed.

What waits is numbered in the store; the copies on the wait queue mirror it. Nothing is taken off that queue while the
system is blocked.
"""

from maestro.messages.answers import Code
from maestro.rules import commands as do
from maestro.rules import facts
from maestro.rules.delivery import Delivery, Verdict
from maestro.rules.settling import (
    answer,
    forget_oldest,
    mark_parked,
    park,
    unpark,
)
from maestro.rules.state import JudgingStage, System
from maestro.rules.step import SaveDelivery, Step


def wait(system: System, delivery: Delivery, step: Step) -> None:
    """The event goes to the wait queue, behind those already there."""
    line_up(system, delivery, step)
    park(delivery, step)
    if not system.open:
        tell_position(system, delivery, step)


def line_up(system: System, delivery: Delivery, step: Step) -> None:
    """Give the event its place behind those that wait, without a copy of it on the wait queue."""
    delivery.verdict = Verdict.WAITING
    delivery.waited = True
    system.waiting[delivery.number] = delivery
    system.counters.waiting += 1
    step.save(SaveDelivery(delivery))


def take_in_waiting(system: System, delivery: Delivery, ticket: int, step: Step) -> None:
    """Let an event that no queue holds wait behind all others; `ticket` is answered with what becomes of it."""
    opened = system.open
    empty_inbox(system, step)  # they have smaller numbers
    if not opened:
        delivery.tickets.append(ticket)
    wait(system, delivery, step)
    if opened:
        delivery.tickets.append(ticket)


def park_judged(system: System, step: Step) -> None:
    """Have the event being judged wait, before all others: the broker's consumer time-out is not reached."""
    delivery = system.judged
    if delivery is None or system.judging_stage is JudgingStage.COMMIT or delivery.number in system.waiting:
        return
    wait(system, delivery, step)
    system.waiting.move_to_end(delivery.number, last=False)


def tell_who_asks(system: System, step: Step) -> None:
    """Tell those who ask for what waits its position, now that the system is blocked, or stalled for long."""
    for delivery in system.waiting.values():
        tell_position(system, delivery, step)


def tell_impatient(system: System, delivery: Delivery, step: Step) -> None:
    """Tell who asks that the event waits, and have it do so: it is stored, and given up it is on its error queue."""
    if delivery.verdict is None:
        empty_inbox(system, step)
    elif not delivery.waited and not delivery.done:
        delivery.waited = True
        step.save(SaveDelivery(delivery))
    tell_position(system, delivery, step)


def empty_inbox(system: System, step: Step) -> None:
    """Have all events wait that would have been judged next, and before them the one that is: else it may come last."""
    park_judged(system, step)
    while system.inbox:
        wait(system, system.inbox.popleft(), step)


def tell_position(system: System, delivery: Delivery, step: Step) -> None:
    """Answer the callers of a sync persist with the position of their event among those that wait."""
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
