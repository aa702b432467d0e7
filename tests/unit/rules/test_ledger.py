"""The ledger: who is impacted by what was read, who missed what, and what is taken in when."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maestro.events import MASTER
from maestro.rules import commands as do
from maestro.rules import facts, remembering, staleness
from maestro.rules.doubt import CommitEnd, Finding
from maestro.rules.impact import Impacted
from maestro.rules.ledger import (
    Footprint,
    Last,
    Missed,
    Read,
    Reader,
    Reads,
    affected,
    base_key,
    copies,
    merged,
    missed,
    row_key,
    touched,
    writer_key,
)
from maestro.rules.ledger_book import MissedCommit, Scope, StaleState
from maestro.rules.staleness import NOT_VISIBLE
from maestro.rules.step import Step
from maestro.system.ledger import Ledger
from tests.unit.rules.driver import P1, P2, Driver, drive, footprint

# --- keys -----------------------------------------------------------------------------------------------------


def test_copies_of_a_row_share_their_base_and_rows_of_other_types_do_not() -> None:
    base = base_key("conta", "c1", "r1")

    assert base == base_key("conta", "c1", "another rid")
    assert base != base_key("juros", "c1", "r1")
    assert base_key("conta", "", "c1") != base_key("conta", "c1", "")
    assert row_key(base, MASTER) == base
    assert len({base, row_key(base, "b1"), row_key(base, "b2")}) == 3
    assert -(2**63) <= row_key(base, "b1") < 2**63
    assert writer_key("") == 0


def test_who_names_a_unit_is_said() -> None:
    both = merged((P1, P2), (Impacted("p2", MASTER, named="ledger"), Impacted("p9", MASTER, named="ledger")))

    assert [(unit.instance_id, unit.named) for unit in both] == [("p1", "discovery"), ("p2", "both"), ("p9", "ledger")]


# --- against a naive model ------------------------------------------------------------------------------------------

BRANCHES = (MASTER, "b1", "b2")
branches = st.sampled_from(BRANCHES)


@dataclass
class World:
    """What a domain with scenarios does, by the book: no hashes, no look-ups, every row seen by its name."""

    #: (row, branch) -> the instances that wrote it, oldest first.
    written: dict[tuple[int, str], list[str]] = field(default_factory=dict)
    #: Unit -> what its last computation read: (row, branch of the copy, its version), and which rows it wrote.
    read: dict[tuple[str, str], tuple[list[tuple[int, str, str]], set[int]]] = field(default_factory=dict)

    def copy(self, row: int, branch: str) -> str:
        return branch if (row, branch) in self.written else MASTER

    def version(self, row: int, branch: str) -> str:
        return (self.written.get((row, self.copy(row, branch))) or [""])[-1]

    def impacted(self, rows: list[int], branch: str) -> set[tuple[str, str]]:
        """Who would see another value, had it not computed yet: its branch shows the row that is changed."""
        return {
            unit
            for unit, (seen, wrote) in self.read.items()
            for row, where, _ in seen
            if row in rows and row not in wrote
            if unit[1] == branch or (branch == MASTER and where == MASTER and self.copy(row, unit[1]) == MASTER)
        }


commits = st.lists(
    st.tuples(
        st.integers(0, 5),  # the instance: one that comes again is a replay
        branches,
        st.lists(st.integers(0, 3), max_size=3, unique=True),  # reads
        st.lists(st.integers(0, 3), max_size=2, unique=True),  # writes
    ),
    max_size=12,
)


@given(commits, st.lists(st.integers(0, 3), min_size=1, max_size=2, unique=True), branches)
def test_the_ledger_names_who_the_model_names(
    history: list[tuple[int, str, list[int], list[int]]], rows: list[int], branch: str
) -> None:
    world, driver = World(), Driver(ledger_scope=Scope.ALL)
    for nth, (who, where, seen, wrote) in enumerate(history):
        _compute(world, driver, f"u{who}", where, seen, wrote, f"w{nth}")

    assert set(driver.named(*map(_base, rows), branch=branch)) == world.impacted(rows, branch)


def _compute(
    world: World, driver: Driver, unit: str, branch: str, seen: list[int], wrote: list[int], instance: str
) -> None:
    """A unit computes, and its commit is made, as the ledger sees it: a replay's under the name of its unit."""
    found = [(row, world.copy(row, branch), world.version(row, branch)) for row in seen]
    world.read[unit, branch] = (found, set(wrote))
    step = Step()
    rows = footprint(*map(_base, wrote))
    commit = remembering._Commit(instance_id=instance, unit=(unit, branch), footprint=rows)
    remembering._take_in(driver.system, commit, step)
    remembering.advance(driver.system, step)
    driver.log += step.commands
    driver.store.commit(driver.repository.writes(step.saves), durable=True)
    reads = (Read(_base(row), where, writer_key(version), row in wrote) for row, where, version in found)
    driver.owed(*reads)
    for row in wrote:
        world.written.setdefault((row, branch), []).append(instance)


def _base(row: int) -> int:
    return base_key("t", str(row), "")


# --- one rule each ---------------------------------------------------------------------------------------------------

ROW = base_key("conta", "c1", "")


def ask(changed: str, reader: Reader, *own: int) -> tuple[Reader, ...]:
    rows = touched(Footprint(((changed, (ROW,)),)), MASTER)
    return affected(rows, [reader] if reader.row in rows else [], {key: Last(1, 1) for key in own})


def test_a_reader_of_the_trunk_is_impacted_on_its_branch_unless_that_has_a_copy() -> None:
    reader = Reader(ROW, "p1", "b1", forking=False, wrote=False)

    assert [one.unit for one in ask(MASTER, reader)] == [("p1", "b1")]
    assert ask(MASTER, reader, row_key(ROW, "b1")) == ()
    assert copies(touched(Footprint(((MASTER, (ROW,)),)), MASTER), [reader]) == (row_key(ROW, "b1"),)


def test_a_scenario_changes_nothing_for_the_trunk_and_other_scenarios() -> None:
    assert ask("b1", Reader(ROW, "p1", MASTER, forking=False, wrote=False)) == ()
    assert ask("b1", Reader(ROW, "p1", "b2", forking=False, wrote=False)) == ()
    assert [one.unit for one in ask("b1", Reader(ROW, "p1", "b1", forking=True, wrote=False))] == [("p1", "b1")]


def test_who_wrote_the_row_itself_is_not_impacted() -> None:
    assert ask(MASTER, Reader(ROW, "p1", MASTER, forking=False, wrote=True)) == ()


A, C = writer_key("A"), writer_key("C")


@pytest.mark.parametrize(
    ("read", "lasts", "expected"),
    [
        (Read(ROW, MASTER, A), {}, ()),
        (Read(ROW, MASTER, A), {ROW: Last(1, A)}, ()),
        (Read(ROW, MASTER, A), {ROW: Last(2, C)}, (Missed(ROW, 2, overwrite=False),)),
        (Read(ROW, MASTER, A, wrote=True), {ROW: Last(2, C)}, (Missed(ROW, 2, overwrite=True),)),
        (Read(ROW, MASTER, A), {ROW: Last(2, writer_key("W"))}, ()),
        (Read(ROW, MASTER, 0), {ROW: Last(2, C)}, ()),
    ],
)  # fmt: skip
def test_what_a_computation_missed(read: Read, lasts: dict[int, Last], expected: tuple[Missed, ...]) -> None:
    assert missed([read], MASTER, "W", lasts) == expected


def test_on_a_branch_its_own_copy_counts_and_else_the_trunks() -> None:
    trunk, own = Read(ROW, MASTER, A), row_key(ROW, "b1")

    assert missed([trunk], "b1", "W", {ROW: Last(2, C)}) == (Missed(ROW, 2, overwrite=False),)
    assert missed([trunk], "b1", "W", {own: Last(3, C)}) == (Missed(own, 3, overwrite=False),)
    assert missed([Read(ROW, "b1", A)], "b1", "W", {ROW: Last(2, C)}) == ()


# --- what is taken in, and when --------------------------------------------------------------------------------------


@pytest.fixture
def it() -> Driver:
    return Driver(ledger_scope=Scope.REPLAYS)


def after_a_run(it: Driver) -> None:
    """J (p1) read A's row; C corrected it, and J was replayed."""
    it.run(P1)
    it.owed(changed=(ROW,))
    it.sent()
    it.result("j1", "p1")
    it.replay_impact(footprint=footprint())
    it.replay_committed()
    it.owed(Read(ROW, MASTER, writer_key("i1")))
    it.end()


def test_before_the_first_run_nothing_is_kept(it: Driver) -> None:
    it.arrive("i1")
    it.impact(footprint=footprint(ROW))
    it.committed()

    assert it.system.ledger.last == 0
    assert not any(isinstance(command, do.FetchOwed) for command in it.log)


def test_after_a_run_the_next_correction_impacts_who_was_replayed(it: Driver) -> None:
    after_a_run(it)

    assert it.named(ROW) == [("p1", MASTER)]
    assert it.system.ledger.owed == {}


def test_a_second_correction_is_held_for_the_unit_that_the_ledger_names(it: Driver) -> None:
    after_a_run(it)
    it.arrive("c2")
    it.impact(Impacted("p1", MASTER, named="ledger"), footprint=footprint(ROW))
    it.origins(id_="d2")

    doc = it.system.documents["d2"]
    assert [(unit.key, unit.named) for unit in doc.order] == [(("p1", MASTER), "ledger")]
    assert it.repository.units("d2")[0].named == "ledger"


def test_reads_of_another_round_take_the_place_of_the_former(it: Driver) -> None:
    after_a_run(it)
    other = base_key("conta", "c2", "")
    it.arrive("c2")
    it.impact(P1, footprint=footprint(ROW))
    it.origins(id_="d2")
    it.approve("d2")
    it.start()
    it.held_committed()
    it.owed(changed=(ROW,))
    size = it.system.ledger.size
    it.sent()
    command = it.last(do.SendReplay)
    assert command.id == "d2"
    it.tell_result("j2", "p1", "d2")
    it.replay_impact(footprint=footprint())
    it.replay_committed()
    it.owed(Read(other, MASTER, A))

    assert it.named(ROW) == []
    assert it.named(other) == [("p1", MASTER)]
    assert it.system.ledger.size == size + 1  # an entry and a row came, a row went


def test_the_next_event_is_judged_when_nothing_is_owed(it: Driver) -> None:
    it.run(P1)
    it.owed()
    it.sent()
    it.result("j1", "p1")
    it.replay_impact()
    it.replay_committed()
    it.end()
    it.arrive("i2")

    assert not it.asked(do.AskImpact)
    it.owed(Read(ROW, MASTER, A))
    assert it.asked(do.AskImpact)


def test_a_result_is_assessed_when_nothing_is_owed(it: Driver) -> None:
    it.run(P1)
    it.sent()
    it.result("j1", "p1")

    assert not it.asked(do.AskReplayImpact)
    it.owed(changed=(ROW,))
    assert it.asked(do.AskReplayImpact)


def test_what_cannot_be_had_is_not_remembered_and_stalls_nobody(it: Driver) -> None:
    it.run(P1)
    it.sent()
    it.result("j1", "p1")
    it.owed(problem="out of reach")

    assert it.asked(do.AskReplayImpact)
    assert [one.state for one in it.system.ledger.stale.values()] == [StaleState.NOT_REMEMBERED]


def test_who_read_what_a_commit_changed_is_stale_though_what_it_read_itself_cannot_be_had() -> None:
    it = Driver(ledger_scope=Scope.ALL)
    it.arrive("x")
    it.impact(footprint=footprint())
    it.committed()
    it.owed(Read(ROW, MASTER, A))
    it.arrive("c")
    it.tell(facts.ImpactFound(it.last(do.AskImpact).token, (), footprint(ROW)))  # asked before x was in the ledger
    it.committed()
    it.owed(problem="process memory: answered 500")

    states = {unit[0]: one.state for unit, one in it.system.ledger.stale.items()}
    assert states == {"x": StaleState.STALE, "c": StaleState.NOT_REMEMBERED}


def test_what_is_owed_survives_a_crash(it: Driver) -> None:
    it.run(P1)
    assert it.system.ledger.owed

    assert any(isinstance(command, do.FetchOwed) for command in it.restart())
    it.owed(changed=(ROW,))
    assert not any(isinstance(command, do.FetchOwed) for command in it.restart())
    assert it.store.last_writes([ROW]) == {ROW: (1, writer_key("i1"))}
    assert it.system.ledger.begun


def test_an_event_in_its_turn_leaves_its_writes_only(it: Driver) -> None:
    after_a_run(it)
    it.arrive("i5")
    it.impact(footprint=footprint(ROW))
    it.committed()

    assert it.system.ledger.owed == {}
    assert it.store.last_writes([ROW])[ROW].writer == writer_key("i5")


def test_an_event_that_waited_owes_what_it_read(it: Driver) -> None:
    it.run(P1)
    it.arrive("w1")
    it.owed()
    it.replay_to_the_end("j1", "p1")
    it.impact(footprint=footprint())
    it.committed()

    owed = next(iter(it.system.ledger.owed.values()))
    assert (owed.instance_id, owed.reads) == ("w1", True)


@pytest.mark.parametrize("crash", [False, True])
def test_an_event_that_came_back_owes_what_it_read_after_a_crash_too(it: Driver, *, crash: bool) -> None:
    after_a_run(it)
    it.arrive("w1", redriven=True)
    it.impact(footprint=footprint())
    if crash:
        it.restart()
        it.proof(Finding.ROWS)
    else:
        it.committed()

    owed = next(iter(it.system.ledger.owed.values()))
    assert (owed.instance_id, owed.reads) == ("w1", True)


def test_after_a_crash_between_verdict_and_commit_the_rows_are_asked_for(it: Driver) -> None:
    after_a_run(it)
    it.arrive("i5")
    it.impact(footprint=footprint(ROW))
    it.restart()
    it.proof(Finding.ROWS)

    assert it.last(do.FetchOwed).number == it.system.ledger.last
    it.owed(changed=(ROW,))
    assert it.store.last_writes([ROW])[ROW].writer == writer_key("i5")


def test_the_oldest_entries_leave_when_there_are_too_many_rows() -> None:
    it = Driver(ledger_scope=Scope.ALL, ledger_rows=6)
    rows = [base_key("t", str(n), "") for n in range(4)]
    for nth, row in enumerate(rows):
        it.arrive(f"i{nth}")
        it.impact(footprint=footprint(row))
        it.committed()
        it.owed(Read(row, MASTER, A))
        if it.asked(do.FindOldestEntries):
            it.oldest_found()

    assert it.system.ledger.size <= 6
    assert list(it.system.ledger.stale) == [("i0", MASTER), ("i1", MASTER)]
    assert sorted(it.store.last_writes(rows)) == sorted(rows[2:])
    assert [reading.row for reading in it.store.readings(rows)] == rows[2:]
    assert len(list(it.store.rows("ledger_log"))) == len(list(it.store.rows("ledger_units"))) == 2


def test_a_look_for_the_oldest_entries_that_fails_is_repeated_later() -> None:
    it = Driver(ledger_scope=Scope.ALL, ledger_rows=2)
    it.arrive("i1")
    it.impact(footprint=footprint(ROW))
    it.committed()
    it.owed(Read(ROW, MASTER, A))
    pauses = []
    for _ in range(2):
        size = it.system.ledger.size
        it.tell(facts.OldestEntriesFound(problem="the store: damaged"))
        assert it.system.ledger.size == size > 2
        assert not it.asked(do.FindOldestEntries)
        due = it.only(do.WakeAt)
        pauses.append(due.at - it.now)
        it.commit("i2" if len(pauses) == 1 else "i3")
        assert it.asked(do.FetchOwed)
        it.owed()
        assert not it.asked(do.FindOldestEntries)
        it.tell(facts.Woken(due.topic, due.key))
        it.only(do.FindOldestEntries)
    assert pauses[1] > pauses[0] > 0.0
    it.oldest_found()
    assert it.system.ledger.size <= 2


def test_off_asks_and_keeps_nothing() -> None:
    it = Driver()
    it.run(P1)

    assert not any(isinstance(command, do.FetchOwed) for command in it.log)
    assert not it.system.ledger.begun


@pytest.mark.parametrize("scope", [Scope.REPLAYS, Scope.ALL])
def test_a_run_that_goes_on_when_the_ledger_is_switched_on_is_taken_in(scope: Scope) -> None:
    it = Driver()
    it.run(P1)
    switched(it, scope)
    it.queues_updated()
    it.sent()
    it.result("j1", "p1")
    it.replay_impact(footprint=footprint(ROW))
    it.replay_committed()
    assert it.last(do.FetchOwed).number == it.system.ledger.last == 1
    assert it.system.ledger.begun
    it.owed()
    it.end()
    it.arrive("i2")
    it.impact(footprint=footprint(ROW))
    it.committed()
    assert it.system.ledger.last == 2


def switched(it: Driver, scope: Scope) -> None:
    """A life of another scope begins."""
    it.rules = replace(it.rules, ledger_scope=scope)
    it.restart()


# --- what is not kept for a while ------------------------------------------------------------------------------------


def test_what_is_not_kept_for_a_while_is_a_gap_that_proves_nothing() -> None:
    """U changes the row, then V while the ledger is off. W read V's version: whether it missed U is not known."""
    it = Driver(ledger_scope=Scope.ALL)
    taken_in(it, "u", ROW)
    switched(it, Scope.OFF)
    it.commit("v")
    switched(it, Scope.ALL)
    it.restart()
    assert it.system.ledger.whole_from == 1
    taken_in(it, "w", 0, Read(ROW, MASTER, writer_key("v")))
    assert it.system.ledger.stale == {}
    taken_in(it, "v2", ROW)
    taken_in(it, "w2", 0, Read(ROW, MASTER, writer_key("v")))
    assert [unit for unit, _ in it.system.ledger.stale] == ["w2"]


def test_a_run_keeps_the_ledger_whole_whatever_scope_the_next_life_has() -> None:
    it = Driver(ledger_scope=Scope.ALL)
    taken_in(it, "u", ROW)
    switched(it, Scope.REPLAYS)
    it.commit("v")
    assert (it.system.ledger.last, it.system.ledger.whole_from) == (1, 1)
    it.run(P1)
    it.owed(Read(ROW, MASTER, writer_key("v")))
    assert it.system.ledger.stale == {}
    switched(it, Scope.ALL)
    it.queues_updated()
    it.replay_to_the_end("j1", "p1")
    switched(it, Scope.REPLAYS)
    it.commit("x")
    it.owed(changed=(ROW,))
    assert it.system.ledger.whole_from == 1


@pytest.mark.parametrize("made_after", [False, True])
def test_without_a_dataset_one_that_began_in_a_gap_is_never_called_fresh(*, made_after: bool) -> None:
    it = Driver(ledger_scope=Scope.ALL)
    taken_in(it, "u", ROW)
    switched(it, Scope.OFF)
    it.now += 1000.0
    began = datetime.fromtimestamp(it.now, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    it.now += 10.0
    it.commit("v")
    switched(it, Scope.ALL)
    if made_after:
        taken_in(it, "x", ROW)
    it.arrive("w")
    it.impact(footprint=footprint())
    it.committed()
    owed = it.system.ledger.owed[it.last(do.FetchOwed).number]
    assert drive(Ledger(it.store, lambda: None).candidates(owed, began)) is None


def taken_in(it: Driver, name: str, changed: int, *reads: Read) -> None:
    """An event is committed, and what it read is known."""
    it.arrive(name)
    it.impact(footprint=footprint(changed) if changed else footprint())
    it.committed()
    it.owed(*reads)


# --- what the ledger has not of a commit -----------------------------------------------------------------------------


def test_who_read_the_version_of_a_commit_whose_rows_are_unknown_missed_nothing_older() -> None:
    """U changes the row, then V, whose rows stay unknown: W read V's version, so it saw what U did."""
    it = Driver(ledger_scope=Scope.ALL)
    taken_in(it, "u", ROW)
    it.arrive("v")
    it.impact(footprint=footprint(ROW))
    it.restart()
    it.proof(Finding.ROWS)
    it.owed(problem="domain.entities: 400")
    taken_in(it, "w", 0, Read(ROW, MASTER, writer_key("v")))
    taken_in(it, "u2", ROW)
    taken_in(it, "w2", 0, Read(ROW, MASTER, writer_key("v")))
    taken_in(it, "w3", 0, Read(ROW, MASTER, writer_key("u")))
    missed = {unit[0]: one.missed for unit, one in it.system.ledger.stale.items() if one.state is StaleState.STALE}
    assert missed == {"w2": (MissedCommit(4, "u2"),), "w3": (MissedCommit(4, "u2"),)}


def test_what_the_ledger_keeps_of_unknown_rows_leaves_with_the_entry() -> None:
    it = Driver(ledger_scope=Scope.ALL, ledger_rows=2)
    it.arrive("v")
    it.impact(footprint=footprint(ROW))
    it.restart()
    it.proof(Finding.ROWS)
    it.owed(problem="domain.entities: 400")
    assert list(it.store.rows("ledger_unknown"))
    taken_in(it, "w", 7)
    assert it.asked(do.FindOldestEntries)
    it.oldest_found()
    assert not list(it.store.rows("ledger_unknown"))


# --- what is not made in its turn ------------------------------------------------------------------------------------


@pytest.mark.parametrize("ends", ["ok", "proved", "crash"])
def test_an_event_whose_commit_spans_that_of_a_replay_owes_what_it_read(it: Driver, ends: str) -> None:
    it.hold("i1", P1, P2, fork=True)
    it.start()
    it.held_committed()
    it.owed()
    it.sent()
    it.result("j1", "p1")
    it.arrive("e1")
    it.replay_impact(footprint=footprint(ROW))
    it.impact(footprint=footprint())
    if ends == "proved":
        it.commit_ends(CommitEnd.LOST)
        it.replay_committed()
        it.proof(Finding.ROWS)
    elif ends == "crash":
        it.replay_committed()
        it.restart()
        it.proof(Finding.ROWS)
    else:
        it.replay_committed()
        it.committed()
    assert {one.instance_id: one.reads for one in it.system.ledger.owed.values()} == {"j1": True, "e1": True}


@pytest.mark.parametrize("crash", [False, True])
def test_an_event_that_was_in_doubt_and_is_proved_owes_what_it_read(it: Driver, *, crash: bool) -> None:
    after_a_run(it)
    it.arrive("i5")
    it.impact(footprint=footprint(ROW))
    if crash:
        it.restart()
    else:
        it.commit_ends(CommitEnd.LOST)
    it.proof(Finding.ROWS)
    assert [(one.instance_id, one.reads) for one in it.system.ledger.owed.values()] == [("i5", True)]


# --- what an event waits for ---------------------------------------------------------------------------------------


def owing() -> Driver:
    """A commit is made whose computation's reads are still to be fetched, and the next event waits for them."""
    it = Driver(ledger_scope=Scope.ALL)
    it.arrive("i1")
    it.impact(footprint=footprint(ROW))
    it.committed()
    assert it.asked(do.FetchOwed)
    it.arrive("i2")
    assert not it.asked(do.AskImpact)
    assert not it.asked(do.AskFootprint)
    return it


def takes_longer(it: Driver) -> None:
    due = it.only(do.WakeAt)
    assert due.at - it.now == pytest.approx(0.1)
    it.tell(facts.Woken(due.topic, due.key))


def test_an_event_that_changes_no_row_does_not_wait_for_what_takes_longer() -> None:
    it = owing()
    takes_longer(it)
    it.tell(facts.FootprintFound(it.only(do.AskFootprint).token, Footprint(created=1)))
    assert it.only(do.AskImpact).instance_id == "i2"


def test_one_that_changes_a_row_waits_until_all_is_fetched() -> None:
    it = owing()
    takes_longer(it)
    it.tell(facts.FootprintFound(it.only(do.AskFootprint).token, footprint(ROW)))
    assert not it.asked(do.AskImpact)
    it.owed()
    assert it.only(do.AskImpact).instance_id == "i2"


def test_what_is_fetched_at_once_costs_no_further_question() -> None:
    it = owing()
    it.owed()
    assert it.only(do.AskImpact).instance_id == "i2"


def hidden_after_a_run(it: Driver, instance: str) -> None:
    """Commit an event that waited, and have API core refuse for good to call it finished before its reads are known."""
    it.run(P1)
    it.arrive(instance)
    it.owed()
    it.replay_to_the_end("j1", "p1")
    it.impact(footprint=footprint())
    it.committed()
    staleness.not_visible(it.system, it.delivery(instance), instance, Step())


def test_a_fresh_one_that_discovery_may_never_name_stays_on_the_list(it: Driver) -> None:
    hidden_after_a_run(it, "w1")
    it.owed()
    assert it.system.ledger.owed == {}
    assert {unit: one.cause for unit, one in it.system.ledger.stale.items()} == {("w1", "master"): NOT_VISIBLE}


def test_what_it_missed_says_more_than_that_it_is_not_named(it: Driver) -> None:
    hidden_after_a_run(it, "w1")
    owed = next(iter(it.system.ledger.owed.values()))
    it.tell(facts.OwedFetched(owed.number, footprint(), Reads(), (MissedCommit(1, "c"),)))
    assert [one.state for one in it.system.ledger.stale.values()] == [StaleState.STALE]
