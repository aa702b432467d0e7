"""Nothing stands before a replay's result: what more than the prefetch is parked, and a time-out waits for the queue.

A run without lock goes on while events are judged. They come by the same queue as its replays' results, and the broker
hands over no more than the prefetch before something is settled. So what comes beyond half of that is parked, in order:
its result is never further away than the events before it take to be parked (semantics: Fork).
"""

from maestro.rules import commands as do
from maestro.rules.document import Document
from maestro.rules.state import System
from maestro.rules.status import Status
from maestro.rules.step import Step


def crowded(system: System) -> bool:
    """Whether the next event is to be parked for the sake of a run without lock."""
    if len(system.inbox) < max(1, system.rules.prefetch // 2):
        return False
    return any(doc.status is Status.RUNNING_WITHOUT_LOCK for doc in system.live.values())


def wait_for_the_queue(doc: Document, send: str, step: Step) -> None:
    """The time for a result is over: it counts only when it is not among what stands in the persist queue now."""
    doc.sweeping = send
    step.do(do.SweepPersist(doc.id, send))


def ingress_attached(system: System, step: Step) -> None:
    """A new ingress actor knows nothing of what the old one was to wait for."""
    for doc in system.live.values():
        if doc.sweeping:
            step.do(do.SweepPersist(doc.id, doc.sweeping))
