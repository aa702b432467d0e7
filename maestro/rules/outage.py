"""Whose fault a failed question is: the event's own, or an outage of the sibling (semantics: Outage or event?).

A question that has failed past its tries is weighed: the same sibling is asked something that it answered before, a
*canary*. That fails, too: the sibling is out of reach, so the question keeps its place and is put again at growing
intervals. The canary is answered: the question is put once more, for the sibling may just have come back; when it fails
again and the canary is answered again, it is the question's own fault. Without any canary it is, too, after a while.
A try that has no answer in time stalls the system at once: the other tries, and the canary, may take minutes.

    question fails ──> canary fails ──> stalled, tried again later
          │ ▲              │
          │ └── once more ─┴─ canary answers, first time
          └─────────────────> canary answers again ──> the event's own fault
"""

from enum import StrEnum
from typing import Final

from maestro import backoff
from maestro.rules import commands as do
from maestro.rules import facts
from maestro.rules.document import Document, Stage
from maestro.rules.stalls import Trouble
from maestro.rules.state import System
from maestro.rules.step import Step

#: Who asks on behalf of the event being judged; a run asks under its document's id.
JUDGING: Final = "judging"
#: Who is asked whom a commit impacts.
_SAY_IMPACT: Final = ("discovery", "domain")
#: Seconds to the first further try, and at most between two; the pause doubles.
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
#: Seconds after which a question fails by its own fault while no canary is known.
WITHOUT_CANARY: Final = 600.0


class Ruling(StrEnum):
    """What a weighed failure means."""

    #: Put the question again now.
    AGAIN = "again"
    #: The sibling is out of reach: put it again when the wake-up comes.
    LATER = "later"
    #: The event's own fault, or the time is up.
    FAULT = "fault"


def suspect(system: System, what: str, sibling: str, cause: str, step: Step) -> None:
    """A question of `what` failed past its tries: ask the sibling's canary. Answered by `CanaryAsked`."""
    trouble = system.troubles.get(what)
    if trouble is None:
        trouble = system.troubles[what] = Trouble(sibling, cause, {})
    trouble.failed.setdefault(sibling, system.now)
    trouble.sibling, trouble.cause, trouble.token = sibling, cause, system.token()
    step.do(do.AskCanary(what, trouble.token, sibling))


def on_unanswered(system: System, fact: facts.Unanswered, _step: Step) -> None:
    """A try had no answer in time: the sibling is waited for since it was asked. Whose fault that is, is not weighed.

    The further tries take minutes; what comes meanwhile must not wait for them unseen.
    """
    if fact.what == JUDGING:
        awaited = system.judged is not None and system.judging_token == fact.token
    else:
        doc = system.documents.get(fact.what)
        awaited = doc is not None and doc.stage is not None and doc.token == fact.token
    if awaited:
        system.stall(fact.what, fact.sibling, fact.cause, fact.since)


def rule(system: System, fact: facts.CanaryAsked, step: Step, *, limit: float | None = None) -> Ruling | None:
    """Say what the canary's answer means for the question; None when it is not awaited any more.

    `limit`: seconds after which an outage counts as a failure; None: never.
    """
    trouble = system.troubles.get(fact.what)
    if trouble is None or trouble.token != fact.token:
        return None
    lasted = system.now - trouble.since
    if fact.answered:
        ruling = Ruling.FAULT if trouble.sibling in trouble.cleared else Ruling.AGAIN
        trouble.cleared.add(trouble.sibling)
    elif (limit is not None and lasted >= limit) or (limit is None and not fact.known and lasted >= WITHOUT_CANARY):
        ruling = Ruling.FAULT
    else:
        ruling = Ruling.LATER
        trouble.cleared.discard(trouble.sibling)
    if ruling is Ruling.LATER:
        system.stall(fact.what, trouble.sibling, trouble.cause)
        step.do(do.WakeAt(do.Topic.OUTAGE, fact.what, system.now + pause(trouble.tries)))
        trouble.tries += 1
    elif ruling is Ruling.FAULT:
        over(system, fact.what)
    return ruling


def answered(system: System, what: str) -> None:
    """Whom a commit impacts is answered, which leads on to the next question: these siblings are there."""
    trouble = system.troubles.get(what)
    if trouble is not None:
        for sibling in _SAY_IMPACT:
            trouble.failed.pop(sibling, None)
            trouble.cleared.discard(sibling)


def over(system: System, what: str) -> None:
    """All that `what` asked is answered, or is not asked any more.

    Not after an answer that only leads to the next question: one that fails each time would begin again each time.
    """
    system.troubles.pop(what, None)
    system.stalls.pop(what, None)


def send_arrived(system: System, doc: Document) -> None:
    """A send that had no answer arrived: what came of it says so, and nobody is waited for to take it."""
    over(system, doc.id)
    if doc.stage is Stage.OUTAGE:
        doc.stage = None


def pause(tries: int) -> float:
    """Return the seconds before the next try of what was tried so many times."""
    return backoff.pause(tries, FIRST_PAUSE, LONGEST_PAUSE)


def watch(system: System, step: Step) -> None:
    """Order the wake-up that closes a stalled system: nothing else may happen at that moment."""
    if not system.stalls:
        system.closes_at = 0.0
        return
    ahead = [stall.closes_at for what, stall in system.stalls.items() if what not in system.documents]
    due = min((one for one in ahead if system.now < one), default=0.0)
    if due and due != system.closes_at:
        system.closes_at = due
        step.do(do.WakeAt(do.Topic.STALL, "", due))
