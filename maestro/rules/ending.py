"""How a reprocessing ends: queues emptied, status and cause recorded, unlocked, the Event Manager told, and on.

The lock is held until the clean-up is done; the end that is decided (`Document.ending`) survives a crash.
"""

from maestro.messages.answers import Code
from maestro.rules import commands as do
from maestro.rules import facts, outage
from maestro.rules.document import Document, Ending, Stage
from maestro.rules.outbox import tell_status
from maestro.rules.settling import answer, reject
from maestro.rules.state import System
from maestro.rules.status import Status, Trigger
from maestro.rules.step import SaveDocument, SaveGrowth, SaveUnit, Step
from maestro.rules.unit import UnitState

FINISHED = "finished"
DROPPED = "droping"  # spelled as the platform reads it
SUPERSEDED = "superseded"
#: Instance statuses told to API core, while the held commit is not made. They inform, they decide nothing.
STATUS_FAILURE = "reprocessing_failure"
STATUS_CANCELLED = "reprocessing_cancelled"
#: A sibling may be changing something.
_EFFECTS = frozenset({Stage.HELD_COMMIT, Stage.SEND, Stage.REPLAY_COMMIT})


def end(
    system: System, doc: Document, trigger: Trigger, cause: str, user: str, step: Step, *, reason: str = ""
) -> None:
    """Decide that a running reprocessing ends, and clean up. What is in flight is superseded.

    A call that changes something elsewhere cannot be taken back: its answer is awaited under the lock (I6).

    Once its cancellation is asked for, a run that fails counts as cancelled.
    """
    if doc.cancelling:
        trigger, user, reason = Trigger.CANCEL, doc.cancelling, doc.cancel_reason
    doc.ending = Ending(trigger, system.now, user, cause, reason)
    step.save(SaveDocument(doc))
    outage.over(system, doc.id)
    if doc.stage not in _EFFECTS:
        clean_up(system, doc, step)


def may_end_at_once(doc: Document) -> bool:
    """Whether a run that waits for no answer has neither a send nor a commit of its own under way."""
    unit = doc.current
    if not doc.running or (doc.held_begun and not doc.held_committed):
        return False
    return unit is None or (unit.state in (UnitState.ASSESSING, UnitState.COMMITTING) and not unit.begun)


def at_rest(system: System, doc: Document) -> bool:
    """Whether a run is paused, or was resumed and waits for another one, so that nothing of it is in flight."""
    if doc.status is Status.PAUSED:
        return True
    ends = bool(doc.cancelling) or doc.ending is not None
    return ends and doc.running and doc.current is None and system.running() is not doc


def end_resting(system: System, doc: Document, step: Step) -> None:
    """A paused run is to end: nothing of it is in flight, and another run may be going on beside it."""
    if doc.ending is None:
        end(system, doc, Trigger.CANCEL, "", doc.cancelling, step)
    else:
        clean_up(system, doc, step)


def clean_up(system: System, doc: Document, step: Step) -> None:
    """Empty the unit queues; a document that did not finish goes to the error queue."""
    assert doc.ending is not None
    doc.await_answer(Stage.CLEAN_UP, system.token())
    failed, alone = doc.ending.trigger is not Trigger.FINISH, system.running() is doc
    step.do(do.CleanUpQueues(doc.id, doc.token, failed=failed, empty=alone))


def on_cleaned_up(system: System, doc: Document, _fact: facts.QueuesUpdated, step: Step) -> None:
    """The clean-up is done: the status changes, and with it the lock is given up."""
    assert doc.ending is not None
    ending, doc.ending = doc.ending, None
    _record(system, doc, ending, step)
    for ticket in doc.tickets:
        step.do(do.Reply(ticket, Code.OK, document_id=doc.id))
    doc.tickets.clear()


def leave_line(system: System, doc: Document, trigger: Trigger, user: str, reason: str, step: Step) -> None:
    """End a reprocessing that is approved and did not start: nothing of it is in the unit queues."""
    _record(system, doc, Ending(trigger, system.now, user, "", reason), step)
    leave(system, doc, step)


def leave(system: System, doc: Document, step: Step) -> None:
    """Take it off the line. Its end is not told before that is done: while it is owed, a restart orders this again."""
    doc.await_answer(Stage.LEAVING, system.token())
    step.do(do.Dequeue(doc.id, doc.announce == DROPPED, doc.token))


def _record(system: System, doc: Document, ending: Ending, step: Step) -> None:
    started = doc.status is not Status.APPROVED
    doc.move(ending.trigger, ending.at, ending.user, ending.cause, ending.reason)
    doc.stage, doc.queues_built, doc.start_asked = None, False, False
    doc.cancelling = doc.cancel_reason = doc.pausing = doc.pause_reason = ""
    finished = doc.status is Status.FINISHED
    if not doc.held_committed:  # else the instance is finished, whatever became of its replays
        text = STATUS_CANCELLED if doc.status is Status.CANCELLED else STATUS_FAILURE
        tell_status(system, doc.held_instance, text, step)
    doc.announce = FINISHED if finished else DROPPED
    if finished and (name := system.growth.finished(doc)):
        step.save(SaveGrowth(name, system.growth.by_name[name]))
    if doc.current is not None:
        _drop_in_flight(system, doc, step, give_up=finished)
    accepted = doc.current is not None and not finished
    doc.kept = accepted and not doc.outdated and (started or doc.kept)  # in line it may have been outdated, too
    system.file(doc)
    step.save(SaveDocument(doc))


def _drop_in_flight(system: System, doc: Document, step: Step, *, give_up: bool) -> None:
    """The unit in flight is outstanding again; an accepted result is kept for a retry, if there can be one."""
    unit = doc.current
    assert unit is not None
    result = system.deliveries.get(unit.result_key)
    if result is not None and not result.done:
        answer(result, step, Code.FAILED, message=f"reprocessing {doc.id} is {doc.status}")
        if give_up:
            result.replay = False
            reject(system, result, SUPERSEDED, step)
    doc.put_back_current()
    step.save(SaveUnit(doc, unit))


def announce(system: System, doc: Document, step: Step) -> None:
    """Tell the Event Manager of the end."""
    if doc.stage is None:
        doc.await_answer(Stage.ANNOUNCE, system.token())
        step.do(do.Notify(doc.id, doc.token, doc.announce))


def on_end_announced(system: System, doc: Document, _fact: facts.Notified, step: Step) -> None:
    """The Event Manager was told, or could not be: either way the next one may start."""
    doc.announce = ""
    system.file(doc)
    if not doc.live:  # else it is being retried already
        doc.release()
    step.save(SaveDocument(doc))
