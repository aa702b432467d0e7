"""What is stale after its commit: listed, gathered, and replayed by a late reprocessing."""

import asyncio
from datetime import UTC, datetime

import orjson
import pytest

from maestro.events import MASTER
from maestro.messages.answers import Code
from maestro.rules import commands as do
from maestro.rules import facts, staleness
from maestro.rules.document import Document
from maestro.rules.doubt import CommitEnd, Finding, Word
from maestro.rules.impact import Impacted, Origin, UnitKey
from maestro.rules.ledger import Read, Reads, base_key, writer_key
from maestro.rules.ledger_book import LatePolicy, MissedCommit, Oldest, Scope, StaleState
from maestro.rules.preview import digest
from maestro.rules.staleness import named_late
from maestro.rules.status import Status
from maestro.rules.step import Step
from maestro.system.ledger import Ledger
from tests.unit.rules.driver import P1, P2, Driver, footprint, origin

ROW = base_key("conta", "c1", "")
A = writer_key("a")


def driver(**rules: object) -> Driver:
    return Driver(ledger_scope=Scope.ALL, **rules)  # type: ignore[arg-type]


def commit(it: Driver, name: str, *reads: Read, changed: tuple[int, ...] = ()) -> None:
    """An event is committed at once, and what it read is known."""
    it.arrive(name)
    it.impact(footprint=footprint(*changed))
    it.committed()
    it.owed(*reads, changed=changed)


def stale(it: Driver, *names: str) -> None:
    """C changes the row; then these commit what they computed before."""
    if not it.system.ledger.last:
        commit(it, "c", changed=(ROW,))
    for name in names:
        commit(it, name, Read(ROW, MASTER, A))


def gathered(it: Driver, id_: str = "late1") -> None:
    """The time of gathering is over, and origins are there."""
    it.now += 20.0
    it.tell(facts.Woken(do.Topic.LATE, "gather"))
    fetch = it.last(do.FetchLateOrigins)
    it.tell(facts.LateOriginsFetched(fetch.token, id_, tuple(origin(unit) for unit in fetch.units)))


def late(it: Driver, id_: str = "late1") -> Document:
    return it.system.documents[id_]


def states(it: Driver) -> dict[UnitKey, StaleState]:
    return {unit: one.state for unit, one in it.system.ledger.stale.items()}


def run_late(it: Driver, replay: str, of: str, *reads: Read, id_: str = "late1") -> None:
    """A late run replays its one unit."""
    it.start()
    it.sent()
    it.tell_result(replay, of, id_)
    it.replay_impact(footprint=footprint())
    it.replay_committed()
    it.owed(*reads)
    it.end()


def test_a_computation_that_missed_a_commit_is_listed() -> None:
    it = driver(late_policy=LatePolicy.REPORT)
    stale(it, "w")
    commit(it, "fresh", Read(ROW, MASTER, writer_key("c")))

    [one] = it.system.ledger.stale.values()
    assert (one.unit, one.state) == (("w", MASTER), StaleState.STALE)
    assert one.missed == (MissedCommit(1, "c"),)
    assert not any(isinstance(command, do.WakeAt) for command in it.log)
    it.restart()
    assert list(it.system.ledger.stale.values()) == [one]


def test_one_that_is_restarted_again_and_again_opens_what_has_gathered() -> None:
    it = driver()
    stale(it, "w")
    for _ in range(3):
        it.now += it.system.rules.late_after / 2
        it.restart()
    assert it.last(do.FetchLateOrigins).units[0].instance_id == "w"


def test_who_wrote_the_row_itself_overwrote_it_and_is_not_replayed() -> None:
    it = driver()
    commit(it, "c", changed=(ROW,))
    commit(it, "w", Read(ROW, MASTER, A, wrote=True), changed=(ROW,))

    assert states(it) == {("w", MASTER): StaleState.OVERWRITE}
    assert not any(isinstance(command, do.WakeAt) for command in it.log)


def fork_with_a_result(it: Driver) -> None:
    """A run without lock has assessed the replay of p1, which read A's row; an event is judged meanwhile."""
    it.hold("i1", P1, fork=True)
    it.start()
    it.held_committed()
    it.owed()
    it.sent()
    it.result("j1", "p1")
    it.replay_impact(footprint=footprint())
    it.arrive("i5")


def test_what_a_replay_read_is_not_known_yet_when_an_event_is_judged_that_changes_it() -> None:
    it = driver()
    fork_with_a_result(it)
    it.replay_committed()
    it.impact(footprint=footprint(ROW))
    it.committed()
    it.owed(Read(ROW, MASTER, A))
    assert states(it) == {}

    it.owed()
    [one] = it.system.ledger.stale.values()
    assert (one.unit, one.state, one.missed) == (("p1", MASTER), StaleState.STALE, (MissedCommit(3, "i5"),))


def test_after_a_crash_whoever_read_what_a_commit_changed_is_looked_at_again() -> None:
    it = driver()
    fork_with_a_result(it)
    it.impact(footprint=footprint(ROW))
    it.replay_committed()
    it.owed(Read(ROW, MASTER, A))
    it.restart()
    it.proof(Finding.ROWS)
    it.owed(changed=(ROW,))

    assert states(it) == {("p1", MASTER): StaleState.STALE}


def resolved(it: Driver, kind: type[do.Command]) -> None:
    """A commit cannot be proved; once its event or run has ended, somebody says, after a restart, that it was made."""
    it.commit_ends(CommitEnd.REFUSED, kind)
    it.proof(Finding.UNPROVABLE)
    if kind is not do.Commit:
        it.end()
    for number in list(it.system.outbox):
        it.tell(facts.OutboxMessageDone(number))
    it.restart()
    [doubt] = it.system.open_doubts
    it.tell(facts.DoubtResolved(doubt.key, Word.MADE, "ana", it.ticket(), "looked"))


def test_what_was_in_doubt_is_looked_at_as_late_and_becomes_visible() -> None:
    it = driver(ensure_finished=True)
    it.tell(facts.IngressAttached())
    it.tell(facts.WaitQueueDrained())
    it.arrive("w")
    it.impact(footprint=footprint(ROW))
    resolved(it, do.Commit)

    assert it.asked(do.Look)
    it.owed(Read(base_key("conta", "c2", ""), MASTER, A), changed=(ROW,))
    assert it.store.last_writes([ROW])[ROW].writer == writer_key("w")
    it.restart()
    assert it.last(do.Look).instance_id == "w"


def test_a_held_commit_that_was_in_doubt_is_visible_before_the_next_question() -> None:
    it = driver(ensure_finished=True)
    it.tell(facts.IngressAttached())
    it.tell(facts.WaitQueueDrained())
    it.hold("i1", P1)
    it.approve()
    it.start()
    resolved(it, do.CommitHeld)
    look = it.only(do.Look)
    it.owed(changed=(ROW,))
    it.arrive("i2")

    assert not it.asked(do.AskImpact)
    it.tell(facts.Looked(look.key, look.token, "finished"))
    assert it.asked(do.AskImpact)
    assert it.store.last_writes([ROW])[ROW].writer == writer_key("i1")


def test_a_replay_whose_commit_was_in_doubt_takes_the_place_of_its_unit() -> None:
    it = driver()
    it.run(P1)
    it.owed()
    it.sent()
    it.result("j1", "p1")
    it.replay_impact(footprint=footprint(ROW))
    resolved(it, do.CommitReplay)
    it.owed(Read(base_key("conta", "c2", ""), MASTER, A), changed=(ROW,))

    assert it.store.last_writes([ROW])[ROW].writer == writer_key("j1")
    assert it.named(base_key("conta", "c2", "")) == [("p1", MASTER)]


def test_what_was_in_doubt_has_its_place_in_the_log_where_it_was_left() -> None:
    it = driver(late_policy=LatePolicy.REPORT)
    other = base_key("conta", "c2", "")
    it.arrive("e")
    it.impact(footprint=footprint(ROW, other))
    it.commit_ends(CommitEnd.LOST)
    it.settles(Finding.UNPROVABLE)
    commit(it, "b", changed=(ROW,))
    commit(it, "v", Read(ROW, MASTER, writer_key("b")))
    commit(it, "w", Read(other, MASTER, A))
    [doubt] = it.system.open_doubts
    it.tell(facts.DoubtResolved(doubt.key, Word.MADE, "ana", it.ticket(), "looked"))
    it.restart()
    it.owed(Read(ROW, MASTER, A, wrote=True), changed=(ROW, other))

    assert states(it) == {("w", MASTER): StaleState.STALE}
    commit(it, "newest", Read(ROW, MASTER, writer_key("b")), Read(other, MASTER, writer_key("e")))
    assert ("newest", MASTER) not in states(it)
    commit(it, "older", Read(ROW, MASTER, writer_key("e")))
    assert states(it)["older", MASTER] is StaleState.STALE


def test_without_a_dataset_it_is_never_called_fresh() -> None:
    it = driver()
    it.arrive("w")
    it.impact(footprint=footprint())
    it.committed()
    it.tell(facts.OwedFetched(it.last(do.FetchOwed).number, footprint()))

    assert states(it) == {("w", MASTER): StaleState.UNVERIFIED}


def without_dataset(it: Driver, origin: str) -> None:
    """Commits c1 and c2 change a row, then W is committed, whose origin event has that timestamp and no dataset."""
    commit(it, "c0", changed=(ROW,))
    for name in ("c1", "c2"):
        commit(it, name, changed=(ROW,))
    it.arrive("w")
    it.impact(footprint=footprint())
    it.committed()
    owed = it.system.ledger.owed[it.last(do.FetchOwed).number]
    candidates = asyncio.run(Ledger(it.store, lambda: None).candidates(owed, origin))
    it.tell(facts.OwedFetched(owed.number, owed.footprint, candidates=candidates))


def before_last(it: Driver, seconds: float) -> str:
    return datetime.fromtimestamp(it.now - seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")


def test_without_a_dataset_discovery_is_asked_about_each_commit_since_it_began() -> None:
    it = driver(late_policy=LatePolicy.REPORT)
    commit(it, "c", changed=(ROW,))
    it.now += 100.0
    without_dataset(it, before_last(it, 0.0))
    assert states(it) == {("w", MASTER): StaleState.UNVERIFIED}
    assert it.only(do.AskAgain).instance_id == "c2"
    for asked_about in ("c1", "c0"):
        it.restart()
        asked = it.last(do.AskAgain)
        it.tell(facts.AskedAgain(asked.key, asked.token, (P1,)))
        assert it.only(do.AskAgain).instance_id == asked_about
    asked = it.last(do.AskAgain)
    it.tell(facts.AskedAgain(asked.key, asked.token, (Impacted("w", MASTER),)))
    (one,) = it.system.ledger.stale.values()
    assert (one.state, [commit.instance_id for commit in one.missed]) == (StaleState.STALE, ["c0"])
    assert "may have read the new version" in one.cause


def test_a_commit_whose_rows_are_not_known_may_have_been_missed() -> None:
    it = driver(late_policy=LatePolicy.REPORT)
    commit(it, "c", changed=(ROW,))
    it.now += 100.0
    origin = before_last(it, 0.0)
    it.arrive("x")
    it.impact(footprint=footprint(ROW))
    it.restart()
    it.proof(Finding.ROWS)
    it.owed(problem="domain: answered 500")
    it.arrive("w")
    it.impact(footprint=footprint())
    it.committed()
    owed = it.system.ledger.owed[it.last(do.FetchOwed).number]
    candidates = asyncio.run(Ledger(it.store, lambda: None).candidates(owed, origin))
    assert [one.instance_id for one in candidates or ()] == ["x"]


def test_what_a_commit_changed_is_kept_though_what_it_read_cannot_be_had() -> None:
    it = driver()
    it.arrive("c")
    it.impact(footprint=footprint(ROW))
    it.committed()
    it.owed(problem="process memory: answered 500")
    assert it.store.last_writes([ROW])[ROW].writer == writer_key("c")


def test_one_that_none_of_these_impacts_is_fresh() -> None:
    it = driver(late_policy=LatePolicy.REPORT)
    commit(it, "c", changed=(ROW,))
    it.now += 100.0
    without_dataset(it, before_last(it, 0.0))
    while it.asked(do.AskAgain):
        asked = it.last(do.AskAgain)
        it.tell(facts.AskedAgain(asked.key, asked.token, ()))
    assert states(it) == {}


@pytest.mark.parametrize("timestamp", ["", "soon", "1970-01-01T00:00:01"])
def test_unknown_or_older_than_the_log_it_is_unverified(timestamp: str) -> None:
    it = driver(late_policy=LatePolicy.REPORT)
    without_dataset(it, timestamp)
    assert states(it) == {("w", MASTER): StaleState.UNVERIFIED}
    assert not it.asked(do.AskAgain)


def test_a_clock_that_is_ahead_is_taken_for_as_much_earlier() -> None:
    it = driver(late_policy=LatePolicy.REPORT)
    commit(it, "c", changed=(ROW,))
    it.now += 100.0
    without_dataset(it, before_last(it, -30.0))
    assert states(it) == {}, "it began after the last commit: none was missed"


def test_stale_units_open_a_late_reprocessing_that_blocks_nothing() -> None:
    it = driver()
    stale(it, "w1", "w2")
    gathered(it)

    doc = late(it)
    assert (doc.late, doc.held_committed, doc.status) == (True, True, Status.PENDING)
    assert orjson.loads(doc.pending_event)["name"] == "s.late.request"
    assert [unit.missed for unit in doc.order] == [("c",), ("c",)]
    assert it.system.open
    it.arrive("i9")
    assert it.asked(do.AskImpact)


def test_an_ordinary_one_may_be_decided_before_an_older_late_one() -> None:
    it = driver()
    stale(it, "w1")
    gathered(it)
    it.hold("i1", P1)
    it.approve("d1")

    assert it.only(do.Reply).code is Code.OK
    assert it.system.documents["d1"].status is Status.APPROVED
    it.approve("late1")
    assert late(it).status is Status.APPROVED


@pytest.mark.parametrize("decision", ["approve", "skip"])
def test_each_kind_is_decided_for_itself(decision: str) -> None:
    """An older ordinary one is in the way of no late one, and the late one never taken in its place."""
    it = driver()
    stale(it, "w1")
    it.hold("i1", P1)
    gathered(it)
    assert it.system.pending() is it.system.documents["d1"]
    getattr(it, decision)("late1")

    assert it.only(do.Reply).code is Code.OK
    assert late(it).status is {"approve": Status.APPROVED, "skip": Status.SKIPPED}[decision]
    assert it.system.documents["d1"].status is Status.PENDING
    getattr(it, decision)("d1")
    assert it.system.documents["d1"].status is not Status.PENDING


def test_its_run_commits_nothing_held_and_takes_its_units_off_the_list() -> None:
    it = driver()
    stale(it, "w1")
    gathered(it)
    it.approve("late1")
    run_late(it, "r1", "w1", Read(ROW, MASTER, writer_key("c")))

    assert late(it).status is Status.FINISHED
    assert not any(isinstance(command, do.CommitHeld | do.AskStartImpact) for command in it.log)
    assert states(it) == {}


def test_no_late_one_is_opened_while_a_run_holds_the_lock() -> None:
    it = driver()
    stale(it, "w1")
    it.hold("i1", P1)
    it.approve("d1")
    it.now += 20.0
    it.tell(facts.Woken(do.Topic.LATE, "gather"))
    assert not it.asked(do.FetchLateOrigins)
    it.cancel("d1")
    assert it.asked(do.FetchLateOrigins)


def test_it_grows_while_it_is_pending() -> None:
    it = driver()
    stale(it, "w1")
    gathered(it)
    stale(it, "w2")
    gathered(it, "other")

    assert [unit.instance_id for unit in late(it).order] == ["w1", "w2"]
    assert "other" not in it.system.documents
    assert it.system.ledger.stale["w2", MASTER].document_id == "late1"
    it.restart()
    assert [unit.missed for unit in late(it).order] == [("c",), ("c",)]


def test_an_approval_of_an_earlier_preview_approves_what_that_showed() -> None:
    it = driver()
    stale(it, "w1")
    gathered(it)
    seen = (("w1", MASTER),)
    stale(it, "w2")
    gathered(it, "other")
    it.tell(facts.Approved("late1", "anna", it.ticket(), digest=digest("", seen), seen=seen))

    assert [unit.instance_id for unit in late(it).order] == ["w1"]
    assert [unit.instance_id for unit in it.repository.units("late1")] == ["w1"]
    assert it.system.ledger.stale["w2", MASTER].document_id == ""
    run_late(it, "r1", "w1", Read(ROW, MASTER, writer_key("c")))
    gathered(it, "late2")
    assert [unit.instance_id for unit in late(it, "late2").order] == ["w2"]


def test_a_preview_that_is_not_remembered_approves_nothing() -> None:
    it = driver()
    stale(it, "w1")
    gathered(it)
    it.tell(facts.Approved("late1", "anna", it.ticket(), digest="f" * 32))

    assert it.only(do.Reply).code is Code.CONFLICT
    assert late(it).status is Status.PENDING


def test_skipped_means_accepted_by_whom_and_why() -> None:
    it = driver()
    stale(it, "w1")
    gathered(it)
    it.tell(facts.Skipped("late1", "anna", it.ticket(), "known"))

    [one] = it.system.ledger.stale.values()
    assert (one.state, one.user, one.reason) == (StaleState.ACCEPTED, "anna", "known")
    assert it.system.outbox == {}
    it.tell(facts.ReconsiderAsked("late1", "anna", it.ticket()))
    assert it.only(do.Reply).code is Code.CONFLICT


def test_what_is_replayed_meanwhile_is_dropped_at_the_approval() -> None:
    it = driver()
    stale(it, "w1", "w2")
    gathered(it)
    it.system.ledger.stale.pop(("w1", MASTER))
    it.approve("late1")

    assert [unit.instance_id for unit in late(it).order] == ["w2"]


def test_it_is_not_asked_again_and_covers_no_tag() -> None:
    it = driver()
    stale(it, "w1")
    gathered(it)
    it.tell(facts.RecheckAsked("late1", "anna", it.ticket()))

    assert it.only(do.Reply).code is Code.CONFLICT


@pytest.mark.parametrize(("generation", "status"), [(1, Status.APPROVED), (2, Status.PENDING)])
def test_the_third_generation_waits_for_a_decision(generation: int, status: Status) -> None:
    it = driver(late_policy=LatePolicy.REPLAY)
    commit(it, "c", changed=(ROW,))
    it.arrive("w1")
    it.impact(footprint=footprint())
    it.committed()
    missed = (MissedCommit(1, "c", generation),)
    read = facts.OwedFetched(it.last(do.FetchOwed).number, footprint(), Reads(), missed)
    it.tell(read)
    gathered(it)

    assert (late(it).status, late(it).generation) == (status, generation + 1)
    assert it.asked(do.RaiseAlarm) is (status is Status.PENDING)


def test_a_unit_that_a_live_reprocessing_replays_is_not_gathered() -> None:
    it = driver()
    stale(it, "p1")
    it.hold("i1", P1)
    it.now += 20.0
    it.tell(facts.Woken(do.Topic.LATE, "gather"))

    assert not any(isinstance(command, do.FetchLateOrigins) for command in it.log)
    it.skip("d1")
    gathered(it)
    assert [unit.instance_id for unit in late(it).order] == ["p1"]


def test_a_unit_left_out_is_listed_with_who_and_why() -> None:
    it = driver()
    it.run(P1)
    it.owed(changed=(ROW,))
    it.sent()
    it.cancel()
    it.errs("p1")
    it.end()
    it.tell(facts.LeaveOutAsked("d1", "anna", it.ticket(), (("p1", MASTER),), it.repository.units("d1"), "gone"))

    one = it.system.ledger.stale["p1", MASTER]
    assert (one.state, one.user, one.reason) == (StaleState.LEFT_OUT, "anna", "gone")


def test_when_the_ledger_alone_holds_many_events_somebody_must_look() -> None:
    it = driver()
    for number in range(11):
        it.arrive(f"i{number}")
        it.impact(Impacted("p1", MASTER, named="ledger"), footprint=footprint(ROW))
        assert it.asked(do.RaiseAlarm) is (number == 10)
        it.origins(id_=f"d{number}")
        it.skip(f"d{number}")
    assert it.system.ledger.held_alone == 11


def test_where_the_ledger_only_reports_the_event_is_committed_and_its_readers_are_stale() -> None:
    it = driver(ledger_reports=True)
    it.arrive("c")
    it.impact(Impacted("p1", MASTER, named="ledger"), footprint=footprint(ROW))
    assert it.asked(do.Commit)
    it.committed()

    assert states(it) == {("p1", MASTER): StaleState.STALE}
    it.owed()
    gathered(it)
    assert [(unit.instance_id, unit.missed) for unit in late(it).order] == [("p1", ("c",))]


def test_what_discovery_names_is_held_all_the_same() -> None:
    it = driver(ledger_reports=True)
    it.arrive("c")
    it.impact(P1, Impacted("p9", MASTER, named="ledger"), footprint=footprint(ROW))

    assert [unit.instance_id for unit in it.only(do.FetchOrigins).units] == ["p1"]


def two_previews(it: Driver) -> tuple[tuple[UnitKey, ...], tuple[UnitKey, ...]]:
    """A late document was shown with one unit, and has two by now."""
    stale(it, "w1")
    gathered(it)
    stale(it, "w2")
    gathered(it, "other")
    return (("w1", MASTER),), (("w1", MASTER), ("w2", MASTER))


def approve_as_shown(it: Driver, user: str, seen: tuple[UnitKey, ...]) -> Code:
    it.tell(facts.Approved("late1", user, it.ticket(), digest=digest("", seen), seen=seen))
    return it.only(do.Reply).code


def test_of_two_approvers_the_second_adds_nothing_to_what_the_first_was_shown() -> None:
    it = driver(two_approvers=True)
    earlier, now = two_previews(it)
    assert approve_as_shown(it, "ana", earlier) is Code.ACCEPTED
    assert approve_as_shown(it, "ben", now) is Code.ACCEPTED, "it is the first approval of these"
    assert late(it).status is Status.PENDING
    it.restart()
    assert approve_as_shown(it, "cid", now) is Code.OK
    assert [unit.key for unit in late(it).order] == list(now)


def test_two_that_were_shown_the_same_approve_that() -> None:
    it = driver(two_approvers=True)
    stale(it, "w1")
    gathered(it)
    earlier = (("w1", MASTER),)
    assert approve_as_shown(it, "ana", earlier) is Code.ACCEPTED
    stale(it, "w2")
    gathered(it, "other")
    it.restart()
    assert approve_as_shown(it, "ben", earlier) is Code.OK
    assert [unit.key for unit in late(it).order] == list(earlier)


def test_what_is_replayed_meanwhile_is_dropped_at_the_start_beside_what_is_left_out() -> None:
    it = driver()
    stale(it, "w1", "w2", "w3")
    it.now += 20.0
    it.tell(facts.Woken(do.Topic.LATE, "gather"))
    fetch = it.last(do.FetchLateOrigins)
    w1, w2, w3 = fetch.units
    it.tell(facts.LateOriginsFetched(fetch.token, "late1", (Origin(w1, b"", ""), origin(w2), origin(w3))))
    it.approve("late1")
    it.system.ledger.stale.pop(("w2", MASTER))
    it.start()

    assert {unit.instance_id: unit.state for unit in late(it).order} == {"w1": "left_out", "w3": "sending"}
    assert late(it).order[-1].left_out is not None
    it.restart()
    assert not late(it).set_aside
    assert [unit.state for unit in late(it).order if unit.instance_id == "w1"] == ["left_out"]


def test_what_gathers_while_origins_are_fetched_gathers_on_though_nothing_is_opened() -> None:
    it = Driver(ledger_scope=Scope.OFF)
    named_late(it.system, P1, "c", Step())
    it.now += 20.0
    it.tell(facts.Woken(do.Topic.LATE, "gather"))
    fetch = it.only(do.FetchLateOrigins)
    it.hold("i1", P1)  # an ordinary document is to replay it now
    named_late(it.system, P2, "c", Step())
    it.tell(facts.LateOriginsFetched(fetch.token, "late1", tuple(map(origin, fetch.units))))
    gathered(it)
    assert [unit.key for unit in late(it).order] == [P2.key]


@pytest.mark.parametrize("scope", [Scope.OFF, Scope.REPLAYS, Scope.ALL])
def test_a_replay_that_was_sent_before_a_commit_says_nothing_of_whether_it_missed_that(scope: Scope) -> None:
    it = Driver(ledger_scope=scope)
    it.hold("i1", P1, fork=True)
    it.start()
    it.held_committed()
    if it.system.ledger.owed:
        it.owed(changed=(7,))
    it.sent()
    it.arrive("e")
    it.impact(footprint=footprint(9))
    it.committed()
    if it.system.ledger.owed:
        it.owed(changed=(9,))
    named_late(it.system, P1, "e", Step(), staleness.NAMED_AGAIN)
    it.result("re1", "p1")
    it.replay_impact(footprint=footprint())
    it.replay_committed()
    if it.system.ledger.owed:
        it.owed()
    assert states(it) == {P1.key: StaleState.STALE}


def test_an_event_that_is_committed_between_a_runs_question_and_its_commit_is_looked_at() -> None:
    it = Driver(ledger_scope=Scope.REPLAYS)
    it.hold("i1", P1, fork=True)
    it.notified()
    it.start_impact(P1)
    it.arrive("w")
    it.impact(footprint=footprint(9))
    it.queues_updated()
    it.committed()
    it.held_committed()
    it.owed(Read(7, MASTER, A), changed=(9,))
    it.owed(changed=(7,))
    assert states(it) == {("w", MASTER): StaleState.STALE}


def test_a_debt_that_is_paid_is_not_owed_after_a_restart() -> None:
    it = Driver(ledger_scope=Scope.REPLAYS)
    it.system.ledger.begun = True
    it.arrive("i1")
    it.impact(footprint=None)
    it.committed()
    it.owed(changed=(1, 2))
    size = it.system.ledger.size
    it.restart()
    assert not it.system.ledger.owed
    assert it.system.ledger.size == size


# --- too many notes ------------------------------------------------------------------------------------------------


def forgotten(it: Driver, count: int) -> None:
    """Entries leave a full ledger: of the units whose reads go with them nothing is remembered."""
    left = (Oldest(10**6 + nth, 0, (f"o{nth}", MASTER), False, f"o{nth}") for nth in range(count))  # noqa: FBT003
    it.tell(facts.OldestEntriesFound(tuple(left)))


def test_of_too_many_notes_those_leave_first_that_nobody_is_to_replay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staleness, "KEPT", 5)
    it = driver()
    stale(it, "p1", "p2")
    gathered(it)
    stale(it, "p3")
    forgotten(it, 5)

    assert [unit for unit, _ in it.system.ledger.stale] == ["p1", "p2", "p3", "o3", "o4"]
    assert it.system.ledger.stale_left == 3
    it.approve("late1")
    it.start()
    assert [unit.instance_id for unit in late(it).order] == ["p1", "p2"]


def test_what_has_left_the_list_is_replayed_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staleness, "KEPT", 2)
    it = driver()
    stale(it, "p1", "p2")
    gathered(it)
    stale(it, "p3")
    assert [unit for unit, _ in it.system.ledger.stale] == ["p2", "p3"]
    it.restart()
    it.approve("late1")
    it.start()
    assert [unit.instance_id for unit in late(it).order] == ["p1", "p2"]


def test_a_late_document_keeps_a_unit_that_was_replayed_before_it_missed_another_commit() -> None:
    it = Driver(ledger_scope=Scope.OFF)
    named_late(it.system, P1, "c", Step())
    gathered(it)
    it.hold("e", P1, id_="F", fork=True)
    it.start()
    it.held_committed()
    it.sent()
    named_late(it.system, P1, "e2", Step())
    it.tell_result("r1", "p1", "F")
    it.replay_impact()
    it.replay_committed()
    it.end()
    it.approve("late1")
    assert [unit.key for unit in late(it).order] == [P1.key]


def test_a_list_that_is_full_of_stale_units_takes_a_new_note_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staleness, "KEPT", 3)
    it = driver(late_policy=LatePolicy.REPORT)
    for number in range(3):
        named_late(it.system, Impacted(f"u{number}", MASTER), "x", Step())
    it.arrive("i1")
    it.impact(footprint=footprint(7))
    it.committed()
    number = it.last(do.FetchOwed).number
    it.tell(facts.OwedFetched(number, footprint(7), None, candidates=(MissedCommit(0, "zz"),)))
    assert ("i1", MASTER) in it.system.ledger.stale
    assert len(it.system.ledger.stale) == 3
    assert it.system.ledger.stale_left == 1


# --- what says more than what was found since ------------------------------------------------------------------------


def doubtful(it: Driver) -> None:
    """C is committed after an answer of Discovery that may have named too few: it is asked again."""
    it.arrive("c")
    it.tell(facts.ImpactFound(it.last(do.AskImpact).token, (), failures=0))
    it.committed()
    looked(it, failures=1)
    if it.system.ledger.owed:
        it.owed(problem="domain.entities: 400")


def looked(it: Driver, failures: int = 0) -> None:
    look = it.last(do.Look)
    it.tell(facts.Looked(look.key, look.token, "finished", failures=failures))


def named_again(it: Driver, *units: Impacted) -> None:
    asked = it.last(do.AskAgain)
    it.tell(facts.AskedAgain(asked.key, asked.token, units))


@pytest.mark.parametrize("named_first", [False, True])
@pytest.mark.parametrize("found", ["dataset", "none", "problem"])
def test_what_a_doubtful_answer_names_late_is_late_whatever_the_ledger_knows(found: str, *, named_first: bool) -> None:
    it = driver(ensure_finished=True)
    doubtful(it)
    it.arrive("w")
    it.impact(footprint=footprint())
    it.committed()
    looked(it)
    if named_first:
        named_again(it, Impacted("w", MASTER))
    number = it.last(do.FetchOwed).number
    if found == "dataset":
        it.owed(Read(ROW, MASTER, A))
    else:
        it.tell(facts.OwedFetched(number, footprint(), problem="500" if found == "problem" else ""))
    if not named_first:
        named_again(it, Impacted("w", MASTER))
    assert states(it)["w", MASTER] is StaleState.STALE


def named_beside_its_replay(it: Driver) -> None:
    """A replay of p1 is sent; then C is committed, and its doubtful answer names p1."""
    it.hold("i1", P1, P2, fork=True)
    it.start()
    it.held_committed()
    looked(it)
    it.owed()
    it.sent()
    doubtful(it)
    named_again(it, P1)
    it.result("r1", "p1")
    it.replay_impact(footprint=footprint())
    it.replay_committed()


@pytest.mark.parametrize("found", ["nothing missed", "overwritten", "none", "problem"])
def test_a_replay_that_began_before_a_commit_says_nothing_of_that_whatever_is_found(found: str) -> None:
    it = Driver(ledger_scope=Scope.REPLAYS, ensure_finished=True)
    named_beside_its_replay(it)
    number = it.last(do.FetchOwed).number
    over = (MissedCommit(number - 1, "x"),) if found == "overwritten" else ()
    reads = None if found in ("none", "problem") else Reads()
    it.tell(facts.OwedFetched(number, footprint(), reads, (), over, problem="500" if found == "problem" else ""))
    one = it.system.ledger.stale[P1.key]
    assert (one.state, [commit.instance_id for commit in one.missed]) == (StaleState.STALE, ["c"])


def test_an_overwrite_of_what_was_named_late_is_an_overwrite() -> None:
    it = Driver(ledger_scope=Scope.REPLAYS, ensure_finished=True)
    named_beside_its_replay(it)
    number = it.last(do.FetchOwed).number
    over = (MissedCommit(number - 1, "c"),)
    it.tell(facts.OwedFetched(number, footprint(), Reads(), (), over))
    assert states(it)[P1.key] is StaleState.OVERWRITE


def test_what_was_replayed_and_overwrote_is_in_a_pending_late_document_no_more() -> None:
    it = driver()
    stale(it, "p1", "p2")
    gathered(it)
    it.arrive("c2")
    it.impact(P1, footprint=footprint(ROW))
    it.origins(id_="d2")
    it.approve("d2")
    it.notified()
    it.start_impact()
    it.queues_updated()
    it.held_committed()
    it.owed()
    it.sent()
    it.tell_result("j2", "p1", "d2")
    it.replay_impact(footprint=footprint(ROW))
    it.replay_committed()
    number = it.last(do.FetchOwed).number
    it.tell(facts.OwedFetched(number, footprint(ROW), Reads(), (), (MissedCommit(number - 1, "x"),)))
    assert it.system.ledger.stale["p1", MASTER].document_id == ""
    it.end()
    it.approve("late1")
    assert [unit.instance_id for unit in late(it).order] == ["p2"]


def failed_late_run(it: Driver) -> None:
    """A late run has replayed p1; the replay of p2 failed, and p3 was not sent."""
    stale(it, "p1", "p2", "p3")
    gathered(it)
    it.approve("late1")
    it.start()
    it.sent()
    it.tell_result("j1", "p1", "late1")
    it.replay_impact(footprint=footprint())
    it.replay_committed()
    it.owed(Read(ROW, MASTER, writer_key("c")))
    it.sent()
    it.tell(facts.ReplayErred("late1", "p2", MASTER, "", "boom"))
    it.end()
    assert late(it).status is Status.FAILURE


@pytest.mark.parametrize("crash", [False, True])
def test_a_retry_of_a_late_run_leaves_out_what_was_replayed_since(*, crash: bool) -> None:
    it = driver()
    failed_late_run(it)
    it.arrive("c2")
    it.impact(P2, footprint=footprint(99))
    it.origins(id_="d2")
    it.approve("d2")
    it.start()
    it.held_committed()
    it.owed()
    it.sent()
    it.tell_result("j2", "p2", "d2")
    it.replay_impact(footprint=footprint())
    it.replay_committed()
    it.owed(Read(ROW, MASTER, writer_key("c")))
    it.end()
    it.retry("late1")
    it.start()
    if crash:
        it.restart()
    assert {unit.instance_id: unit.state for unit in late(it).order} == {
        "p1": "done", "p2": "left_out", "p3": "sending"
    }  # fmt: skip
    assert late(it).units["p2", MASTER].left_out is not None
    assert states(it) == {("p3", MASTER): StaleState.STALE}


def test_a_retry_of_a_late_run_replays_the_rest_and_what_its_replays_impact() -> None:
    it = driver()
    stale(it, "p1", "p2")
    gathered(it)
    it.approve("late1")
    it.start()
    it.sent()
    it.tell_result("j1", "p1", "late1")
    it.replay_impact(Impacted("p9", MASTER), footprint=footprint(ROW))
    it.replay_origins()
    it.queues_updated()
    it.replay_committed()
    it.owed(Read(ROW, MASTER, writer_key("c")))
    it.sent()
    it.tell(facts.ReplayErred("late1", "p2", MASTER, "", "boom"))
    it.end()
    it.retry("late1")
    it.start()
    assert {unit.instance_id: unit.state for unit in late(it).order} == {
        "p1": "done", "p2": "sending", "p9": "outstanding"
    }  # fmt: skip


@pytest.mark.parametrize("version", ["c", "i1"])
def test_a_replay_that_was_sent_before_a_commit_and_read_its_version_takes_its_unit_off(version: str) -> None:
    """The ledger only reports: C is committed beside a replay of P1, which it names."""
    it = Driver(ledger_scope=Scope.REPLAYS, ledger_reports=True)
    it.hold("i1", P1, P2, fork=True)
    it.start()
    it.held_committed()
    it.owed(changed=(ROW,))
    it.sent()
    it.arrive("c")
    it.impact(Impacted("p1", MASTER, named="ledger"), footprint=footprint(ROW))
    it.committed()
    if it.system.ledger.owed:
        it.owed()
    assert states(it) == {P1.key: StaleState.STALE}
    it.result("r1", "p1")
    it.replay_impact(footprint=footprint())
    it.replay_committed()
    it.owed(Read(ROW, MASTER, writer_key(version)))
    assert states(it) == ({} if version == "c" else {P1.key: StaleState.STALE})


@pytest.mark.parametrize("policy", [LatePolicy.ASK, LatePolicy.REPORT])
def test_a_retry_replays_what_was_found_stale_again_while_its_run_went_on(policy: LatePolicy) -> None:
    it = driver()
    stale(it, "w1", "w2")
    gathered(it)
    it.approve("late1")
    it.start()
    it.sent()
    stale_again(it, "w2")
    it.errs("w1")
    it.end()
    if policy is LatePolicy.REPORT:
        stale_again(it, "w2")  # while it is in no live reprocessing
    it.retry("late1")
    it.notified()
    assert [unit.state for unit in late(it).order] == ["outstanding", "outstanding"]


def stale_again(it: Driver, name: str) -> None:
    step = Step()
    named_late(it.system, Impacted(name, MASTER), "c", step, staleness.NAMED_AGAIN)
    it.store.commit(it.repository.writes(step.saves), durable=True)


def test_a_unit_that_is_left_out_elsewhere_stays_in_a_late_reprocessing() -> None:
    it = driver()
    stale(it, "w1", "w2")
    gathered(it)
    step = Step()
    staleness.left_out(it.system, ("w2", MASTER), "w2", "ana", "not now", step)
    it.approve("late1")
    assert [unit.instance_id for unit in late(it).order] == ["w1", "w2"]


def test_a_unit_left_out_by_the_approval_of_its_late_document_is_listed_so() -> None:
    it = driver()
    stale(it, "w1", "w2")
    it.now += 20
    it.tell(facts.Woken(do.Topic.LATE, "gather"))
    fetch = it.last(do.FetchLateOrigins)
    found = [origin(unit) if unit.instance_id == "w1" else Origin(unit, b"", "") for unit in fetch.units]
    it.tell(facts.LateOriginsFetched(fetch.token, "late1", tuple(found)))
    it.approve("late1")
    note = it.system.ledger.stale[("w2", MASTER)]
    assert (note.state, note.user, note.document_id) == (StaleState.LEFT_OUT, "anna", "")
