"""Flow 3, the run: an approved reprocessing starts, commits what was held, and replays one unit after another.

`advance` reads off the document what comes next, so that a run continues after a crash exactly as it does
after an answer. A result may impact more: the document grows before the result is committed (`cascading`).
"""

from maestro.events import ReplayRef
from maestro.messages.answers import Code
from maestro.rules import commands as do
from maestro.rules import (
    committing,
    crowding,
    ending,
    facts,
    kept,
    late,
    leaving_out,
    outage,
    remembering,
    starting,
    troubled,
    visibility,
)
from maestro.rules.delivery import Delivery, Verdict
from maestro.rules.document import MAESTRO, Document, Stage
from maestro.rules.doubt import Use
from maestro.rules.outbox import drop_texts
from maestro.rules.settling import COMMITTED, answer, fail_caller, finish, forget, reject, settle
from maestro.rules.state import System
from maestro.rules.status import Status, Trigger
from maestro.rules.step import SaveDelivery, SaveDocument, SavePace, SaveUnit, Step
from maestro.rules.unit import Unit, UnitState, name_of

#: No send of theirs can be answered.
_NEVER_RAN = frozenset({Status.PENDING, Status.SKIPPED})

# --- what comes next -----------------------------------------------------------------------------------------


def advance(system: System, step: Step) -> None:
    """Order what comes next: the news owed of an end, then the running document's next step, else the next in line."""
    for ended in system.owed.values():
        ending.announce(system, ended, step)
        return
    for resting in system.live.values():
        if resting.stage is None and not resting.resting and ending.at_rest(system, resting):
            ending.end_resting(system, resting, step)
            return
    if any(one.stage is Stage.STARTING for one in system.live.values()):
        return  # it runs next: another one that goes on now would run beside it
    doc = system.next_in_line() or system.running()
    if doc is None or doc.stage is not None or doc.resting:
        return
    if _is_held_up(system, doc, step) or (doc.running and _commit_begun(system, doc, step)):
        return
    if doc.ending is not None:
        ending.clean_up(system, doc, step)
    elif doc.status is Status.APPROVED:
        _start(system, doc, step)
    else:
        _go_on(system, doc, step)


def _is_held_up(system: System, doc: Document, step: Step) -> bool:
    """Whether a commit is in doubt, or cannot be begun: nothing else of the system is committed. A cancel goes on.

    After a restart the run's own commit, if it is in doubt, comes before those that are not begun.
    """
    comes_first = committing.is_called(doc) and all(delivery.not_begun for delivery in system.unfinished)
    if not (system.cases or (system.unfinished and not comes_first)) or doc.ending is not None:
        return False
    if doc.cancelling and ending.may_end_at_once(doc):
        ending.end(system, doc, Trigger.CANCEL, "", doc.cancelling, step)
    return True


def _go_on(system: System, doc: Document, step: Step) -> None:
    """Order the next step of a run."""
    if doc.budget.minutes is not None and not doc.budget_since:  # a resumed run may have waited for another one
        doc.budget_since = system.now
        step.save(SaveDocument(doc))
    if starting.must_ask(doc):
        if _may_ask(system):
            starting.ask(system, doc, step)
        else:
            troubled.on_look_awaited(system, doc, step)
    elif not doc.queues_built:
        doc.await_answer(Stage.QUEUES, system.token())
        step.do(do.FillQueues(doc.id, doc.token))
    elif doc.current is not None:
        _continue_unit(system, doc, doc.current, step)
    elif doc.cancelling:
        ending.end(system, doc, Trigger.CANCEL, "", doc.cancelling, step)
    elif not doc.held_committed:
        order_held_commit(system, doc, step)
    elif not _pause(system, doc, step):
        _next_unit(system, doc, step)


def _may_ask(system: System) -> bool:
    """Whether the answer would count: all that is committed by then is visible, and in the ledger.

    Beside a run without lock an event may be being committed: it comes first, and no question can name it yet.
    """
    return remembering.settled(system) and not visibility.awaits_look(system) and not system.committing


def waits_to_ask(system: System) -> bool:
    """Whether a run waits until it may ask: further events would make it wait for ever, as some wait for no look."""
    doc = system.running() if system.live else None
    if doc is None or doc.stage is not None or doc.resting or doc.ending is not None:
        return False
    return starting.must_ask(doc) or (doc.current is not None and doc.current.state is UnitState.ASSESSING)


def _commit_begun(system: System, doc: Document, step: Step) -> bool:
    """Take up a commit that a former life called, before all else: it is in doubt, unless an outcome proves it."""
    unit = doc.current
    if any(doubt.document == doc.id for doubt in system.open_doubts):
        return False  # it is left to a person
    if doc.held_begun and not doc.held_committed:
        doc.await_answer(Stage.HELD_COMMIT, system.token())
        if not doc.held_stored or doc.repeated:
            committing.resume(system, Use.HELD, doc.id, doc.held_instance, step)
            return True
        held_commit_made(system, doc, 0.0, step)
    elif unit is not None and unit.state is UnitState.COMMITTING and unit.begun:
        doc.await_answer(Stage.REPLAY_COMMIT, system.token())
        if not unit.stored or doc.repeated:
            committing.resume(system, Use.REPLAY, doc.id, unit.result_instance, step)
            return True
        replay_commit_made(system, doc, unit, 0.0, step)
    return False


def order_held_commit(system: System, doc: Document, step: Step) -> None:
    """Call Domain; that it is called is stored before."""
    doubt = system.doubts.get(doc.id)
    if doubt is not None and doubt.open:  # it was to be made again, until another one was made since
        ending.end(system, doc, Trigger.ABORT_PERSIST, doubt.reason_given, MAESTRO, step)
        return
    drop_texts(system, doc.held_instance, doc, step)
    doc.await_answer(Stage.HELD_COMMIT, system.token())
    doc.held_begun = True
    committing.begin(system, doc, step)
    step.save(SaveDocument(doc))
    step.do(do.CommitHeld(doc.id, doc.token, doc.held_instance))


def order_replay_commit(system: System, doc: Document, unit: Unit, step: Step, *, again: bool = False) -> None:
    """Call Domain; that it is called is stored before."""
    doc.await_answer(Stage.REPLAY_COMMIT, system.token())
    unit.begun = True
    committing.begin(system, doc, step)
    step.save(SaveUnit(doc, unit))
    step.do(do.CommitReplay(doc.id, doc.token, unit.result_instance, doc.grown or again))


def _pause(system: System, doc: Document, step: Step) -> bool:
    """Pause between two replays, when somebody asked for it or the budget is used up; not when none is left."""
    cause = doc.budget_used(system.now)
    if not (doc.pausing or cause) or doc.next_unit() is None:
        return False
    if doc.pausing:
        cause = ""
    doc.move(Trigger.PAUSE, system.now, doc.pausing or MAESTRO, cause, doc.pause_reason)
    doc.pausing = doc.pause_reason = ""
    step.save(SaveDocument(doc))
    take_off_queues(doc, step)
    return True


def take_off_queues(doc: Document, step: Step) -> None:
    """Take the messages of a paused run off the unit queues: another may use them, and it may never be resumed."""
    doc.queues_built = False
    step.do(do.EmptyQueues(doc.id))


def _start(system: System, doc: Document, step: Step) -> None:
    if (doc.blocks or doc.kept) and system.committing:
        return  # it was retried meanwhile: no execution commit while it runs (I3), nor after a result that is to count
    doc.await_answer(Stage.STARTING, system.token())
    step.do(do.Notify(doc.id, doc.token, "starting"))


def _next_unit(system: System, doc: Document, step: Step) -> None:
    unit = doc.take_next()
    if unit is None and doc.set_aside and not leaving_out.nothing_else_left(system, doc, step):
        take_off_queues(doc, step)
        return
    if unit is None:
        ending.end(system, doc, Trigger.FINISH, "", MAESTRO, step)
        return
    _send(system, doc, unit, step)
    step.do(do.TakeUnit(doc.id, unit.position))


def _send(system: System, doc: Document, unit: Unit, step: Step) -> None:
    unit.begin_send(system.now)
    if unit.attempts == 1:
        unit.logged = system.ledger.last
    step.save(SaveUnit(doc, unit))
    _order_send(system, doc, step)


def _order_send(system: System, doc: Document, step: Step) -> None:
    doc.await_answer(Stage.SEND, system.token())
    step.do(do.SendReplay(doc.id, doc.token))


def _continue_unit(system: System, doc: Document, unit: Unit, step: Step) -> None:
    if unit.state is UnitState.SENDING:
        _order_send(system, doc, step)
    elif unit.state is UnitState.ASSESSING and _may_ask(system):
        doc.await_answer(Stage.IMPACT, system.token())
        step.do(do.AskReplayImpact(doc.id, doc.token, unit.result_instance))
    elif unit.state is UnitState.ASSESSING:
        troubled.on_look_awaited(system, doc, step)
    elif unit.state is UnitState.COMMITTING:
        order_replay_commit(system, doc, unit, step)


# --- the start -----------------------------------------------------------------------------------------------


def on_start_announced(system: System, doc: Document, _fact: facts.Notified, step: Step) -> None:
    """The Event Manager was told of the start: the run begins now, locked from here on.

    Not while a commit is in doubt: of an event beside which a run without lock was to start (I3).
    """
    if system.cases:
        return
    doc.move(Trigger.START_WITHOUT_LOCK if doc.forking else Trigger.START, system.now, MAESTRO)
    doc.queues_built = doc.start_asked = False
    kept.settle(system, doc, step)
    step.save(SaveDocument(doc))
    late.drop_replayed(system, doc, step)
    remembering.open_ledger(system, step)
    step.do(do.Dequeue(doc.id))


def on_queues_filled(system: System, doc: Document, fact: facts.QueuesUpdated, step: Step) -> None:
    """The queues mirror the document. Only before the held commit does a refusal of the broker end the run."""
    doc.queues_built = True
    if fact.problem and not doc.held_committed:
        ending.end(system, doc, Trigger.ABORT_SPLIT, fact.problem, MAESTRO, step)
    elif doc.current is not None and doc.current.state is UnitState.SENT:
        step.do(do.AwaitResult(doc.id, doc.send_name(doc.current), doc.current.sent_at))


def on_held_committed(system: System, doc: Document, fact: facts.HeldCommitted, step: Step) -> None:
    """What was held is in the domain."""
    held_commit_made(system, doc, fact.took, step)


def held_commit_made(system: System, doc: Document, took: float, step: Step) -> None:
    """Record that the held data is in the domain: Domain said so, or it is proved."""
    doc.stage = None
    committing.made(system, Use.HELD, doc.id, took, step)
    doc.held_committed = True
    visibility.owe(system, doc, step)
    step.save(SaveDocument(doc))
    remembering.held_committed(system, doc, step)
    kept.outdate(system, doc, step)


# --- one replay ------------------------------------------------------------------------------------------------


def on_replay_sent(system: System, doc: Document, _fact: facts.ReplaySent, step: Step) -> None:
    """The Event Manager took it. The result may have been quicker: then there is nothing to await."""
    outage.over(system, doc.id)
    if doc.ending is not None or doc.current is None or doc.current.state is not UnitState.SENDING:
        return
    doc.current.state, doc.current.sent_at = UnitState.SENT, system.now
    step.save(SaveUnit(doc, doc.current))
    step.do(do.AwaitResult(doc.id, doc.send_name(doc.current), system.now))


def on_replay_timed_out(system: System, fact: facts.ReplayTimedOut, step: Step) -> None:
    """Its result may stand in the persist queue, behind others: it takes effect once these were taken."""
    doc = _overdue(system, fact.id, fact.send)
    if doc is not None:
        crowding.wait_for_the_queue(doc, fact.send, step)


def _overdue(system: System, id_: str, send: str) -> Document | None:
    """Return the document if the result of this very send is still awaited."""
    doc = system.documents.get(id_)
    if doc is None or not doc.running or doc.ending is not None or doc.stage is not None:
        return None
    unit = doc.current
    if unit is None or unit.state is not UnitState.SENT or doc.send_name(unit) != send:
        return None
    return doc


def on_persist_swept(system: System, fact: facts.PersistSwept, step: Step) -> None:
    """Send again, a limited number of times; results of the earlier sends still count."""
    known = system.documents.get(fact.id)
    if known is not None and known.sweeping == fact.send:
        known.sweeping = ""
    doc = _overdue(system, fact.id, fact.send)
    unit = doc.current if doc is not None else None
    if doc is None or unit is None:
        return
    if doc.cancelling or unit.attempts >= system.rules.replay_attempts:
        cause = f"no persist event of the replay of {unit.instance_id} in time, after {unit.attempts} sends"
        ending.end(system, doc, Trigger.FAIL, cause, MAESTRO, step)
    elif system.cases or system.unfinished:  # nothing is replayed while a commit is in doubt
        step.do(do.AwaitResult(doc.id, fact.send, system.now))
    else:
        _send(system, doc, unit, step)


def on_replay_erred(system: System, fact: facts.ReplayErred, step: Step) -> None:
    """The replayed process ended in error; any other error is not about this run."""
    doc = system.documents.get(fact.id)
    if (
        doc is not None
        and doc.running
        and doc.ending is None
        and doc.current is not None
        and doc.is_answer(fact.instance_id, fact.branch, fact.send)
    ):
        doc.current.failures += 1
        step.save(SaveUnit(doc, doc.current))
        if doc.current.failures >= system.rules.replay_attempts:
            outage.send_arrived(system, doc)
            leaving_out.set_aside(doc, f"its process failed {doc.current.failures} times: {fact.cause}", step)
        else:
            ending.end(system, doc, Trigger.FAIL, fact.cause, MAESTRO, step)


def on_unit_refused(system: System, doc: Document, fact: facts.UnitRefused, step: Step) -> None:
    """No operation of the platform takes the replay: it never will."""
    outage.over(system, doc.id)
    if doc.ending is None and not doc.answered:
        leaving_out.set_aside(doc, fact.cause, step)


def on_result(system: System, delivery: Delivery, ref: ReplayRef, step: Step) -> None:
    """A replay's persist event: the first from the unit in flight counts, all else is for the error queue."""
    doc = system.documents.get(ref.id)
    if doc is None or doc.status in _NEVER_RAN:
        reason = f"reprocessing.id: {ref.id[:80]!r} is not running"
        if delivery.has_caller:  # a bad request, and nothing more: no queue has it
            answer(delivery, step, Code.INVALID, message=reason)
            forget(system, delivery, step)
        else:
            reject(system, delivery, reason, step)
        return
    unit = doc.current if doc.running and doc.ending is None else None
    answers = doc.is_answer(ref.instance_id, delivery.branch, ref.send)
    if unit is None or not answers or unit.was_answered_by(delivery.instance_id):
        system.counters.superseded += 1
        if delivery.has_caller:
            fail_caller(system, delivery, ending.SUPERSEDED, step)
        else:
            reject(system, delivery, ending.SUPERSEDED, step)
        return
    delivery.verdict, delivery.replay = Verdict.COMMIT, True
    unit.state = UnitState.ASSESSING
    unit.accept(delivery.instance_id, delivery.key)
    outage.send_arrived(system, doc)
    if doc.outdated:
        doc.outdated = False
        step.save(SaveDocument(doc))
    step.save(SaveDelivery(delivery), SaveUnit(doc, unit))
    settle(delivery, step)


# --- its commit ------------------------------------------------------------------------------------------------


def on_replay_committed(system: System, doc: Document, fact: facts.ReplayCommitted, step: Step) -> None:
    """The replay's data is in the domain: its unit is done."""
    if doc.current is not None:
        replay_commit_made(system, doc, doc.current, fact.took, step)


def replay_commit_made(system: System, doc: Document, unit: Unit, took: float, step: Step) -> None:
    """Record that the replay's data is in the domain: Domain said so, or it is proved."""
    doc.stage = doc.current = None
    committing.made(system, Use.REPLAY, doc.id, took, step)
    unit.state, unit.done_at = UnitState.DONE, system.now
    unit.begun = unit.stored = False
    doc.replayed += 1
    system.counters.replayed += 1
    remembering.replay_committed(system, doc, unit, step)
    kept.outdate(system, doc, step)
    if unit.duration is not None and not doc.approved_since(unit.sent_at):
        step.save(*(SavePace(name, pace) for name, pace in system.paces.replayed(name_of(unit.origin), unit.duration)))
    step.save(SaveDocument(doc), SaveUnit(doc, unit))
    result = system.deliveries[unit.result_key]
    finish(system, result, step)
    answer(result, step, Code.OK, fields=COMMITTED)
    step.do(do.TakeControl(doc.id))
