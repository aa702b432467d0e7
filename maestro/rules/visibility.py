"""What is committed must be visible before Discovery is asked the next question (semantics: Visible).

Discovery names only instances that API core calls `finished`. So each commit of scope `execution` owes a look at API
core; the next question of the system waits until nothing is owed. What is owed is stored with the commit itself
(`Delivery.sight`, `Document.sight`) and taken up again after a restart.

    commit ──> look ──> finished: visible
                │  ▲
                │  └── later, at growing pauses, up to a second
                └─────> Maestro sets `finished` itself
                          └── refused: look again; unknown there, or refused for minutes: go on

A backlog may last, and events that need not wait for a look are committed meanwhile. So that API core is not flooded a
few commits are looked after at once, one while the Event Manager is behind; the others wait for their turn. Each is
looked at before its status is set: our call must not meet the Event Manager's own.

Discovery fails open when API core does: an answer before a commit is *doubtful* when any call to API core failed
between the question and the look after the commit. Then the question is put once more; what it names now was missed.
"""

from typing import Final

from maestro.events import MASTER
from maestro.rules import asking_again, facts, staleness
from maestro.rules import commands as do
from maestro.rules.delivery import Delivery, Sight
from maestro.rules.document import Document
from maestro.rules.impact import relevant
from maestro.rules.outage import pause
from maestro.rules.state import System
from maestro.rules.step import SaveSight, Step
from maestro.rules.visible import BEHIND, Look
from maestro.statuses import INSTANCE_FINISHED

#: What is held up while API core does not answer.
VISIBILITY: Final = "visibility"
#: Seconds after which a status text whose call had no answer has come, if it comes at all.
TEXT_COMES_WITHIN: Final = 30.0
#: Seconds between two tries to set a status that API core refuses, and after which it is given up.
REFUSED_PAUSE: Final = 2.0
REFUSED_LIMIT: Final = 300.0
#: Refusals that it takes all the same: a clock may be set.
REFUSED_TIMES: Final = 10
#: Units that an alarm names.
_SHOWN: Final = 20


def owe(system: System, owner: Delivery | Document, step: Step) -> None:
    """A commit of scope `execution` is made: its instance must become visible.

    The caller saves `owner` with the commit. The platform may be trusted with it (`Rules.ensure_finished`).
    """
    if not system.rules.ensure_finished:
        return
    owner.sight = Sight.LOOK
    look = _take_up(system, owner)
    if system.visible.full:
        system.visible.resting[look.key] = None
    else:
        _look_in(look, system.visible.first(), system, step)


def awaits_look(system: System) -> bool:
    """Whether a commit is not known to be visible: Discovery is not asked anything yet."""
    return bool(system.looks)


def takes_longer(system: System) -> bool:
    """Whether a commit was not visible at once: meanwhile it can be asked whether the next event has to wait for it."""
    return any(look.missed or look.failed or look.seen_at or not look.token for look in system.looks.values())


def resume(system: System, step: Step) -> None:
    """After a restart: look at once at all that is owed, and put the doubtful questions again."""
    for delivery in system.deliveries.values():
        _resume(system, delivery, step)
    for doc in system.documents.values():
        _resume(system, doc, step)


def _resume(system: System, owner: Delivery | Document, step: Step) -> None:
    if owner.sight is Sight.LOOK:
        _look(_take_up(system, owner), system, step)
    elif owner.sight is Sight.QUESTION:
        doubtful(system, owner, step)


def _take_up(system: System, owner: Delivery | Document) -> Look:
    look = _record(owner, system.now)
    system.looks[look.key] = look
    return look


def instance_of(owner: Delivery | Document) -> str:
    """Return the instance whose data a commit makes visible."""
    return owner.instance_id if isinstance(owner, Delivery) else owner.held_instance


def _record(owner: Delivery | Document, since: float) -> Look:
    return Look(owner.key if isinstance(owner, Delivery) else owner.id, instance_of(owner), owner, since)


# --- looking -------------------------------------------------------------------------------------------------


def _look_in(look: Look, seconds: float, system: System, step: Step) -> None:
    system.visible.active.add(look.key)
    if seconds <= 0.0:
        _look(look, system, step)
    else:
        step.do(do.WakeAt(do.Topic.LOOK, look.key, system.now + seconds))


def _look(look: Look, system: System, step: Step) -> None:
    system.visible.active.add(look.key)
    look.token, look.asked_at = system.token(), system.now
    step.do(do.Look(look.key, look.token, look.instance_id))


def on_woken(system: System, key: str, step: Step) -> None:
    """It is time to look again."""
    look = system.looks.get(key)
    if look is not None:
        _look(look, system, step)


def _awaited(system: System, key: str, token: int) -> Look | None:
    look = system.looks.get(key)
    return look if look is not None and look.token == token else None


def on_looked(system: System, fact: facts.Looked, step: Step) -> None:
    """API core said what it calls the instance."""
    look = _awaited(system, fact.key, fact.token)
    if look is None:
        return
    look.failed = 0
    if fact.status == INSTANCE_FINISHED:
        if not look.refused_since and not look.seen_at:
            system.visible.found(look, look.asked_at)
        _seen(look, fact.failures, system, step)
    elif fact.status is None:
        _visible(look, fact.failures, system, step)
    elif look.refused >= REFUSED_TIMES and system.now - look.refused_since >= REFUSED_LIMIT:
        step.do(do.RaiseAlarm(do.Alarm.UNVERIFIED, look.instance_id, staleness.NOT_VISIBLE))
        staleness.not_visible(system, look.owner, look.instance_id, step)
        _visible(look, fact.failures, system, step)
    elif look.refused_since:
        step.do(do.WakeAt(do.Topic.SET, look.key, system.now + REFUSED_PAUSE))
    elif look.seen_at:  # a late text took it back
        _set(look, system, step)
    else:
        look.missed += 1
        seconds = system.visible.after(look, system.now)
        if seconds is None:
            _set(look, system, step)
        else:
            _look_in(look, seconds, system, step)
    _take_turns(look, system, step)
    _end_stall(system)


def _take_turns(look: Look, system: System, step: Step) -> None:
    """Let those look whose turn it is. One that has to wait for long keeps nobody from it."""
    visible = system.visible
    if look.refused_since or look.seen_at or look.key not in system.looks:
        visible.active.discard(look.key)
    while visible.resting and not visible.full:
        key = next(iter(visible.resting))
        del visible.resting[key]
        since = system.now - system.looks[key].since
        _look_in(system.looks[key], min(BEHIND, max(0.0, BEHIND - since)) if visible.behind else 0.0, system, step)


def _set(look: Look, system: System, step: Step) -> None:
    system.visible.active.add(look.key)
    look.token = system.token()
    step.do(do.SetFinished(look.key, look.token, look.instance_id))


def on_set_due(system: System, key: str, step: Step) -> None:
    """API core refused to set the status a while ago: try again."""
    look = system.looks.get(key)
    if look is not None:
        _set(look, system, step)


def on_finished_set(system: System, fact: facts.FinishedSet, step: Step) -> None:
    """Maestro set the status: it is visible when API core has answered."""
    look = _awaited(system, fact.key, fact.token)
    if look is None:
        return
    if not look.seen_at:
        system.visible.slow += 1
    look.failed = 0
    look.refused_since = look.seen_at = 0.0
    look.refused = 0
    _seen(look, fact.failures, system, step)
    _take_turns(look, system, step)
    _end_stall(system)


def on_finished_refused(system: System, fact: facts.FinishedRefused, step: Step) -> None:
    """API core said no: the instance is finished by now, or unknown, or cannot be changed. A look tells which."""
    look = _awaited(system, fact.key, fact.token)
    if look is not None:
        look.refused_since = look.refused_since or system.now
        look.refused += 1
        _look(look, system, step)
        _take_turns(look, system, step)


def on_look_failed(system: System, fact: facts.LookFailed, step: Step) -> None:
    """API core is out of reach: the system is stalled until it answers."""
    look = _awaited(system, fact.key, fact.token)
    if look is None:
        return
    system.stall(VISIBILITY, "apicore", fact.cause, fact.since)
    step.do(do.WakeAt(do.Topic.LOOK, look.key, system.now + pause(look.failed) / 4))
    look.failed += 1


def _end_stall(system: System) -> None:
    if VISIBILITY in system.stalls and not any(look.failed for look in system.looks.values()):
        del system.stalls[VISIBILITY]


def _seen(look: Look, failures: int, system: System, step: Step) -> None:
    """It is finished: visible, unless a status text may still come and hide it."""
    if not look.owner.text_late:
        _visible(look, failures, system, step)
    elif not look.seen_at or system.now < look.seen_at or _is_under_way(look, system):
        look.seen_at = system.now
        _look_in(look, TEXT_COMES_WITHIN, system, step)
    elif system.now - look.seen_at < TEXT_COMES_WITHIN:  # a restart
        _look_in(look, max(0.1, look.seen_at + TEXT_COMES_WITHIN - system.now), system, step)
    else:
        look.owner.text_late = False
        _visible(look, failures, system, step)


def _is_under_way(look: Look, system: System) -> bool:
    """Whether a call that sets a status text of the instance has no answer yet, however long that takes."""
    return any(owner is look.owner for owner in system.texts_under_way.values())


def text_unanswered(system: System, instance_id: str) -> None:
    """A call that sets a status text ended without an answer: from now on it may come, so `finished` is seen later."""
    for look in system.looks.values():
        if look.instance_id == instance_id and look.seen_at:
            look.seen_at = system.now


def text_settled(system: System, owner: Delivery | Document, step: Step) -> None:
    """The call that set a status text of the owner's instance was answered: what a look finds from now on, stays.

    The text may have come after what API core is being asked now: that answer does not count.
    """
    owner.text_late = False
    if isinstance(owner, Document):
        step.save(SaveSight(owner))
    elif system.deliveries.get(owner.key) is not owner:
        return  # it is forgotten
    elif owner.done:
        step.save(SaveSight(owner))
    else:
        step.save_decided(owner)
    look = next((look for look in system.looks.values() if look.owner is owner), None)
    if look is not None and (look.seen_at or look.token):
        look.seen_at = 0.0
        _look(look, system, step)


def _visible(look: Look, failures: int, system: System, step: Step) -> None:
    """Nothing is owed any more, but a doubtful question."""
    del system.looks[look.key]
    owner = look.owner
    owner.sight = Sight.NOTHING
    if isinstance(owner, Delivery) and owner.failures != failures:
        doubtful(system, owner, step)
    step.save(SaveSight(owner))


# --- doubtful answers ----------------------------------------------------------------------------------------


def doubtful(system: System, owner: Delivery | Document, step: Step) -> None:
    """The question before a commit that is made may have been answered with too little: put it again.

    That it is owed survives a crash; nothing waits for it.
    """
    owner.sight = Sight.QUESTION
    asking_again.put(system, _record(owner, system.now), step)
    step.save(SaveSight(owner))


def on_answered(system: System, look: Look, fact: facts.AskedAgain, step: Step) -> None:
    """Discovery answered beyond doubt: what it names was missed by the commit."""
    look.owner.sight = Sight.NOTHING
    step.save(SaveSight(look.owner))
    missed(system, look, fact, step)


def missed(system: System, look: Look, fact: facts.AskedAgain, step: Step) -> None:
    """Say which units the commit of `look` should have been held for, had Discovery named them."""
    units = relevant(fact.units, own_instance=look.instance_id, on_master=look.branch == MASTER)
    for unit in units:
        staleness.named_late(system, unit, look.instance_id, step, staleness.NAMED_AGAIN)
    if units:
        names = ", ".join(f"{unit.instance_id} on {unit.branch}" for unit in units[:_SHOWN])
        more = f" and {len(units) - _SHOWN} more" if len(units) > _SHOWN else ""
        text = f"Discovery had not named all that its commit impacts; these may be stale: {names}{more}"
        step.do(do.RaiseAlarm(do.Alarm.MISSED, look.instance_id, text))
