"""The outbox: messages to siblings that decide nothing, stored until they are delivered.

A status text that comes late does harm: delivered after `finished` it hides the instance from Discovery for ever. So
texts are dropped when their document is decided or retried, and always before the instance's commit is begun. A call
that had no answer may still arrive: the commit's owner is marked (`text_late`), and `finished` counts only when it is
seen some time later, too. So it is while a call is under way; once that is answered, a look after it tells.
"""

from maestro.rules import facts, visibility
from maestro.rules.delivery import Delivery
from maestro.rules.document import Document
from maestro.rules.state import Errand, ErrandKind, System
from maestro.rules.step import DropErrand, SaveDocument, SaveErrand, Step


def add_errand(system: System, kind: ErrandKind, instance_id: str, text: str, step: Step, about: int = 0) -> None:
    """Put an errand into the outbox."""
    errand = Errand(system.next_errand, kind, instance_id, text, about)
    system.errands[errand.number] = errand
    system.next_errand = errand.number + 1
    step.save(SaveErrand(errand))


def drop_texts(system: System, instance_id: str, owner: Delivery | Document, step: Step) -> bool:
    """Drop the status texts of an instance that are not delivered; return whether there were any.

    The caller saves `owner`, whose commit they must not outlast.
    """
    dropped = False
    for errand in list(system.errands.values()):
        if errand.kind is ErrandKind.STATUS and errand.instance_id == instance_id:
            if errand.number in system.errands_begun and not owner.text_late:
                owner.text_late = True
                system.texts_under_way[errand.number] = owner
            _forget(system, errand.number, step)
            dropped = True
    return dropped


def _forget(system: System, number: int, step: Step) -> None:
    del system.errands[number]
    system.errands_begun.discard(number)
    step.save(DropErrand(number))


def on_errand_begun(system: System, fact: facts.ErrandBegun, _step: Step) -> None:
    """From now on it may arrive."""
    if fact.number in system.errands:
        system.errands_begun.add(fact.number)


def on_errand_refused(system: System, fact: facts.ErrandRefused, step: Step) -> None:
    """It did not arrive, and will not by that call."""
    system.errands_begun.discard(fact.number)
    _answered(system, fact.number, step)


def _answered(system: System, number: int, step: Step) -> None:
    """A text that was dropped while it was under way is there now, or never will be."""
    owner = system.texts_under_way.pop(number, None)
    if owner is not None:
        visibility.text_settled(system, owner, step)


def on_errand_unanswered(system: System, fact: facts.ErrandUnanswered, step: Step) -> None:
    """A text may come later than all that follows: its document remembers that."""
    system.texts_under_way.pop(fact.number, None)
    errand = system.errands.get(fact.number)
    if errand is None or errand.kind is not ErrandKind.STATUS:
        return
    for doc in reversed(system.documents.values()):
        if doc.held_instance == errand.instance_id:
            doc.text_late = True
            step.save(SaveDocument(doc))
            return


def resume(system: System, step: Step) -> None:
    """After a restart: a former life may have called for each text, and died before the answer."""
    for number in list(system.errands):
        on_errand_unanswered(system, facts.ErrandUnanswered(number), step)


def on_errand_done(system: System, fact: facts.ErrandDone, step: Step) -> None:
    """It need not be delivered any more."""
    _answered(system, fact.number, step)
    if fact.number in system.errands:
        _forget(system, fact.number, step)
