"""Named, not finished: Discovery names an instance whose own commit is still to come (semantics: Flow 1, step 2).

It does so when all finished ones are on closed branches. Such a unit is not replayed: its result is not there yet. The
document lists it, and so does the list of what is not known to be fresh. Once its own commit is made, it is judged:

    named by E ──> W commits ──> E is not committed: the start of its run asks again
                                 W's rows, where the ledger has E's commit: fresh, or stale
                                 else Discovery is asked about E again: it names W, so W is stale; or W is fresh
                 ──> W fails, an earlier event of it is committed: the same question, once E is committed
                 ──> E fails: W missed nothing

The same question is put about a computation without a dataset, for each commit that was made since it began.
"""

from collections.abc import Iterable

from msgspec import structs

from maestro.rules import asking_again, facts, staleness
from maestro.rules.delivery import Verdict
from maestro.rules.document import Document
from maestro.rules.impact import Impacted, Origin
from maestro.rules.ledger_book import MissedCommit, MissedQuestion
from maestro.rules.state import System
from maestro.rules.step import Step


def part(system: System, origins: Iterable[Origin]) -> tuple[tuple[Origin, ...], tuple[Impacted, ...]]:
    """Part what is to be replayed from what is named and not finished: API core says so, or its event waits here."""
    origins = tuple(origins)
    waiting = {delivery.instance_id for delivery in (*system.waiting.values(), *system.inbox)} if origins else set()
    early = [one.unit for one in origins if not one.finished or one.unit.instance_id in waiting]
    keys = {unit.key for unit in early}
    return tuple(one for one in origins if one.unit.key not in keys), tuple(early)


def note(system: System, named: Iterable[Impacted], instance_id: str, step: Step) -> None:
    """List the units that the data of `instance_id` impacts, and whose own commits are still to come."""
    number = system.ledger.last + 1 if system.keeps_ledger else 0
    for unit in named:
        staleness.named_early(system, unit, MissedCommit(number, instance_id), step)


def listed(doc: Document, named: tuple[Impacted, ...]) -> bool:
    """List the units in the document that are not listed yet; return whether there were any."""
    new = [unit for unit in named if unit not in doc.not_finished]
    doc.not_finished += tuple(new)
    return bool(new)


def committed(system: System, instance_id: str, branch: str, step: Step, *, reads_are_kept: bool) -> bool:
    """The own commit of an instance is made: have it judged. Return whether what it read is needed for that."""
    reads_wanted = False
    for unit in tuple(system.ledger.not_finished.get(instance_id, ())):
        stale = system.ledger.stale[unit]
        missed = tuple(commit for commit in stale.missed if not staleness.is_asked_about(system, commit.instance_id))
        if not missed and not stale.more:
            staleness.fresh(system, unit, step)
        elif reads_are_kept and unit == (instance_id, branch) and all(commit.number for commit in missed):
            reads_wanted = True
        elif stale.more:
            staleness.too_many(system, stale, step)
        else:
            staleness.await_question(system, structs.replace(stale, missed=missed), missed, step)
    return reads_wanted


def made(system: System, instance_id: str, step: Step) -> None:
    """A commit that named units is made. Those whose own commits are made, all of them, are judged by it now."""
    units = system.ledger.named_by.get(instance_id)
    if not units:
        return
    committed_here, to_come = _commits(system, {unit[0] for unit in units})
    for unit in [unit for unit in units if unit[0] in committed_here - to_come]:
        stale = system.ledger.stale[unit]
        named = tuple(commit for commit in stale.missed if commit.instance_id == instance_id)
        also = tuple(commit for commit in named if commit not in stale.to_ask)
        staleness.await_question(system, stale, (*stale.to_ask, *also), step)


def ended(system: System, instance_id: str, step: Step, *, skipped: bool = False) -> None:
    """An event of the instance ends otherwise than by its commit: what waited for that commit waits no longer.

    An earlier event of it may have been committed: then it is judged as that left it, and so are those that it named.
    """
    book = system.ledger
    if instance_id not in book.not_finished and instance_id not in book.named_by:
        return
    committed_here, to_come = _commits(system, {instance_id})
    if to_come:
        return
    if committed_here:
        committed(system, instance_id, "", step, reads_are_kept=False)
        made(system, instance_id, step)
    elif all(doubt.instance_id != instance_id for doubt in system.open_doubts):
        _not_made(system, instance_id, step, skipped=skipped)


def _not_made(system: System, instance_id: str, step: Step, *, skipped: bool) -> None:
    """Nobody missed what is not made. A skipped event may be reconsidered: who is still to commit is asked about it."""
    units = tuple(system.ledger.named_by.get(instance_id, ()))
    if skipped:
        committed_here, to_come = _commits(system, {unit[0] for unit in units})
        units = tuple(unit for unit in units if unit[0] in committed_here - to_come)
    for unit in units:
        staleness.not_missed(system, unit, instance_id, step)


def _commits(system: System, instances: set[str]) -> tuple[set[str], set[str]]:
    """Return of which of the instances something is committed, and of which something may be yet, by itself."""
    committed_here, to_come = instances & system.forgotten.keys(), set()
    for one in system.deliveries.values():
        if one.instance_id in instances:
            if one.verdict is Verdict.COMMIT and not one.replay:
                committed_here.add(one.instance_id)
            if not one.done and one.verdict is not Verdict.ERROR:
                to_come.add(one.instance_id)
    for doc in system.documents.values():
        if doc.held_instance in instances and doc.held_committed:
            committed_here.add(doc.held_instance)
        elif doc.held_instance in instances and doc.live:
            to_come.add(doc.held_instance)
    return committed_here, to_come


def advance(system: System, step: Step) -> None:
    """Ask about the commits that a unit may have missed, once its own is visible."""
    due = system.ledger.to_ask
    looked_for = {look.instance_id for look in system.looks.values()}
    for unit in [unit for unit in due if unit[0] not in looked_for]:
        del due[unit]
        stale = system.ledger.stale.get(unit)
        if stale is not None and stale.to_ask:
            asking_again.put(system, MissedQuestion(unit, stale.to_ask[0]), step)


def on_answered(system: System, question: MissedQuestion, fact: facts.AskedAgain, step: Step) -> None:
    """Discovery names the unit, so it is stale; or the next commit is asked about; or it is fresh."""
    stale = system.ledger.stale.get(question.unit)
    if stale is None or question.missed not in stale.to_ask:
        return  # more is known by now
    named = next((unit for unit in fact.units if unit.key == question.unit), None)
    if named is not None:
        staleness.named_late(system, named, question.missed.instance_id, step, staleness.NAMED_AGAIN)
    else:
        staleness.not_missed(system, question.unit, question.instance_id, step)
