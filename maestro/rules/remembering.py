"""What the ledger takes in: each commit with the rows that it changed, and what its computation had read.

An entry stands for one commit and has a number, which gives the order of the log. What is not at hand when the commit
is made is *owed*: stored with the commit, and fetched before the next result is judged (semantics: The ledger, 4). So a
question to the ledger never meets an entry that is half there.
"""

from typing import Final

from msgspec import Struct

from maestro.rules import commands as do
from maestro.rules import facts, not_finished, staleness
from maestro.rules.delivery import Delivery, Verdict
from maestro.rules.document import Document
from maestro.rules.doubt import Doubt
from maestro.rules.impact import LEDGER, Impacted, UnitKey
from maestro.rules.ledger import Footprint
from maestro.rules.ledger_book import HELD_ALONE_LIMIT, Entry, MissedCommit, Owed, Scope
from maestro.rules.outage import pause
from maestro.rules.state import System
from maestro.rules.step import DropEntry, SaveBook, SaveEntry, SaveOwed, Step
from maestro.rules.unit import Unit

#: Key of the wake-up that is due when the oldest entries are to be looked for again.
OLDEST: Final = "oldest"
#: Seconds that an event waits for what is owed before it is asked whether it has to.
AT_ONCE: Final = 0.1


class _Commit(Struct, frozen=True, kw_only=True):
    """One commit that was made just now."""

    instance_id: str
    unit: UnitKey
    footprint: Footprint | None
    #: What the computation read is to be known as well.
    reads: bool = True
    #: As of `Owed`.
    forking: bool = False
    generation: int = 0
    since: int = 0
    in_doubt_since: int = -1


def open_ledger(system: System, step: Step) -> None:
    """A run begins: from here on every commit's rows are kept, its held commit's first.

    Or it goes on in a life that keeps a ledger, unlike the one before.
    """
    if system.rules.ledger_scope is not Scope.OFF and not system.ledger.begun:
        system.ledger.begun = True
        step.save(SaveBook(system.ledger))


def judged(system: System, delivery: Delivery, units: tuple[Impacted, ...], step: Step) -> tuple[Impacted, ...]:
    """Return the units that an event is held for, and count the events that the ledger alone holds.

    When these are many, somebody must look. Where the ledger only reports, what it alone names holds nothing.
    """
    if not system.keeps_ledger:
        return units
    if system.rules.ledger_reports:
        delivery.reported = tuple(unit for unit in units if unit.named == LEDGER)
        return tuple(unit for unit in units if unit.named != LEDGER)
    book = system.ledger
    alone = bool(units) and all(unit.named == LEDGER for unit in units)
    before = sum(book.held)
    book.held.append(alone)
    if not alone:
        return units
    book.held_alone += 1
    if before == HELD_ALONE_LIMIT and sum(book.held) > before:
        names = ", ".join(f"{unit.instance_id} on {unit.branch}" for unit in units[:5])
        text = f"the ledger alone held {before + 1} of the last {len(book.held)} events, the last one for {names}"
        step.do(do.RaiseAlarm(do.Alarm.LEDGER_HOLDS, delivery.instance_id, text))
    return units


def settled(system: System) -> bool:
    """Whether the ledger is whole: nothing is owed that the next question could touch."""
    return not system.ledger.owed


def takes_longer(system: System, step: Step) -> bool:
    """Whether what is owed is not there at once: meanwhile the next event can be asked whether it has to wait for it.

    That it takes longer is known after a short while, from the first time on that an event has to wait for it.
    """
    book = system.ledger
    oldest = next(iter(book.owed), 0)
    if oldest and book.waited_for != oldest:
        book.waited_for = oldest
        step.do(do.WakeAt(do.Topic.OWED, "", system.now + AT_ONCE))
    return bool(oldest) and book.slow == oldest


def on_woken(system: System, key: str, _step: Step) -> None:
    """An event has waited for a while, or a look that failed is due again: `advance` follows each fact."""
    if key == OLDEST:
        system.ledger.look_put_off = False
    else:
        system.ledger.slow = system.ledger.waited_for


def event_committed(system: System, delivery: Delivery, step: Step) -> None:
    """Take in the commit of an event. One that waited, came back or was in doubt may have read what others changed."""
    for reported in delivery.reported:
        staleness.named_late(system, reported, delivery.instance_id, step)
    judged_late = not_finished.committed(
        system, delivery.instance_id, delivery.branch, step, reads_are_kept=system.keeps_ledger
    )
    if system.keeps_ledger:
        out_of_turn = judged_late or delivery.waited or delivery.redriven or bool(delivery.doubt)
        # Of one that a former life decided it is not known what it changes, nor what was made beside it.
        out_of_turn = out_of_turn or delivery.spanned or delivery.footprint is None
        out_of_turn = out_of_turn or system.rules.ledger_scope is Scope.ALL
        # A run beside it has asked whom its next commit impacts, and may not have been told of this one.
        out_of_turn = out_of_turn or any(doc.has_asked for doc in system.live.values())
        unit = (delivery.instance_id, delivery.branch)
        doubt = system.doubts.get(delivery.doubt)
        last = doubt.last if doubt is not None else -1
        commit = _Commit(
            instance_id=delivery.instance_id, unit=unit, footprint=delivery.footprint, reads=out_of_turn,
            in_doubt_since=last,
        )  # fmt: skip
        _take_in(system, commit, step)
    else:
        _leave_gap(system, step)
    not_finished.made(system, delivery.instance_id, step)


def held_committed(system: System, doc: Document, step: Step, *, in_doubt_since: int = -1) -> None:
    """Take in the held commit of a run; one that was in doubt may have been made as long ago as that entry."""
    not_finished.committed(system, doc.held_instance, doc.branch, step, reads_are_kept=system.keeps_ledger)
    if system.keeps_ledger:
        unit = (doc.held_instance, doc.branch)
        commit = _Commit(
            instance_id=doc.held_instance, unit=unit, footprint=doc.footprint, forking=doc.forking,
            in_doubt_since=in_doubt_since,
        )  # fmt: skip
        _take_in(system, commit, step)
        doc.footprint = None
    else:
        _leave_gap(system, step)
    not_finished.made(system, doc.held_instance, step)


def replay_committed(system: System, doc: Document, unit: Unit, step: Step) -> None:
    """Take in the commit of a replay: what it read takes the place of what its unit read before."""
    if system.keeps_ledger:
        commit = _Commit(
            instance_id=unit.result_instance, unit=unit.key, footprint=doc.footprint, forking=unit.forking,
            generation=doc.generation, since=unit.logged,
        )  # fmt: skip
        _take_in(system, commit, step)
        doc.footprint = None
    else:
        _leave_gap(system, step)
        staleness.replayed(system, unit.key, step, unit.logged)
    not_finished.made(system, unit.result_instance, step)


def doubtful_replay_committed(system: System, doubt: Doubt, generation: int, step: Step) -> None:
    """Take in the commit of a replay that was in doubt, and was made: its run has ended since."""
    if system.keeps_ledger:
        commit = _Commit(
            instance_id=doubt.instance_id, unit=doubt.unit, footprint=None, forking=doubt.forking,
            generation=generation, since=doubt.logged, in_doubt_since=doubt.last,
        )  # fmt: skip
        _take_in(system, commit, step)
    else:
        _leave_gap(system, step)
        staleness.replayed(system, doubt.unit, step, doubt.logged)
    not_finished.made(system, doubt.instance_id, step)


def _leave_gap(system: System, step: Step) -> None:
    """A commit is not taken in: what came before it does not say any more who wrote a row last."""
    book = system.ledger
    if book.whole_from != book.last:
        book.whole_from = book.last
        step.save(SaveBook(book))


def _take_in(system: System, commit: _Commit, step: Step) -> None:
    if not commit.reads and commit.footprint is not None and not commit.footprint.changed:
        return  # it changes no row that anybody can have read
    book = system.ledger
    book.last += 1
    # Of a commit that a former life decided it is not known any more: all who read its rows are looked at again.
    asked = commit.footprint.asked if commit.footprint is not None else 0
    owed = Owed(
        book.last, commit.instance_id, commit.unit, commit.forking, commit.reads, commit.generation, commit.since,
        asked, commit.in_doubt_since, system.now, commit.footprint,
    )  # fmt: skip
    if owed.incomplete:
        book.owed[owed.number] = owed
        step.save(SaveOwed(owed), SaveBook(book))
    else:
        _write(system, Entry(owed, commit.footprint), step)


def advance(system: System, step: Step) -> None:
    """Fetch what is owed, one entry after the other; let the oldest entries leave when there are too many rows."""
    book = system.ledger
    _note_spanned(system)
    if book.fetching or system.closing:
        return
    if book.owed:
        owed = next(iter(book.owed.values()))
        book.fetching = owed.number
        step.do(do.FetchOwed(owed.number))
    elif book.size > system.rules.ledger_rows and not book.look_put_off:
        book.fetching = -1
        step.do(do.FindOldestEntries(book.size - system.rules.ledger_rows))


def _note_spanned(system: System) -> None:
    """Note of an event whose commit is under way that it is in doubt, or that a run beside it may commit meanwhile."""
    delivery = system.judged
    if delivery is not None and delivery.verdict is Verdict.COMMIT and not delivery.spanned:
        delivery.spanned = bool(system.cases) or any(doc.has_asked for doc in system.live.values())


def on_owed_fetched(system: System, fact: facts.OwedFetched, step: Step) -> None:
    """All is known about the oldest owed entry, or it cannot be known: the unit is not remembered then."""
    book = system.ledger
    owed = book.owed.pop(fact.number, None)
    book.fetching = 0
    if owed is None:
        return
    if owed.reads:
        staleness.judge(system, owed, fact, step)
    for reader in fact.overlooked:
        commit = MissedCommit(owed.number, owed.instance_id, owed.generation)
        staleness.overlooked(system, reader, commit, step)
    footprint = fact.footprint
    if footprint is None and owed.in_doubt_since < 0:
        footprint = owed.footprint  # what was fetched in vain is something else
    if footprint is None:
        staleness.rows_unknown(system, owed.instance_id, step)
    _write(system, Entry(owed, footprint, fact.reads, fact.replaces), step)


def _write(system: System, entry: Entry, step: Step) -> None:
    book = system.ledger
    book.size += entry.size - (entry.replaces.reads if entry.replaces else 0)
    step.save(SaveEntry(entry), SaveBook(book))


def on_oldest_entries_found(system: System, fact: facts.OldestEntriesFound, step: Step) -> None:
    """The oldest entries leave; of the units whose reads go with them nothing is remembered."""
    book = system.ledger
    book.fetching = 0
    if fact.problem:
        book.look_put_off = True
        step.do(do.WakeAt(do.Topic.OWED, OLDEST, system.now + pause(book.looks_failed)))
        book.looks_failed += 1
        return
    book.looks_failed = 0
    for oldest in fact.entries:
        book.size -= oldest.size
        if oldest.unit is not None:
            staleness.forgotten(system, oldest, step)
        staleness.rows_unknown(system, oldest.instance_id, step)
        step.save(DropEntry(oldest))
    if not fact.entries:
        book.size = 0
    step.save(SaveBook(book))
