"""Results that are stale, or not known to be fresh: the list that the ledger keeps of them (semantics: The ledger, 2).

A unit is on the list once, with what was found last; a replay whose computation missed nothing takes it off. Stale
units gather for a while and then become a late reprocessing (`late`).
"""

from typing import Final

from msgspec import structs

from maestro.rules import commands as do
from maestro.rules import facts
from maestro.rules.delivery import Delivery
from maestro.rules.document import Document, Stage
from maestro.rules.impact import Impacted, UnitKey
from maestro.rules.ledger import Reader
from maestro.rules.ledger_book import LatePolicy, MissedCommit, Oldest, Owed, Stale, StaleState
from maestro.rules.state import System
from maestro.rules.status import Status
from maestro.rules.step import DropStale, SaveBook, SaveDocument, SaveStale, Step

#: Notes that are kept; of more one leaves for each, the oldest of what nobody is to replay first, and is counted.
KEPT: Final = 10_000
NO_DATASET: Final = "Process Memory has no dataset of it"
NOT_VISIBLE: Final = "API core refuses to call it finished: Discovery may never name it"
#: Said of a unit that Discovery names about a commit already made.
NAMED_AGAIN: Final = "Discovery names it when asked again; it may have read the new version all the same"
#: Commits that are kept of those that named a unit before its own; and what is said of one that more did.
KEPT_EARLY: Final = 100
TOO_MANY: Final = f"Discovery named it for more than {KEPT_EARLY} commits before its own: which it missed is not known"
#: Commits that a note names.
NAMED: Final = 10
#: A run asks at its start whom its held commit impacts.
_ASKING: Final = frozenset({Stage.START_IMPACT, Stage.START_ORIGINS})


def judge(system: System, owed: Owed, fact: facts.OwedFetched, step: Step) -> None:
    """Say what is known of a computation that was committed: it is fresh, or on the list."""
    if fact.missed:
        _note(system, owed, StaleState.STALE, step, fact.missed)
        gather(system, step)
    elif _is_stale_all_the_same(system, owed, fact, step):
        pass
    elif fact.problem:
        _note(system, owed, StaleState.NOT_REMEMBERED, step, cause=fact.problem)
    elif fact.reads is None:
        _without_dataset(system, owed, fact.candidates, step)
    elif fact.overwritten:
        _note(system, owed, StaleState.OVERWRITE, step, fact.overwritten)
    else:
        _missed_nothing(system, owed, step)


def _is_stale_all_the_same(system: System, owed: Owed, fact: facts.OwedFetched, step: Step) -> bool:
    """Whether a unit stays stale, whatever is known of a computation: it is not known to have seen what was missed.

    A replay saw what came before it was sent. What it, or an event, saw else is known where it is known what it read;
    but Discovery may name a unit for another reason, unless that commit is one that the computation overwrote.
    """
    known = system.ledger.stale.get(owed.unit)
    if known is None or known.state is not StaleState.STALE:
        return False
    if fact.reads is not None and known.cause != NAMED_AGAIN:
        return False
    since = owed.since if owed.instance_id != owed.unit[0] else -1
    overwritten = {commit.instance_id for commit in fact.overwritten}
    if all(commit.number <= since or commit.instance_id in overwritten for commit in known.missed):
        return False
    _stays(system, known, step)
    return True


def _missed_nothing(system: System, owed: Owed, step: Step) -> None:
    """A computation missed nothing that the ledger has. What Discovery is asked about, or was, it has not."""
    known = system.ledger.stale.get(owed.unit)
    own = owed.instance_id == owed.unit[0]
    if own and known is not None and (known.to_ask or known.cause == TOO_MANY):
        return
    if own and known is not None and known.state is StaleState.NOT_FINISHED:
        unknown = tuple(commit for commit in _not_to_come(system, known) if not commit.number)
        if unknown and known.more:
            too_many(system, known, step)
            return
        if unknown:  # the ledger lost its rows, or never had them, since the unit's own commit was made
            await_question(system, structs.replace(known, missed=unknown), unknown, step)
            return
    _found_fresh(system, owed, step)


def _found_fresh(system: System, owed: Owed, step: Step) -> None:
    known = system.ledger.stale.get(owed.unit)
    if known is not None and _is_hidden(known, owed.instance_id):
        fresh(system, owed.unit, step)
    elif known is not None:
        take_off(system, owed.unit, step)


def not_visible(system: System, owner: Delivery | Document, instance_id: str, step: Step) -> None:
    """API core refuses for good to call a committed instance finished. What is said of it already says more for now."""
    unit = (instance_id, owner.branch)
    known = system.ledger.stale.get(unit)
    if known is not None and known.instance_id == instance_id:
        _change(system, structs.replace(known, hidden=True), step)
    elif known is None:
        forking = isinstance(owner, Document) and owner.forking
        _note(system, Owed(0, instance_id, unit, forking, reads=True), StaleState.UNVERIFIED, step, cause=NOT_VISIBLE)


def _is_hidden(known: Stale, instance_id: str) -> bool:
    """Whether Discovery may never name this computation: that is so however fresh it is."""
    return known.instance_id == instance_id and (known.hidden or known.cause == NOT_VISIBLE)


def fresh(system: System, unit: UnitKey, step: Step) -> None:
    """What was said of a unit is not so. It stays on the list when Discovery may never name it."""
    known = system.ledger.stale[unit]
    if not _is_hidden(known, known.instance_id):
        take_off(system, unit, step)
    elif known.cause != NOT_VISIBLE:
        owed = Owed(0, known.instance_id, unit, known.forking, reads=True)
        _note(system, owed, StaleState.UNVERIFIED, step, cause=NOT_VISIBLE)


def _without_dataset(system: System, owed: Owed, candidates: tuple[MissedCommit, ...] | None, step: Step) -> None:
    """What it read is not known: Discovery is asked about the commits that it may have missed, if these are known."""
    known = system.ledger.stale.get(owed.unit)
    if known is not None and known.more:
        too_many(system, known, step)
        return
    early = _not_to_come(system, known) if known is not None and known.state is StaleState.NOT_FINISHED else ()
    also = tuple(commit for commit in candidates or () if commit.instance_id not in {one.instance_id for one in early})
    to_ask = (*early, *also)
    if candidates is None:
        _note(system, owed, StaleState.UNVERIFIED, step, cause=NO_DATASET)
        if early:
            await_question(system, system.ledger.stale[owed.unit], early, step)
    elif to_ask:
        _note(system, owed, StaleState.UNVERIFIED, step, cause=f"{NO_DATASET}; Discovery is asked what it missed")
        await_question(system, system.ledger.stale[owed.unit], to_ask, step)
    else:
        _found_fresh(system, owed, step)


def _not_to_come(system: System, known: Stale) -> tuple[MissedCommit, ...]:
    return tuple(commit for commit in known.missed if not is_asked_about(system, commit.instance_id))


def is_asked_about(system: System, instance_id: str) -> bool:
    """Whether it is still to be asked whom the commit impacts: it is held, and each start of a run finds who it is.

    Nothing of the instance is committed yet, by a reconsidered event neither; and no run has asked and may be about to.
    """
    held = [doc for doc in system.documents.values() if doc.held_instance == instance_id]
    asked = any(doc.running and (doc.start_asked or doc.stage in _ASKING) for doc in held)
    return bool(held) and not asked and not system.has_committed(instance_id)


def forgotten(system: System, oldest: Oldest, step: Step) -> None:
    """The reads of a unit left the ledger. What is said of it already says more."""
    if oldest.unit is not None and oldest.unit not in system.ledger.stale:
        owed = Owed(oldest.number, oldest.instance_id, oldest.unit, oldest.forking, reads=True)
        _note(system, owed, StaleState.NOT_REMEMBERED, step, cause="it is among the oldest of the ledger")


def replayed(system: System, unit: UnitKey, step: Step, since: int) -> None:
    """A unit was computed again, after the ledger's entry `since`: what was missed before is not missed now.

    What it read is not known: no ledger is kept.
    """
    known = system.ledger.stale.get(unit)
    if known is None:
        return
    younger = known.state is StaleState.STALE and any(commit.number > since for commit in known.missed)
    if younger:
        _stays(system, known, step)
    else:
        take_off(system, unit, step)


def _stays(system: System, known: Stale, step: Step) -> None:
    """A unit is stale though it was replayed: the run that has done so began before what it missed."""
    if known.document_id and not _is_to_replay(system, known):
        assign(system, known.unit, "", step)
        gather(system, step)


def _is_to_replay(system: System, known: Stale) -> bool:
    """Whether the late reprocessing of a note is still to replay its unit."""
    doc = system.documents.get(known.document_id)
    if doc is None or not doc.live:
        return False
    unit = doc.units.get(known.unit)
    if unit is None:
        return doc.status in (Status.PENDING, Status.APPROVED)
    return not unit.settled


def overlooked(system: System, reader: Reader, missed: MissedCommit, step: Step) -> None:
    """A unit read what a commit changed, and came between the question whom it impacts and the commit."""
    _note(
        system, Owed(0, reader.instance_id, reader.unit, reader.forking, reads=True), StaleState.STALE, step, (missed,)
    )
    gather(system, step)


def named_late(system: System, unit: Impacted, missed_instance: str, step: Step, cause: str = "") -> None:
    """Discovery names a unit only when it is asked again: the commit is made, so the unit is stale."""
    owed = Owed(0, unit.instance_id, unit.key, unit.forking, reads=True)
    if not system.keeps_ledger:
        system.ledger.last += 1  # no entry, but the order of notes and sends
    _note(system, owed, StaleState.STALE, step, (MissedCommit(system.ledger.last, missed_instance),), cause)
    gather(system, step)


def await_question(system: System, stale: Stale, to_ask: tuple[MissedCommit, ...], step: Step) -> None:
    """Have Discovery asked whether a unit missed these commits: its own is made."""
    system.ledger.to_ask[stale.unit] = None
    _change(system, structs.replace(stale, to_ask=to_ask), step)


def not_missed(system: System, unit: UnitKey, instance_id: str, step: Step) -> None:
    """A commit that named a unit before its own is not made after all, or was not missed."""
    known = system.ledger.stale[unit]
    missed = tuple(commit for commit in known.missed if commit.instance_id != instance_id)
    to_ask = tuple(commit for commit in known.to_ask if commit.instance_id != instance_id)
    if not (missed or to_ask or known.more) and known.cause != NO_DATASET:
        fresh(system, unit, step)
        return
    _change(system, structs.replace(known, missed=missed, to_ask=to_ask), step)
    if to_ask:
        system.ledger.to_ask[unit] = None


def named_early(system: System, unit: Impacted, missed: MissedCommit, step: Step) -> None:
    """Discovery names a unit whose own commit is still to come. What is said of it already may say more.

    It keeps its place among the notes: one that is named again and again gives way to newer ones all the same.
    """
    known = system.ledger.stale.get(unit.key)
    if known is None:
        stale = Stale(0, unit.key, unit.forking, unit.instance_id, StaleState.NOT_FINISHED, system.now, (missed,))
        _put(system, stale, step)
    elif known.state is StaleState.NOT_FINISHED and missed.instance_id not in {one.instance_id for one in known.missed}:
        named_again = _with(known, missed)
        if named_again != known:
            _change(system, named_again, step)


def _with(known: Stale, missed: MissedCommit) -> Stale:
    """Return a note with one more commit. Of too many those are kept that tell whether the ledger has them all."""
    if len(known.missed) < KEPT_EARLY:
        return structs.replace(known, missed=(*known.missed, missed))
    kept = known.missed
    if not missed.number and all(commit.number for commit in kept):
        kept = (*kept[:-1], missed)
    return structs.replace(known, missed=kept, more=True)


def too_many(system: System, known: Stale, step: Step) -> None:
    """More commits named a unit before its own than Discovery can be asked about."""
    owed = Owed(0, known.instance_id, known.unit, known.forking, reads=True)
    _note(system, owed, StaleState.UNVERIFIED, step, known.missed, TOO_MANY)


def left_out(system: System, unit: UnitKey, instance_id: str, user: str, reason: str, step: Step) -> None:
    """A unit is left out of the run that should have replayed it; a late one that has it replays it all the same."""
    known = system.ledger.stale.get(unit)
    if known is not None and known.state is StaleState.STALE and _is_to_replay(system, known):
        return
    _put(system, Stale(0, unit, False, instance_id, StaleState.LEFT_OUT, system.now, user=user, reason=reason), step)  # noqa: FBT003 - a field


def accept(system: System, document_id: str, user: str, reason: str, step: Step) -> None:
    """Somebody decided that the units of a late reprocessing stay as they are."""
    for stale in [one for one in system.ledger.stale.values() if one.document_id == document_id]:
        accepted = structs.replace(stale, state=StaleState.ACCEPTED, user=user, reason=reason, document_id="")
        _change(system, accepted, step)


def assign(system: System, unit: UnitKey, document_id: str, step: Step) -> None:
    """A late reprocessing is to replay the unit; without an id none is any more."""
    _change(system, structs.replace(system.ledger.stale[unit], document_id=document_id), step)


def gather(system: System, step: Step, since: float | None = None) -> None:
    """Have a late reprocessing opened when stale units have gathered for a while: from now, or since then."""
    book = system.ledger
    if system.rules.late_policy is LatePolicy.REPORT or book.late_due:
        return
    began = system.now if since is None else min(since, system.now)
    book.late_due = began + system.rules.late_after
    step.do(do.WakeAt(do.Topic.LATE, "gather", book.late_due))


def _note(
    system: System, owed: Owed, state: StaleState, step: Step, missed: tuple[MissedCommit, ...] = (), cause: str = ""
) -> None:
    first = tuple(sorted(missed, key=lambda commit: commit.number)[:NAMED])
    stale = Stale(0, owed.unit, owed.forking, owed.instance_id, state, system.now, first, cause)
    known = system.ledger.stale.get(owed.unit)
    if known is not None and state is StaleState.STALE and _is_to_replay(system, known):
        stale = structs.replace(stale, document_id=known.document_id)
    _put(system, stale, step)


def _put(system: System, stale: Stale, step: Step) -> None:
    """Put a new note on the list: it is the newest, whatever was said of its unit before."""
    book = system.ledger
    book.noted += 1
    known = book.stale.get(stale.unit)
    if known is not None:
        book.take_off(stale.unit)
    elif len(book.stale) >= KEPT:
        _let_one_leave(system, step)
    hidden = known is not None and _is_hidden(known, stale.instance_id)
    _change(system, structs.replace(stale, number=book.noted, hidden=hidden), step)
    step.save(SaveBook(book))


def rows_unknown(system: System, instance_id: str, step: Step) -> None:
    """The ledger cannot say which rows a commit changed: of the units that it named early only Discovery can tell."""
    for unit in tuple(system.ledger.named_by.get(instance_id, ())):
        stale = system.ledger.stale[unit]
        missed = tuple(
            structs.replace(commit, number=0) if commit.instance_id == instance_id else commit
            for commit in stale.missed
        )
        _change(system, structs.replace(stale, missed=missed), step)


def _change(system: System, stale: Stale, step: Step) -> None:
    system.ledger.put(stale)
    step.save(SaveStale(stale))


def _let_one_leave(system: System, step: Step) -> None:
    """Let a note leave for a newer one. The reprocessing that is to replay its unit replays it all the same."""
    book = system.ledger
    book.stale_left += 1
    unit = book.first_to_leave
    doc = system.documents.get(book.stale[unit].document_id)
    if doc is not None and not doc.unlisted:
        doc.unlisted = True
        step.save(SaveDocument(doc))
    take_off(system, unit, step)


def take_off(system: System, unit: UnitKey, step: Step) -> None:
    """Take a unit off the list."""
    system.ledger.take_off(unit)
    step.save(DropStale(unit))
