"""Flow 1: the next event is judged, then committed, held, or failed. And the drain.

One event is judged at a time, in the order of their numbers (I2): first commits that were decided before a
restart, then the oldest waiting event, then the inbox.
"""

from maestro.events import MASTER
from maestro.messages.answers import Code
from maestro.rules import commands as do
from maestro.rules import (
    committing,
    facts,
    kept,
    not_finished,
    opening,
    outage,
    remembering,
    replaying,
    visibility,
    waiting,
)
from maestro.rules.delivery import Delivery, Verdict
from maestro.rules.doubt import Use
from maestro.rules.impact import relevant
from maestro.rules.outage import JUDGING, Ruling
from maestro.rules.outbox import drop_texts
from maestro.rules.settling import (
    COMMITTED,
    answer,
    fail_caller,
    finish,
    give_up,
)
from maestro.rules.state import JudgingStage, System
from maestro.rules.step import SaveDelivery, Step


def advance(system: System, step: Step) -> None:
    """Give the judging slot its next event, if it is free and the rules allow one to be judged."""
    outage.watch(system, step)
    if system.closing and system.judging_stage in (JudgingStage.LOOKS, JudgingStage.DOUBT):
        _put_back(system)
    blocked = system.blocked
    closed = blocked or system.held_up
    if blocked:
        _put_off(system, step)
    if closed:
        waiting.empty_inbox(system, step)
    if system.overflowing and (closed or not system.waiting):
        system.overflowing = False
    if closed and not system.closed:
        waiting.tell_who_asks(system, step)
    system.closed = closed
    if system.cases:
        pass  # a commit is in doubt, or cannot be begun: nothing else of the system is judged
    elif system.judged is not None and _may_ask_again(system, system.judged):
        _ask(system, system.judged, step)
    elif system.judged is None and not system.owed and not system.closing:
        _begin_next(system, step, blocked=blocked)
    waiting.feed_wait_queue(system, step)


def _put_back(system: System) -> None:
    """Nothing is decided of the event in hand, for the process is ending: the next life judges it, before others."""
    delivery = system.judged
    system.judged = system.judging_stage = None
    if delivery is not None and delivery.number not in system.waiting:
        system.inbox.appendleft(delivery)


def _begin_next(system: System, step: Step, *, blocked: bool) -> None:
    if not system.unfinished:
        if not blocked:
            _judge_next(system, step)
    elif not _comes_second(system, system.unfinished[0]):
        _take_up(system, system.unfinished.popleft(), step)


def _comes_second(system: System, delivery: Delivery) -> bool:
    """Whether a commit that is not begun waits for that of a run, which is: after a restart that one is in doubt."""
    return delivery.not_begun and any(committing.is_called(doc) for doc in system.live.values())


def _may_ask_again(system: System, delivery: Delivery) -> bool:
    """Whether what the question had to wait for is over."""
    if system.judging_stage is JudgingStage.LOOKS:
        return not _must_wait(system, delivery)
    return system.judging_stage is JudgingStage.DOUBT


def _put_off(system: System, step: Step) -> None:
    """A reprocessing was retried while an event is judged: nothing is decided, so it waits, before all others."""
    delivery = system.judged
    if delivery is None or system.judging_stage is JudgingStage.COMMIT:
        return
    waiting.park_judged(system, step)
    outage.over(system, JUDGING)
    system.judged = system.judging_stage = None


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
    if system.closing:
        _put_back(system)
        return
    if system.cases:  # of a run without lock
        _occupy(system, delivery, JudgingStage.DOUBT)
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
    if system.cases:  # since it was asked: nothing is decided meanwhile
        outage.over(system, JUDGING)
        _ask(system, delivery, step)
        return
    delivery.failures = fact.failures
    delivery.footprint = fact.footprint
    units = relevant(fact.units, own_instance=delivery.instance_id, on_master=delivery.branch == MASTER)
    units = remembering.judged(system, delivery, units, step)
    if units:
        outage.answered(system, JUDGING)
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
    committing.begin(system, delivery, step)
    step.do(do.Commit(system.judging_token, delivery.instance_id, again))


def _take_up(system: System, delivery: Delivery, step: Step) -> None:
    """Go on with a commit that was decided in a former life: if its call may have begun, it is in doubt."""
    if delivery.not_begun:
        delivery.not_begun = False
        step.save(SaveDelivery(delivery))
        order_commit(system, delivery, step, again=True)
        return
    _occupy(system, delivery, JudgingStage.COMMIT)
    if delivery.stored and not delivery.repeated:
        commit_made(system, delivery, 0.0, step)
        advance(system, step)
    else:
        committing.resume(system, Use.EVENT, delivery.key, delivery.instance_id, step)


def on_origins_fetched(system: System, delivery: Delivery, fact: facts.OriginsFetched, step: Step) -> None:
    """Hold the event's commit in a new document, unless all that is named is not finished."""
    outage.over(system, JUDGING)
    if system.cases or delivery.failures != fact.failures:  # or Discovery may not have named all: it is asked again
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
    if trouble is None or system.judged is None or system.judging_stage is not JudgingStage.TROUBLE:
        return
    ruling = outage.rule(system, fact, step)
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
    elif delivery is None or system.judging_stage is JudgingStage.COMMIT:
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
        fail_caller(system, delivery, cause, step)
    else:
        give_up(system, delivery, cause, step)
