"""Units that Discovery names before their own commits: listed, not replayed, and judged once these are made."""

from dataclasses import replace

import orjson
import pytest

from maestro.events import MASTER
from maestro.rules import commands as do
from maestro.rules import facts, staleness
from maestro.rules.doubt import CommitEnd, Finding
from maestro.rules.impact import Impacted, UnitKey
from maestro.rules.ledger import Read, Reads, base_key, writer_key
from maestro.rules.ledger_book import LatePolicy, MissedCommit, Scope, StaleState
from maestro.rules.rendering import document_json
from maestro.rules.status import Status
from maestro.rules.step import Step
from tests.unit.rules.driver import P1, P2, Driver, footprint, origin

ROW = base_key("conta", "7", "")
EARLY = replace(origin(P2), finished=False)


@pytest.fixture
def m() -> Driver:
    return Driver()


def states(m: Driver) -> dict[UnitKey, StaleState]:
    return {unit: one.state for unit, one in m.system.ledger.stale.items()}


def held_for_one_of_two(m: Driver) -> None:
    m.arrive("i1")
    m.impact(P1, P2)
    m.origins((origin(P1), EARLY))


def committed_over(m: Driver, name: str = "i1") -> None:
    """Discovery names only what is not finished: nothing is held."""
    m.arrive(name)
    m.impact(P2)
    m.origins((EARLY,))
    m.committed()


def told(m: Driver, *units: Impacted) -> None:
    asked = m.last(do.AskAgain)
    m.tell(facts.AskedAgain(asked.key, asked.token, units))


def test_it_is_listed_in_the_document_and_not_replayed(m: Driver) -> None:
    held_for_one_of_two(m)
    assert [unit.key for unit in m.doc.order] == [P1.key]
    m.restart()
    shown = orjson.loads(document_json(m.doc, m.doc.order))
    assert shown["notFinished"] == [{"instanceId": "p2", "branch": "master"}]
    assert states(m) == {P2.key: StaleState.NOT_FINISHED}


def test_one_that_waits_here_is_not_finished_whatever_api_core_calls_it(m: Driver) -> None:
    m.arrive("i1")
    m.arrive("p2")
    m.impact(P1, P2)
    m.origins((origin(P1), origin(P2)))
    assert [unit.key for unit in m.doc.order] == [P1.key]
    assert m.doc.not_finished == (P2,)


def test_when_all_that_is_named_is_not_finished_nothing_is_held(m: Driver) -> None:
    committed_over(m)
    assert not m.system.documents
    assert m.system.counters.commit == 1
    assert states(m) == {P2.key: StaleState.NOT_FINISHED}


def test_after_its_own_commit_discovery_says_whether_it_is_stale(m: Driver) -> None:
    committed_over(m)
    m.commit("p2")
    assert m.only(do.AskAgain).instance_id == "i1"
    told(m, P2)
    (one,) = m.system.ledger.stale.values()
    assert (one.state, [commit.instance_id for commit in one.missed]) == (StaleState.STALE, ["i1"])
    assert m.system.ledger.late_due > m.now


def test_one_that_discovery_names_no_more_is_fresh(m: Driver) -> None:
    committed_over(m)
    m.commit("p2")
    told(m, P1)
    assert states(m) == {}
    assert not m.system.ledger.not_finished


def test_each_commit_that_named_it_is_asked_about(m: Driver) -> None:
    committed_over(m)
    m.arrive("i3")
    m.impact(P2)
    m.origins((EARLY,))
    m.committed()
    m.commit("p2")
    assert m.only(do.AskAgain).instance_id == "i1"
    told(m)
    assert m.only(do.AskAgain).instance_id == "i3"
    told(m, P2)
    assert states(m) == {P2.key: StaleState.STALE}


def test_the_question_waits_until_the_commit_is_visible() -> None:
    m = Driver(ensure_finished=True)
    m.arrive("i1")
    m.impact(P2)
    m.origins((EARLY,))
    m.committed()
    looked(m)
    m.commit("p2")
    assert not m.asked(do.AskAgain)
    looked(m)
    assert m.only(do.AskAgain).instance_id == "i1"


def looked(m: Driver) -> None:
    for due in [one for one in m.commands if isinstance(one, do.WakeAt) and one.topic is do.Topic.LOOK]:
        m.tell(facts.Woken(due.topic, due.key))
    look = m.last(do.Look)
    m.tell(facts.Looked(look.key, look.token, "finished"))


def test_the_question_survives_a_restart_and_is_put_again_when_it_fails(m: Driver) -> None:
    committed_over(m)
    m.commit("p2")
    m.restart()
    asked = m.last(do.AskAgain)
    m.tell(facts.AskAgainFailed(asked.key, asked.token, "out of reach"))
    due = m.only(do.WakeAt)
    m.tell(facts.Woken(due.topic, due.key))
    assert m.only(do.AskAgain).token != asked.token
    told(m, P2)
    assert states(m) == {P2.key: StaleState.STALE}


def test_where_the_ledger_has_the_commit_what_it_read_says_so() -> None:
    m = Driver(ledger_scope=Scope.ALL, late_policy=LatePolicy.REPORT)
    for name, version, state in (("p2", "i0", {P2.key: StaleState.STALE}), ("p1", "i-p1", {})):
        early = replace(EARLY, unit=Impacted(name, MASTER))
        m.arrive(f"i-{name}")
        m.impact(early.unit, footprint=footprint(ROW))
        m.origins((early,))
        m.committed()
        m.owed()
        m.arrive(name)
        m.impact(footprint=footprint())
        m.committed()
        assert not m.asked(do.AskAgain)
        m.owed(Read(ROW, MASTER, writer_key(version)))
        assert {unit: found for unit, found in states(m).items() if unit[0] == name} == state


def refused_for_good(m: Driver, name: str) -> None:
    """API core refuses for good to call a committed instance finished."""
    step = Step()
    staleness.not_visible(m.system, m.delivery(name), name, step)
    m.store.commit(m.repository.writes(step.saves), durable=True)


@pytest.mark.parametrize("dataset", [False, True])
def test_one_that_discovery_may_never_name_stays_listed_whatever_is_answered(*, dataset: bool) -> None:
    m = Driver(ledger_scope=Scope.ALL if not dataset else Scope.OFF)
    if dataset:
        committed_over(m)
        m.commit("p2")
    else:
        m.commit("i1")
        m.owed(changed=(ROW,))
        m.commit("p2")
        owed = m.last(do.FetchOwed)
        m.tell(facts.OwedFetched(owed.number, footprint(), None, candidates=(MissedCommit(1, "i1"),)))
    refused_for_good(m, "p2")
    m.restart()
    told(m)
    (one,) = m.system.ledger.stale.values()
    assert (one.state, one.cause) == (StaleState.UNVERIFIED, staleness.NOT_VISIBLE)


def test_one_without_a_dataset_that_the_log_does_not_reach_back_to_is_never_called_fresh() -> None:
    m = Driver(ledger_scope=Scope.ALL)
    m.arrive("i1")
    m.impact(P2, footprint=footprint(ROW))
    m.origins((EARLY,))
    m.committed()
    m.owed(Read(ROW + 1, MASTER, ""))
    m.arrive("p2")
    m.impact(footprint=footprint())
    m.committed()
    m.tell(facts.OwedFetched(m.last(do.FetchOwed).number, footprint(), None))
    m.restart()
    assert m.last(do.AskAgain).instance_id == "i1"
    told(m)
    (one,) = (note for note in m.system.ledger.stale.values() if note.unit == P2.key)
    assert (one.state, one.cause) == (StaleState.UNVERIFIED, staleness.NO_DATASET)
    m.restart()
    assert states(m)[P2.key] is StaleState.UNVERIFIED


def test_one_that_may_never_be_named_and_is_stale_is_off_the_list_once_it_is_replayed(m: Driver) -> None:
    committed_over(m)
    m.commit("p2")
    refused_for_good(m, "p2")
    told(m, P2)
    assert states(m) == {P2.key: StaleState.STALE}
    staleness.replayed(m.system, P2.key, Step(), m.system.ledger.last)
    assert states(m) == {}


def test_of_very_many_commits_that_named_it_nobody_can_ask_about_each(m: Driver) -> None:
    for nth in range(staleness.KEPT_EARLY + 20):
        committed_over(m, f"e{nth}")
    assert len(m.system.ledger.stale[P2.key].missed) == staleness.KEPT_EARLY
    m.restart()
    m.commit("p2")
    assert not any(isinstance(command, do.AskAgain) for command in m.log)
    (one,) = m.system.ledger.stale.values()
    assert (one.state, one.cause) == (StaleState.UNVERIFIED, staleness.TOO_MANY)


@pytest.mark.parametrize("gap", [False, True])
def test_where_the_ledger_has_them_all_what_it_read_says_so(*, gap: bool) -> None:
    m = Driver(ledger_scope=Scope.ALL)
    for nth in range(staleness.KEPT_EARLY + 20):
        if nth == staleness.KEPT_EARLY + 10 and gap:
            with_scope(m, Scope.OFF)
        committed_over(m, f"e{nth}")
        if m.system.ledger.owed:
            m.owed()
    with_scope(m, Scope.ALL)
    m.arrive("p2")
    m.impact(footprint=footprint())
    m.committed()
    m.owed(Read(ROW, MASTER, writer_key("e1")))
    assert states(m) == ({P2.key: StaleState.UNVERIFIED} if gap else {})


def test_one_that_is_named_again_and_again_keeps_its_place_among_the_notes(m: Driver) -> None:
    committed_over(m, "e1")
    staleness.left_out(m.system, P1.key, "p1", "ana", "", Step())
    committed_over(m, "e2")
    assert list(m.system.ledger.stale) == [P2.key, P1.key]
    assert [one.instance_id for one in m.system.ledger.stale[P2.key].missed] == ["e1", "e2"]


# --- what ends otherwise than by its commit ------------------------------------------------------------------------


def one_more(m: Driver) -> None:
    """P2 is committed, and a further event of it waits when Discovery names it; what named it is committed."""
    m.commit("p2")
    m.arrive("i1")
    m.arrive("p2-again", instance="p2")
    m.impact(P2)
    m.origins()
    m.committed()
    assert states(m) == {P2.key: StaleState.NOT_FINISHED}
    assert not any(isinstance(command, do.AskAgain) for command in m.log)


def test_one_whose_further_event_fails_is_judged_as_its_earlier_one_left_it(m: Driver) -> None:
    one_more(m)
    m.judging_fails()
    assert m.only(do.AskAgain).instance_id == "i1"
    m.restart()
    told(m, P2)
    assert states(m) == {P2.key: StaleState.STALE}


def test_one_whose_further_event_is_skipped_is_judged_as_its_earlier_one_left_it(m: Driver) -> None:
    one_more(m)
    m.impact(P1)
    m.origins()
    assert not m.asked(do.AskAgain)
    m.skip()
    assert m.only(do.AskAgain).instance_id == "i1"


def test_one_that_is_committed_and_not_called_finished_is_judged_at_once(m: Driver) -> None:
    m.commit("p2")
    m.arrive("i1")
    m.impact(P2)
    m.origins((EARLY,))
    assert not m.asked(do.AskAgain)
    m.committed()
    assert m.only(do.AskAgain).instance_id == "i1"
    told(m, P2)
    assert states(m) == {P2.key: StaleState.STALE}


@pytest.mark.parametrize("committed_before", [False, True])
def test_a_commit_that_is_refused_was_missed_by_nobody(m: Driver, *, committed_before: bool) -> None:
    if committed_before:
        m.commit("p2")
    committed_over(m, "e0")
    if committed_before:
        told(m)
    m.arrive("i1")
    m.impact(P2)
    m.origins((EARLY,))
    m.refused()
    if committed_before:
        assert states(m) == {}
        return
    m.restart()
    m.commit("p2")
    assert m.last(do.AskAgain).instance_id == "e0"
    told(m)
    assert states(m) == {}
    assert not m.asked(do.AskAgain)


def test_a_commit_in_doubt_may_have_been_missed(m: Driver) -> None:
    m.arrive("i1")
    m.impact(P2)
    m.origins((EARLY,))
    m.commit_ends(CommitEnd.LOST)
    m.settles(Finding.UNPROVABLE)
    assert states(m) == {P2.key: StaleState.NOT_FINISHED}
    m.commit("p2")
    assert m.last(do.AskAgain).instance_id == "i1"


def with_scope(m: Driver, scope: Scope) -> None:
    """Restart with this scope of the ledger."""
    m.rules = replace(m.rules, ledger_scope=scope)
    m.restart()
    m.tell(facts.WaitQueueDrained())


@pytest.mark.parametrize("scope", [Scope.REPLAYS, Scope.ALL])
@pytest.mark.parametrize("asked_first", [False, True])
def test_what_the_ledger_has_not_is_asked_about(scope: Scope, *, asked_first: bool) -> None:
    m = Driver(ledger_scope=Scope.REPLAYS)
    m.run(P1)
    m.owed()
    m.replay_to_the_end("r1", "p1")
    with_scope(m, Scope.OFF)
    committed_over(m, "e1")
    with_scope(m, scope)
    m.arrive("p2")
    m.impact(footprint=footprint(ROW))
    m.committed()
    assert m.last(do.AskAgain).instance_id == "e1"
    if asked_first:
        told(m, P2)
    if m.system.ledger.owed:
        m.owed(Read(ROW, MASTER, writer_key("i0")))
    if not asked_first:
        told(m, P2)
    assert states(m) == {P2.key: StaleState.STALE}


def test_without_its_dataset_discovery_is_asked() -> None:
    m = Driver(ledger_scope=Scope.ALL)
    m.arrive("i1")
    m.impact(P2, footprint=footprint(ROW))
    m.origins((EARLY,))
    m.committed()
    m.owed()
    m.arrive("p2")
    m.impact(footprint=footprint())
    m.committed()
    owed = m.last(do.FetchOwed)
    m.tell(facts.OwedFetched(owed.number, footprint(), None))
    assert m.only(do.AskAgain).instance_id == "i1"


def test_a_held_commit_that_is_not_made_was_not_missed(m: Driver) -> None:
    held_for_one_of_two(m)
    m.skip()
    m.commit("p2")
    assert states(m) == {}


def test_the_start_lists_it_too_and_replays_one_that_is_finished_by_then(m: Driver) -> None:
    held_for_one_of_two(m)
    m.approve()
    m.notified()
    m.start_impact(P1, P2, Impacted("p4", MASTER))
    fetch = m.only(do.FetchReplayOrigins)
    p4 = replace(origin(Impacted("p4", MASTER)), finished=False)
    m.tell(facts.ReplayOriginsFetched(fetch.id, fetch.token, (origin(P2), p4)))
    assert [unit.instance_id for unit in m.doc.order] == ["p1", "p2"]
    shown = orjson.loads(document_json(m.doc, m.doc.order))
    assert shown["notFinished"] == [{"instanceId": "p4", "branch": "master"}]


def test_a_replay_lists_it_and_is_committed(m: Driver) -> None:
    m.run(P1)
    m.sent()
    m.result("re1", "p1")
    m.replay_impact(P2)
    fetch = m.only(do.FetchReplayOrigins)
    m.tell(facts.ReplayOriginsFetched(fetch.id, fetch.token, (EARLY,)))
    assert m.asked(do.CommitReplay)
    assert m.doc.not_finished == (P2,)
    m.replay_committed()
    m.end()
    m.commit("p2")
    assert m.only(do.AskAgain).instance_id == "re1"


def test_a_recheck_lists_what_is_not_finished_now(m: Driver) -> None:
    m.hold("i1", P1)
    m.tell(facts.RecheckAsked("d1", "anna", m.ticket()))
    asked = m.last(do.AskRecheck)
    m.tell(facts.RecheckFound("d1", asked.token, (P1, P2)))
    m.tell(facts.RecheckOriginsFetched("d1", asked.token, (EARLY,)))
    assert [unit.key for unit in m.doc.order] == [P1.key]
    assert m.doc.not_finished == (P2,)


def test_a_held_commit_that_its_reconsidered_event_made_was_missed(m: Driver) -> None:
    held_for_one_of_two(m)
    m.doc.pending_event = b'{"systemId": "s", "instanceId": "i1", "name": "n", "branch": "master"}'
    m.skip()
    m.tell(facts.ReconsiderAsked("d1", "anna", m.ticket()))
    m.impact()
    m.committed()
    m.commit("p2")
    assert m.only(do.AskAgain).instance_id == "i1"


def test_a_held_commit_whose_run_has_asked_already_may_be_missed() -> None:
    m = Driver()
    m.arrive("i1")
    m.impact(P1, P2)
    m.origins((origin(P1), EARLY), fork=True)
    m.notified()
    m.start_impact()
    m.commit("p2")
    assert m.last(do.AskAgain).instance_id == "i1"


def test_however_many_commits_named_it_each_is_asked_about(m: Driver) -> None:
    names = [f"e{number}" for number in range(12)]
    for name in names:
        m.arrive(name)
        m.impact(P2)
        m.origins((EARLY,))
        m.committed()
    m.commit("p2")
    asked = []
    while m.asked(do.AskAgain):
        asked.append(m.only(do.AskAgain).instance_id)
        told(m)
    assert asked == names


def test_one_instance_that_is_named_early_on_two_branches_is_asked_about_for_both(m: Driver) -> None:
    on_b1 = Impacted("p2", "b1")
    m.arrive("i1")
    m.impact(P2, on_b1)
    m.origins((EARLY, replace(origin(on_b1), finished=False)))
    m.committed()
    m.commit("p2")
    assert len({one.key for one in m.log if isinstance(one, do.AskAgain)}) == 2


def test_what_was_named_by_a_commit_whose_rows_stay_unknown_is_asked_about() -> None:
    m = Driver(ledger_scope=Scope.ALL)
    m.arrive("i1")
    m.impact(P2, footprint=footprint(ROW))
    m.origins((EARLY,))
    m.restart()
    m.proof(Finding.ROWS)
    m.owed(problem="domain.entities: 500")
    m.arrive("p2")
    m.impact(footprint=footprint())
    m.committed()
    if m.system.ledger.owed:
        m.owed(Read(ROW, MASTER, writer_key("old")))
    assert m.last(do.AskAgain).instance_id == "i1"


def test_rows_that_turn_out_to_be_unknown_after_the_units_own_commit_have_discovery_asked() -> None:
    m = Driver(ledger_scope=Scope.ALL)
    m.arrive("i1")
    m.impact(P2, footprint=footprint(ROW))
    m.origins((EARLY,))
    m.restart()
    m.proof(Finding.ROWS)
    named_by = m.last(do.FetchOwed).number
    m.arrive("p2")
    m.tell(facts.Woken(do.Topic.OWED, ""))
    m.tell(facts.FootprintFound(m.last(do.AskFootprint).token, footprint()))  # it changes no row: it does not wait
    m.impact(footprint=footprint())
    m.committed()
    m.tell(facts.OwedFetched(named_by, problem="domain.entities: 500"))
    m.owed(Read(ROW, MASTER, writer_key("old")))
    assert m.last(do.AskAgain).instance_id == "i1"


W = Impacted("w", MASTER)


@pytest.mark.parametrize("known", [False, True])
def test_discovery_is_not_asked_about_a_commit_that_was_aborted(*, known: bool) -> None:
    """E2 and E name W early; E2 is committed, E's run is aborted. A retry of that asks again whom E impacts."""
    m = Driver(ledger_scope=Scope.ALL)
    early = replace(origin(W), finished=False)
    m.arrive("e2")
    m.impact(W, footprint=footprint(ROW))
    m.origins((early,))
    m.committed()
    m.owed()
    m.arrive("e")
    m.impact(P1, W, footprint=footprint(ROW))
    m.origins((origin(P1), early))
    m.approve()
    m.notified()
    m.start_impact()
    m.queues_updated("broker refused")
    m.end()
    assert m.doc.status is Status.ABORTED_SPLIT
    m.arrive("w")
    m.impact(footprint=footprint())
    m.committed()
    number = m.last(do.FetchOwed).number
    if known:
        staleness.rows_unknown(m.system, "e2", Step())
        staleness.rows_unknown(m.system, "e", Step())
    m.tell(facts.OwedFetched(number, footprint(), Reads() if known else None, candidates=()))
    assert m.only(do.AskAgain).instance_id == "e2"
    told(m)
    assert not m.asked(do.AskAgain)
    assert states(m) == {}


def test_of_what_named_it_only_what_the_ledger_lost_is_asked_about() -> None:
    m = Driver(ledger_scope=Scope.ALL)
    for name in ("e1", "e2"):
        m.arrive(name)
        m.impact(P2, footprint=footprint(ROW))
        m.origins((EARLY,))
        m.committed()
        m.owed()
    m.arrive("p2")
    m.impact(footprint=footprint())
    m.committed()
    number = m.last(do.FetchOwed).number
    staleness.rows_unknown(m.system, "e2", Step())
    m.tell(facts.OwedFetched(number, footprint(), Reads()))
    assert m.only(do.AskAgain).instance_id == "e2"
    told(m)
    assert states(m) == {}


def test_a_start_that_is_asking_does_not_know_of_a_commit_that_is_made_meanwhile() -> None:
    m = Driver()
    m.arrive("i1")
    m.impact(P1, P2)
    m.origins((origin(P1), EARLY), fork=True)
    m.arrive("p2")
    m.notified()
    m.impact()
    m.committed()
    m.start_impact(P1)
    m.queues_updated()
    m.held_committed()
    assert m.last(do.AskAgain).instance_id == "i1"
