"""Whether an event that arrives is one that is known: by its id, its bytes, or what Maestro marked it with.

Semantics: States of a system, "A delivery is known by …".
"""

from typing import Final

from maestro.rules import commands as do
from maestro.rules import facts, identity
from maestro.rules.delivery import Delivery, Verdict
from maestro.rules.state import System
from maestro.rules.step import Step

#: Why an event goes to the error queue that came with the id of another one.
USED: Final = "id was used by another event"
#: Seconds for which a sync persist whose answer was not heard is answered as it was.
HEARD_WITHIN: Final = 3600.0
#: An instance that persists more often than this within so many seconds is told of; instances watched for that.
STORM, STORM_WITHIN, STORMS_WATCHED = 10, 60.0, 1000


def known(system: System, fact: facts.EventArrived) -> Delivery | None:
    """Return the delivery this is again (semantics: A delivery is known by …); None: it is a new one."""
    if fact.key:
        found = system.deliveries.get(fact.key)
        if found is None and fact.from_wait_queue:
            found = system.deliveries.get(identity.old_reconsidered(fact.key))
        return found
    latest = system.deliveries.get(system.fingerprints.get(fact.fingerprint, ""))
    if fact.ticket is None:
        if latest is None and fact.replay is not None:
            ref = fact.replay
            latest = system.deliveries.get(identity.old(fact.instance_id, ref.id, ref.instance_id, ref.send))
        elif latest is None:
            latest = system.deliveries.get(identity.old(fact.instance_id, "", "", ""))
        return latest if fact.redelivered or fact.from_wait_queue else None
    if latest is None or not latest.done or (fact.call and fact.call in latest.calls):
        return latest
    if latest.doubt and latest.verdict is Verdict.ERROR:
        return latest  # its commit may have been made: nothing makes it again but a person's word
    if latest.verdict is Verdict.PENDING and any(doc.number == latest.number for doc in system.live.values()):
        return latest  # its commit is held, and may still be made: it is under way
    return latest if not latest.heard and system.now - latest.done_at <= HEARD_WITHIN else None


def is_another(delivery: Delivery, fact: facts.EventArrived) -> bool:
    """Whether the event is another one than its id says."""
    of_before = delivery.replay and not delivery.reprocessing  # stored before it was kept whose result it is
    return delivery.instance_id != fact.instance_id or (
        delivery.reprocessing != reprocessing_of(fact) and not of_before
    )


def reprocessing_of(fact: facts.EventArrived) -> str:
    """Return the reprocessing whose result an event says to be; empty: it is no result."""
    return fact.replay.id if fact.replay is not None else ""


def on_answer_lost(system: System, fact: facts.AnswerLost, _step: Step) -> None:
    """The caller will ask again: it is to get the answer it did not get."""
    delivery = system.deliveries.get(system.fingerprints.get(fact.fingerprint, ""))
    if fact.call:
        delivery = next((one for one in system.deliveries.values() if fact.call in one.calls), None)
    if delivery is not None:
        delivery.heard = False


def watch_for_storms(system: System, fact: facts.EventArrived, step: Step) -> None:
    """Tell of an instance that persists again and again: a chain of operations may do so for ever."""
    persisted = system.persisted.setdefault(fact.instance_id, [])
    persisted.append(system.now)
    if len(persisted) > STORM:
        recent = persisted.pop(0) >= system.now - STORM_WITHIN
        if recent:
            text = f"instance {fact.instance_id} persisted more than {STORM} times within {STORM_WITHIN:g} s"
            step.do(do.RaiseAlarm(do.Alarm.PERSISTS_OFTEN, fact.instance_id, text))
            persisted.clear()  # told once for so many
    system.persisted.move_to_end(fact.instance_id)
    if len(system.persisted) > STORMS_WATCHED:
        system.persisted.popitem(last=False)
