"""A commit that had no `ok` at once: what is proved, what is made again, what is left to a person (The commit)."""

from typing import Any

import pytest

from maestro.messages.answers import Code
from maestro.rules import commands as do
from maestro.rules import concluding, facts, resolving
from maestro.rules.delivery import Verdict
from maestro.rules.document import Stage
from maestro.rules.doubt import CommitEnd, Finding, Use
from maestro.rules.ledger import Footprint
from maestro.rules.ledger_book import Scope
from maestro.rules.status import Status
from tests.unit.rules.driver import P1, P2, Driver, footprint

IN_DOUBT = (CommitEnd.REFUSED, CommitEnd.LOST)


def called(name: str = "i1", **rules: float | bool) -> Driver:
    """An event's commit is under way."""
    m = Driver(**rules)  # type: ignore[arg-type]
    m.arrive(name)
    m.impact()
    return m


def ended(instance: str, *, stored: bool) -> facts.InstanceEnded:
    name = "s.done" if stored else "system.process.persist.error"
    return facts.InstanceEnded(instance, name, "1", "master", None, stored=stored, cause="" if stored else "failed")


# --- what was begun ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", IN_DOUBT)
def test_what_was_begun_is_in_doubt_and_holds_up_the_system(end: CommitEnd) -> None:
    m = called()
    m.commit_ends(end)
    assert m.asked(do.AskProof)
    assert not m.asked(do.Commit)
    stall = m.system.stalled()
    assert stall is not None
    assert (stall.sibling, "in doubt" in stall.cause) == ("domain", True)
    m.arrive("i2")
    assert not m.asked(do.AskImpact)


def test_rows_prove_it_at_once() -> None:
    m = called()
    m.commit_ends(CommitEnd.LOST)
    assert do.AckDelivery(m.ref()) in m.proof(Finding.ROWS)
    assert m.delivery("i1").done
    assert m.system.stalled() is None
    assert m.log.count(m.last(do.Commit)) == 1


@pytest.mark.parametrize("finding", [Finding.NO_ROWS, Finding.HARMLESS])
def test_nothing_is_made_again_before_it_has_ended(finding: Finding) -> None:
    m = called(commit_settle=60.0)
    m.commit_ends(CommitEnd.LOST)
    began = m.now
    while not m.asked(do.Commit):
        m.proof(finding)
        m.wake()
    assert m.only(do.Commit).again
    assert m.now - began >= 60.0


def test_what_domain_itself_answered_has_ended() -> None:
    m = called()
    m.commit_ends(CommitEnd.REFUSED)
    m.proof(Finding.NO_ROWS)
    m.wake()
    assert m.asked(do.Commit)


def test_three_times_the_longest_commit_must_go_by() -> None:
    m = called()
    m.system.longest_commit = 100.0
    m.commit_ends(CommitEnd.LOST)
    began = m.now
    while not m.asked(do.Commit):
        m.proof(Finding.NO_ROWS)
        m.wake()
    assert m.now - began >= 300.0


def test_the_longest_commit_is_remembered() -> None:
    m = called()
    m.tell(facts.Committed(m.last(do.Commit).token, 100.0))
    m.restart()
    assert m.system.longest_commit == 100.0


def test_a_jump_of_the_clock_does_not_make_it_ended() -> None:
    m = called()
    m.commit_ends(CommitEnd.LOST)
    m.proof(Finding.NO_ROWS)
    m.now += 3600.0
    m.wake()
    m.proof(Finding.NO_ROWS)
    assert m.looks_again()
    assert not m.asked(do.Commit)


def test_time_without_an_answer_does_not_count() -> None:
    m = called()
    m.commit_ends(CommitEnd.LOST)
    for _ in range(40):
        m.proof(Finding.SILENT)
        m.wake()
    m.proof(Finding.NO_ROWS)
    assert m.looks_again()


def test_never_forbids_the_guess() -> None:
    m = called(commit_settle=float("inf"))
    m.commit_ends(CommitEnd.LOST)
    for _ in range(200):
        m.proof(Finding.NO_ROWS)
        m.wake()
    assert m.log.count(m.last(do.Commit)) == 1
    m.tell(facts.DoubtResolved("1", "made", "ana", m.ticket(), "looked"))
    assert m.delivery("i1").done


def test_proved_not_made_and_refused_again_and_again_it_is_the_events_fault() -> None:
    m = called()
    m.refused()
    order = m.only(do.DeadLetterEvent)
    assert order.reason == "domain.commit: refused"
    assert order.doubt == ""
    assert sum(isinstance(command, do.Commit) for command in m.log) == m.rules.commit_tries


def test_no_route_is_tried_once_more_at_another_address() -> None:
    m = called()
    m.commit_ends(CommitEnd.NO_ROUTE)
    assert m.asked(do.Commit)
    m.commit_ends(CommitEnd.NO_ROUTE)
    assert m.asked(do.DeadLetterEvent)


def test_repeatable_domains_are_called_again_at_once() -> None:
    m = called(commit_repeatable=True)
    m.commit_ends(CommitEnd.LOST)
    assert m.asked(do.Commit)
    assert not m.asked(do.AskProof)


# --- what was not begun -----------------------------------------------------------------------------------------


def test_what_was_not_begun_is_tried_again_without_an_end() -> None:
    m = called()
    for _ in range(50):
        m.commit_ends(CommitEnd.NOT_BEGUN)
        assert not m.asked(do.AskProof)
        m.wake()
        assert m.only(do.Commit).again
    assert not any(isinstance(command, do.DeadLetterEvent) for command in m.log)


def test_after_a_restart_it_is_known_not_to_be_begun() -> None:
    m = called()
    m.commit_ends(CommitEnd.NOT_BEGUN)
    assert any(isinstance(command, do.Commit) and command.again for command in m.restart())


def test_after_a_restart_within_the_next_call_it_is_in_doubt() -> None:
    m = called()
    m.commit_ends(CommitEnd.NOT_BEGUN)
    m.wake()
    assert any(isinstance(command, do.AskProof) for command in m.restart())


def test_a_run_waits_for_a_domain_out_of_reach_up_to_its_limit() -> None:
    m = Driver(outage_limit=300.0)
    m.hold()
    m.approve()
    m.start()
    for _ in range(50):
        m.commit_ends(CommitEnd.NOT_BEGUN, do.CommitHeld)
        if m.asked(do.CleanUpQueues):
            break
        m.wake()
    m.queues_updated()
    assert m.doc.status is Status.ABORTED_PERSIST
    assert not m.doc.held_begun


# --- outcomes ---------------------------------------------------------------------------------------------------


def test_an_outcome_that_comes_before_the_answer_leaves_no_doubt_after_a_crash() -> None:
    m = called()
    m.tell(ended("i1", stored=True))
    m.restart()
    assert m.delivery("i1").done
    assert not any(isinstance(command, do.AskProof) for command in m.log)


def test_an_outcome_proves_what_is_in_doubt() -> None:
    m = called()
    m.commit_ends(CommitEnd.LOST)
    m.tell(ended("i1", stored=True))
    assert m.delivery("i1").done


def test_domains_error_says_that_the_first_call_has_ended() -> None:
    m = called()
    m.commit_ends(CommitEnd.LOST)
    m.proof(Finding.NO_ROWS)
    m.tell(ended("i1", stored=False))
    m.proof(Finding.NO_ROWS)
    m.wake()
    assert m.asked(do.Commit)


def test_a_late_error_of_an_earlier_call_says_nothing_of_a_later_one() -> None:
    m = called()
    m.commit_ends(CommitEnd.REFUSED)
    m.proof(Finding.NO_ROWS)
    m.wake()
    m.commit_ends(CommitEnd.LOST)
    m.proof(Finding.NO_ROWS)
    m.tell(ended("i1", stored=False))
    m.wake()
    m.proof(Finding.NO_ROWS)
    assert not m.asked(do.Commit)
    assert m.looks_again()


# --- earlier commits of the instance ----------------------------------------------------------------------------


def again(m: Driver) -> None:
    """The same instance persists once more, with a message of another id."""
    m.tell(facts.EventArrived("m-more", "i1", "s.persist.request", "master", "", ref=99))


def test_rows_of_an_earlier_commit_prove_nothing() -> None:
    m = called()
    m.committed()
    m.system.looks.clear()
    again(m)
    if not m.asked(do.AskImpact):
        m.system.looks.clear()
        m.tell(facts.IngressAttached())
    m.impact()
    m.commit_ends(CommitEnd.REFUSED)
    m.proof(Finding.ROWS)
    assert m.only(do.DeadLetterEvent).doubt == "2"


def test_an_instance_older_than_what_is_remembered_has_no_proof() -> None:
    m = called()
    m.system.remembers_from = m.now
    m.commit_ends(CommitEnd.REFUSED)
    assert m.only(do.AskProof).began
    m.proof(Finding.ROWS, began=m.now - 10.0)
    assert m.asked(do.DeadLetterEvent)


def test_a_younger_one_has() -> None:
    m = called()
    m.system.remembers_from = m.now - 1000.0
    m.commit_ends(CommitEnd.REFUSED)
    m.proof(Finding.ROWS, began=m.now - 10.0)
    assert m.delivery("i1").verdict is Verdict.COMMIT
    assert m.delivery("i1").done


# --- a person's word --------------------------------------------------------------------------------------------


def left_to_a_person(*, confirmed: bool = True) -> Driver:
    m = called()
    m.commit_ends(CommitEnd.REFUSED)
    m.proof(Finding.UNPROVABLE)
    if confirmed:
        m.tell(facts.DeadLettered("m-i1", 1))
    return m


def resolve(m: Driver, verdict: str, reason: str = "looked", key: str = "1") -> do.Reply:
    m.tell(facts.DoubtResolved(key, verdict, "ana", m.ticket(), reason))
    return m.only(do.Reply)


def test_without_proof_the_event_goes_to_its_error_queue_with_its_mark() -> None:
    m = left_to_a_person()
    order = m.last(do.DeadLetterEvent)
    assert (order.reason, order.doubt) == ("commit in doubt: domain.commit: refused", "1")
    assert [doubt.key for doubt in m.system.open_doubts] == ["1"]
    assert m.system.stalled() is None
    m.restart()
    assert [doubt.key for doubt in m.system.open_doubts] == ["1"]


def test_a_redrive_before_the_confirm_goes_back_once_that_has_come() -> None:
    m = left_to_a_person(confirmed=False)
    m.arrive("i1", redriven=True)
    assert not m.asked(do.DeadLetterEvent)  # the confirm under way forgets the event: nothing may be out by then
    m.tell(facts.DeadLettered("m-i1", 1))
    assert m.only(do.DeadLetterEvent).doubt == "1"
    assert not m.system.deliveries["m-i1"].done
    m.tell(facts.DeadLettered("m-i1", 1))
    assert m.system.deliveries["m-i1"].done


def test_a_redrive_goes_back_until_it_is_resolved() -> None:
    m = left_to_a_person()
    m.arrive("i1", redriven=True)
    assert m.only(do.DeadLetterEvent).doubt == "1"
    m.tell(facts.DeadLettered("m-i1", 1))
    assert resolve(m, "make_again").code is Code.OK
    m.arrive("i1", redriven=True)
    assert m.asked(do.AskImpact)


def test_what_was_made_is_done_wherever_its_copies_are() -> None:
    m = left_to_a_person()
    assert resolve(m, "made").code is Code.OK
    m.restart()
    assert m.arrive("i1", redriven=True) == [do.AckDelivery(m.ref())]


def test_a_word_is_taken_once_and_with_a_reason() -> None:
    m = left_to_a_person()
    assert resolve(m, "made", reason="").code is Code.INVALID
    assert resolve(m, "perhaps").code is Code.INVALID
    assert resolve(m, "made", key="7").code is Code.NOT_FOUND
    assert resolve(m, "made").code is Code.OK
    assert resolve(m, "make_again").code is Code.CONFLICT


def aborted_in_doubt() -> Driver:
    m = Driver()
    m.hold()
    m.approve()
    m.start()
    m.commit_ends(CommitEnd.REFUSED, do.CommitHeld)
    m.proof(Finding.UNPROVABLE)
    m.queues_updated()
    m.notified()
    return m


def test_a_held_commit_in_doubt_ends_the_run_and_forbids_a_retry() -> None:
    m = aborted_in_doubt()
    assert m.doc.status is Status.ABORTED_PERSIST
    assert m.doc.history[-1].cause.startswith("commit in doubt: ")
    m.retry()
    m.proof(Finding.NO_ROWS)
    assert m.only(do.Reply).code is Code.CONFLICT
    assert "commit in doubt" in m.only(do.Reply).message


def test_a_retry_finds_the_proof_itself() -> None:
    m = aborted_in_doubt()
    m.retry()
    m.proof(Finding.ROWS)
    assert m.only(do.Reply).code is Code.OK
    assert m.doc.held_committed
    assert m.doc.status is Status.APPROVED


@pytest.mark.parametrize(("end", "code"), [(CommitEnd.REFUSED, Code.OK), (CommitEnd.LOST, Code.CONFLICT)])
def test_a_retry_makes_nothing_again_that_may_be_under_way_not_even_what_is_harmless(
    end: CommitEnd, code: Code
) -> None:
    """A run that is ended by hand leaves its commit in doubt, also before that has ended."""
    m = Driver()
    m.hold()
    m.approve()
    m.start()
    m.commit_ends(end, do.CommitHeld)
    m.override("failure")
    m.queues_updated()
    m.notified()
    m.restart()
    m.retry()
    m.proof(Finding.HARMLESS)
    assert m.only(do.Reply).code is code
    assert [doubt.key for doubt in m.system.open_doubts] == ([] if code is Code.OK else ["d1"])


@pytest.mark.parametrize("verdict", ["made", "make_again"])
def test_a_word_permits_the_retry(verdict: str) -> None:
    m = aborted_in_doubt()
    resolve(m, verdict, key="d1")
    m.retry()
    assert m.only(do.Reply).code is Code.OK
    assert m.doc.held_committed is (verdict == "made")


def replay_in_doubt() -> Driver:
    """A run fails: nothing proves whether the replay of p1 is committed."""
    m = Driver()
    m.run(P1, P2)
    m.sent()
    m.result("re1", "p1")
    m.replay_impact()
    m.commit_ends(CommitEnd.REFUSED, do.CommitReplay)
    m.proof(Finding.UNPROVABLE)
    m.end()
    assert m.doc.status is Status.FAILURE
    return m


def test_a_replays_commit_in_doubt_fails_the_run_and_counts_as_replayed_once_it_is_said_to_be_made() -> None:
    m = replay_in_doubt()
    (doubt,) = m.system.open_doubts
    resolve(m, "made", key=doubt.key)
    m.retry()
    assert [unit.state for unit in m.doc.order] == ["done", "outstanding"]
    assert m.delivery("re1").done


def test_a_run_that_is_ended_by_hand_leaves_its_commit_in_doubt() -> None:
    m = Driver()
    m.hold()
    m.approve()
    m.start()
    m.commit_ends(CommitEnd.LOST, do.CommitHeld)
    m.override("failure")
    m.queues_updated()
    assert m.doc.status is Status.FAILURE
    assert [doubt.key for doubt in m.system.open_doubts] == ["d1"]


def test_a_rejected_replay_that_was_made_after_all_is_no_commit_of_flow_1() -> None:
    m = Driver()
    m.run()
    m.sent()
    m.result("re1", "p1")
    m.replay_impact()
    m.commit_ends(CommitEnd.LOST, do.CommitReplay)
    m.override("finished")
    m.queues_updated()
    result = m.delivery("re1")
    assert result.verdict is Verdict.ERROR
    m.tell(ended("re1", stored=True))
    assert (result.verdict, result.replay) == (Verdict.COMMIT, True)
    assert not list(m.system.open_doubts)


def test_what_was_made_of_a_former_round_says_nothing_of_the_next_one() -> None:
    m = replay_in_doubt()
    resolve(m, "made", key=m.system.open_doubts[0].key)
    m.retry()
    m.notified()
    m.queues_updated()
    m.sent()
    m.result("re2", "p2")
    m.replay_impact(P1)  # it is to be replayed again
    m.queues_updated()
    m.run_fails_at(do.CommitReplay)
    m.end()
    assert m.doc.order == []
    m.retry()
    again = m.doc.units["p1", "master"]
    assert (again.round, again.state) == (2, "outstanding")
    m.override("failure")
    m.tell(facts.LeaveOutAsked("d1", "ana", m.ticket(), (again.key,), m.units(), "obsolete"))  # type: ignore[arg-type]
    assert m.only(do.Reply).code is Code.OK


# --- what a former call may have made ----------------------------------------------------------------------------


def harmless(m: Driver) -> None:
    """Look after look says that making it again changes no data, until the commit counts as ended."""
    for _ in range(100):
        m.proof(Finding.HARMLESS)
        if not any(isinstance(one, do.WakeAt) for one in m.commands) or m.asked(do.CommitHeld):
            return
        m.wake()
        if not m.asked(do.AskProof):
            return
    raise AssertionError("it never counts as ended")


def begun(**rules: Any) -> Driver:
    m = Driver(**rules)
    m.hold()
    m.approve()
    m.start()
    return m


def test_a_cancelled_run_leaves_in_doubt_what_would_have_been_harmless_to_make_again() -> None:
    m = begun()
    m.commit_ends(CommitEnd.LOST, do.CommitHeld)
    m.cancel()
    harmless(m)
    m.end()
    assert m.doc.status is Status.CANCELLED
    assert [doubt.key for doubt in m.system.open_doubts] == ["d1"]


def test_so_does_one_that_is_ended_by_hand_and_one_whose_domain_is_out_of_reach_then() -> None:
    m = begun()
    m.override("failure")
    m.commit_ends(CommitEnd.REFUSED, do.CommitHeld)
    m.proof(Finding.HARMLESS)
    m.queues_updated()
    assert [doubt.key for doubt in m.system.open_doubts] == ["d1"]

    m = begun(outage_limit=30.0)
    m.commit_ends(CommitEnd.REFUSED, do.CommitHeld)
    m.proof(Finding.HARMLESS)
    for _ in range(20):
        m.wake()
        if not m.asked(do.CommitHeld):
            break
        m.commit_ends(CommitEnd.NOT_BEGUN, do.CommitHeld)
        if m.asked(do.CleanUpQueues):
            break
    m.queues_updated()
    assert m.doc.status is Status.ABORTED_PERSIST
    assert [doubt.key for doubt in m.system.open_doubts] == ["d1"]


def test_an_event_that_may_be_made_and_is_set_aside_is_in_doubt() -> None:
    m = Driver()
    m.arrive("x")
    m.impact()
    m.commit_ends(CommitEnd.REFUSED)
    m.proof(Finding.HARMLESS)
    m.tell(facts.SetAside("anna", m.ticket(), "it holds all up"))
    assert m.delivery("x").doubt


@pytest.mark.parametrize(("finding", "doubt"), [(Finding.HARMLESS, True), (Finding.HARMLESS_NO_ROWS, False)])
def test_what_creates_nothing_and_is_refused_again_and_again_is_the_events_fault_only_if_no_row_has_it(
    finding: Finding, *, doubt: bool
) -> None:
    m = Driver()
    m.arrive("x")
    m.impact()
    for _ in range(m.rules.commit_tries - 1):
        m.commit_ends(CommitEnd.REFUSED)
        m.proof(finding)
        m.wake()
    m.commit_ends(CommitEnd.REFUSED)
    m.proof(finding)
    assert m.only(do.DeadLetterEvent).key == "m-x"
    assert bool(m.delivery("x").doubt) is doubt


def test_what_may_be_made_is_in_doubt_after_a_crash_too() -> None:
    m = Driver()
    m.arrive("x")
    m.impact()
    m.commit_ends(CommitEnd.REFUSED)
    m.proof(Finding.HARMLESS)
    asked = m.last(do.AskProof)
    m.restart()
    assert m.last(do.AskProof) is not asked
    assert sum(isinstance(one, do.Commit) for one in m.log) == 1


def test_a_cancelled_run_of_a_repeatable_domain_leaves_in_doubt_what_was_lost() -> None:
    m = begun(commit_repeatable=True)
    for _ in range(2):
        m.commit_ends(CommitEnd.LOST, do.CommitHeld)
    m.cancel()
    m.wake()
    m.end()
    assert [doubt.key for doubt in m.system.open_doubts] == ["d1"]


def test_a_commit_that_perhaps_ended_later_supersedes_a_result_of_before() -> None:
    m = Driver()
    m.arrive("x")
    m.impact()
    m.commit_ends(CommitEnd.LOST)
    m.tell(facts.SetAside("anna", m.ticket(), "r"))
    m.run(P1)
    m.sent()
    m.result("re1", "p1")
    m.run_fails_at(do.AskReplayImpact)
    m.end()
    m.tell(ended("x", stored=True))
    m.retry()
    m.notified()
    m.queues_updated()
    assert not m.asked(do.AskReplayImpact)


def test_the_late_outcome_of_a_forgotten_commit_proves_no_further_one_of_its_instance() -> None:
    m = Driver(dedup_window=1)
    m.tell(facts.WaitQueueDrained())
    m.arrive("x1", instance="x")
    m.impact()
    m.committed()
    for name in "bcd":
        m.commit(name)
    m.arrive("x2", instance="x")
    m.impact()
    m.tell(ended("x", stored=True))
    m.commit_ends(CommitEnd.LOST)
    assert not m.delivery("x2").done


def test_the_word_to_make_it_again_outlasts_a_crash_before_its_error_queue_has_it() -> None:
    m = called()
    m.commit_ends(CommitEnd.LOST)
    m.settles(Finding.UNPROVABLE)
    resolve(m, "make_again", key=m.system.open_doubts[0].key)
    m.restart()
    letter = m.last(do.DeadLetterEvent)
    m.tell(facts.DeadLettered(letter.key, letter.number))
    m.arrive("i1", redriven=True)
    assert m.asked(do.AskImpact)


# --- words, overrides and repeatable domains --------------------------------------------------------------------


@pytest.mark.parametrize("verdict", ["made", "make_again"])
def test_a_word_that_is_given_while_the_run_is_being_ended_outlasts_a_crash(verdict: str) -> None:
    m = Driver()
    m.run(P1, P2)
    m.sent()
    m.result("re1", "p1")
    m.replay_impact()
    m.commit_ends(CommitEnd.REFUSED, do.CommitReplay)
    m.proof(Finding.UNPROVABLE)
    assert m.doc.stage is Stage.CLEAN_UP, "the broker is away"
    [doubt] = m.system.open_doubts
    resolve(m, verdict, key=doubt.key)
    m.restart()
    assert not m.system.cases
    m.end()
    assert [one.verdict for one in m.system.doubts.values()] == [verdict]
    m.retry()
    m.notified()
    m.queues_updated()
    assert m.asked(do.CommitReplay) is (verdict == "make_again")
    assert m.asked(do.SendReplay) is (verdict == "made")


def test_an_override_waits_for_the_call_in_hand_and_one_look_for_proof() -> None:
    m = Driver()
    m.run(P1)
    m.sent()
    m.result("re1", "p1")
    m.replay_impact()
    m.override("failure")
    m.commit_ends(CommitEnd.LOST, do.CommitReplay)
    m.proof(Finding.SILENT)
    m.end()
    assert m.doc.status is Status.FAILURE
    assert m.system.lock() is None
    assert len(m.system.open_doubts) == 1


def refused_five_times(m: Driver, kind: type[do.Command]) -> None:
    for _ in range(m.rules.commit_tries):
        m.commit_ends(CommitEnd.REFUSED, kind)
        if m.asked(do.WakeAt):
            m.wake()


def test_where_commits_may_be_repeated_nobody_need_say_so() -> None:
    m = begun(commit_repeatable=True)
    refused_five_times(m, do.CommitHeld)
    m.end()
    [doubt] = m.system.open_doubts
    assert doubt.since
    m.retry()
    assert m.only(do.Reply).code is Code.OK
    assert doubt.verdict == "make_again"
    m.notified()
    m.start_impact()
    m.queues_updated()
    assert m.asked(do.CommitHeld)

    m = called(commit_repeatable=True)
    refused_five_times(m, do.Commit)
    letter = m.last(do.DeadLetterEvent)
    m.tell(facts.DeadLettered(letter.key, letter.number))
    m.arrive("i1", redriven=True)
    assert m.asked(do.AskImpact)


# --- beside a run without lock -----------------------------------------------------------------------------------


def fork_in_flight() -> Driver:
    """A replay of a run without lock is sent."""
    m = Driver()
    m.hold("i1", P1, P2, fork=True)
    m.start()
    m.held_committed()
    m.sent()
    return m


def beside_a_fork(replay: Footprint | None = None, event: Footprint | None = None) -> Driver:
    """The commits of a replay and of an event are under way side by side; they change these rows."""
    m = fork_in_flight()
    m.result("re1", "p1")
    m.arrive("e1")
    m.replay_impact(footprint=replay)
    m.impact(footprint=event)
    return m


@pytest.mark.parametrize("crash", [False, True])
@pytest.mark.parametrize("finding", [Finding.NO_ROWS, Finding.HARMLESS_NO_ROWS, Finding.HARMLESS])
def test_no_rows_prove_nothing_once_another_commit_may_have_replaced_them(finding: Finding, *, crash: bool) -> None:
    m = beside_a_fork()
    if crash:
        m.restart()
        m.proof(Finding.ROWS)  # of the event
    else:
        m.commit_ends(CommitEnd.LOST, do.CommitReplay)
        m.committed()
    asked = sum(isinstance(one, do.CommitReplay) for one in m.log)
    m.settles(finding)
    assert sum(isinstance(one, do.CommitReplay) for one in m.log) == asked
    assert [doubt.instance_id for doubt in m.system.open_doubts] == ["re1"]


def test_nor_do_they_of_an_event_beside_which_a_replay_is_committed() -> None:
    m = beside_a_fork()
    m.replay_committed()
    m.commit_ends(CommitEnd.LOST)
    m.restart()
    m.settles(Finding.NO_ROWS)
    assert [doubt.instance_id for doubt in m.system.open_doubts] == ["e1"]


@pytest.mark.parametrize("crash", [False, True])
def test_whichever_of_two_is_looked_after_first(crash: bool) -> None:  # noqa: FBT001 - a case
    m = beside_a_fork()
    if crash:
        m.restart()
    else:
        m.commit_ends(CommitEnd.LOST)
    m.settles(Finding.NO_ROWS)  # of the event: the replay replaced its rows
    assert [doubt.instance_id for doubt in m.system.open_doubts] == ["e1"]
    assert sum(isinstance(one, do.Commit) for one in m.log) == 1


def test_what_was_committed_before_the_call_says_nothing_of_it() -> None:
    m = fork_in_flight()
    m.arrive("e1")
    m.impact()
    m.result("re1", "p1")
    m.committed()
    m.replay_impact()
    m.commit_ends(CommitEnd.REFUSED, do.CommitReplay)
    m.proof(Finding.NO_ROWS)
    m.wake()
    assert m.asked(do.CommitReplay)


def test_nor_does_a_commit_that_changes_other_rows() -> None:
    m = beside_a_fork(footprint(1), footprint(2))
    m.commit_ends(CommitEnd.REFUSED, do.CommitReplay)
    m.proof(Finding.NO_ROWS)
    m.wake()
    assert m.asked(do.CommitReplay)


def test_what_was_beside_a_former_call_is_not_beside_the_next_one() -> None:
    m = Driver()
    m.hold("i1", P1, fork=True)
    m.start()
    m.arrive("e1")
    m.impact()
    m.committed()
    m.commit_ends(CommitEnd.NOT_BEGUN, do.CommitHeld)
    m.wake()
    m.commit_ends(CommitEnd.REFUSED, do.CommitHeld)
    m.proof(Finding.NO_ROWS)
    m.wake()
    assert m.asked(do.CommitHeld)


def calls(m: Driver, kind: type[do.Command]) -> int:
    return sum(isinstance(one, kind) for one in m.log)


def test_a_row_that_was_created_may_have_been_changed_by_what_was_committed_beside_it() -> None:
    m = Driver(ledger_scope=Scope.REPLAYS)
    m.hold("i1", P1, P2, fork=True)
    m.start()
    m.held_committed()
    m.owed()
    m.sent()
    m.result("re1", "p1")
    m.replay_impact(footprint=Footprint(created=1))
    m.arrive("e1")
    m.impact(footprint=footprint(7))
    m.committed()
    m.commit_ends(CommitEnd.LOST, do.CommitReplay)
    m.owed()
    m.settles(Finding.NO_ROWS)
    assert calls(m, do.CommitReplay) == 1
    assert [doubt.instance_id for doubt in m.system.open_doubts] == ["re1"]


@pytest.mark.parametrize("finding", [Finding.HARMLESS, Finding.HARMLESS_NO_ROWS])
@pytest.mark.parametrize("crash", [False, True])
def test_a_retry_does_not_make_a_held_commit_again_over_a_later_one(finding: Finding, *, crash: bool) -> None:
    m = Driver()
    m.hold("i1", P1)
    m.approve()
    m.start()
    m.commit_ends(CommitEnd.REFUSED, do.CommitHeld)  # Domain may have stored it, and failed then
    m.cancel()
    m.proof(Finding.HARMLESS)
    m.end()
    m.commit("c2")
    if crash:
        m.restart()
    m.retry()
    m.proof(finding)
    assert m.only(do.Reply).code is Code.CONFLICT
    assert [doubt.instance_id for doubt in m.system.open_doubts] == ["i1"]


def test_nothing_of_an_event_is_decided_while_a_commit_beside_it_is_in_doubt() -> None:
    m = fork_in_flight()
    m.result("re1", "p1")
    m.replay_impact()
    m.arrive("e1")
    m.commit_ends(CommitEnd.REFUSED, do.CommitReplay)
    m.impact()
    assert not m.asked(do.Commit)
    assert m.delivery("e1").verdict is None
    m.proof(Finding.NO_ROWS)
    m.wake()
    m.replay_committed()
    assert m.only(do.AskImpact).instance_id == "e1"
    m.impact()
    assert m.asked(do.Commit)


def test_nor_is_one_held_or_asked_again_while_a_held_commit_cannot_be_begun() -> None:
    m = Driver()
    m.hold("i1", P1, fork=True)
    m.start()
    m.arrive("e1")
    m.impact(P2)
    m.commit_ends(CommitEnd.NOT_BEGUN, do.CommitHeld)
    m.origins(id_="d2")
    assert list(m.system.documents) == ["d1"]
    assert not m.asked(do.AskImpact)
    m.tell(facts.SetAside("ana", m.ticket(), "it is poison"))
    assert m.only(do.Reply).code is Code.OK
    assert m.only(do.DeadLetterEvent).key == "m-e1"


def test_a_call_waits_while_another_commit_is_in_doubt() -> None:
    m = fork_in_flight()
    m.result("re1", "p1")
    m.replay_impact()
    m.arrive("e1")
    m.impact()
    m.commit_ends(CommitEnd.NOT_BEGUN)
    due = next(one for one in m.commands if isinstance(one, do.WakeAt) and one.topic is do.Topic.COMMIT)
    m.commit_ends(CommitEnd.LOST, do.CommitReplay)
    m.tell(facts.Woken(due.topic, due.key))
    assert calls(m, do.Commit) == 1
    again = m.only(do.WakeAt)
    assert again.key == due.key
    m.proof(Finding.ROWS)
    m.tell(facts.Woken(again.topic, again.key))
    assert calls(m, do.Commit) == 2


def test_no_replay_is_sent_again_while_a_commit_is_in_doubt() -> None:
    m = fork_in_flight()
    m.arrive("e1")
    m.impact()
    m.commit_ends(CommitEnd.LOST)
    m.times_out()
    assert calls(m, do.SendReplay) == 1
    m.proof(Finding.ROWS)
    m.times_out()
    assert calls(m, do.SendReplay) == 2


def test_a_cancel_does_not_wait_for_a_doubt_of_another_commit() -> None:
    m = fork_in_flight()
    m.arrive("e1")
    m.impact()
    m.result("re1", "p1")
    m.commit_ends(CommitEnd.LOST)
    m.cancel()
    m.queues_updated()
    assert m.doc.status is Status.CANCELLED


@pytest.mark.parametrize("finding", [Finding.NO_ROWS, Finding.HARMLESS_NO_ROWS])
def test_what_was_set_aside_and_may_be_under_way_still_may_replace_rows(finding: Finding) -> None:
    m = Driver()
    m.arrive("e0")
    m.impact()
    m.commit_ends(CommitEnd.LOST)
    m.tell(facts.SetAside("ana", m.ticket(), "it holds all up"))
    m.arrive("e1")
    m.impact()
    m.commit_ends(CommitEnd.REFUSED)
    m.proof(finding)
    assert [doubt.instance_id for doubt in m.system.open_doubts] == ["e0", "e1"]


def test_what_is_to_be_made_again_is_proved_as_if_it_were_the_first_time() -> None:
    m = Driver()
    m.arrive("e1")
    m.impact()
    m.commit_ends(CommitEnd.LOST)
    m.proof(Finding.UNKNOWN)
    (doubt,) = resolving.known_doubts(m.system)
    m.tell(facts.DoubtResolved(doubt.key, "make_again", "ana", m.ticket(), "it is not there"))
    m.commit_ends(CommitEnd.REFUSED)
    m.proof(Finding.NO_ROWS)
    m.wake()
    assert calls(m, do.Commit) == 3
    assert not m.system.open_doubts


def test_nor_does_it_matter_that_it_came_back_from_the_error_queue_for_that() -> None:
    m = Driver()
    m.arrive("e1")
    m.impact()
    m.commit_ends(CommitEnd.REFUSED)
    m.proof(Finding.UNPROVABLE)
    letter = m.last(do.DeadLetterEvent)
    m.tell(facts.DeadLettered(letter.key, letter.number))
    (doubt,) = m.system.open_doubts
    m.tell(facts.DoubtResolved(doubt.key, "make_again", "ana", m.ticket(), "it is not there"))
    m.arrive("e1", redriven=True)
    m.impact()
    m.commit_ends(CommitEnd.LOST)
    m.proof(Finding.ROWS)
    assert m.delivery("e1").done
    assert calls(m, do.Commit) == 2


def test_a_commit_that_is_forgotten_with_its_doubt_is_not_proof_of_a_later_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(concluding, "RESOLVED_KEPT", 0)
    m = Driver()
    m.tell(facts.WaitQueueDrained())
    m.arrive("x")
    m.impact()
    m.commit_ends(CommitEnd.REFUSED)
    m.proof(Finding.UNPROVABLE)
    letter = m.last(do.DeadLetterEvent)
    m.tell(facts.DeadLettered(letter.key, letter.number))
    m.tell(facts.InstanceEnded("x", "system.process.persist.done", "", "master", None, stored=True))
    assert not m.system.doubts
    m.restart()
    m.arrive("x2", instance="x")
    m.impact()
    m.commit_ends(CommitEnd.LOST)
    m.proof(Finding.ROWS)
    assert not m.delivery("x2").done


def held_in_doubt() -> Driver:
    """A held commit that Domain refused, and that nothing proves: its run ended."""
    m = Driver()
    m.hold("i1", P1)
    m.approve()
    m.start()
    m.commit_ends(CommitEnd.REFUSED, do.CommitHeld)
    m.proof(Finding.UNPROVABLE)
    m.end()
    return m


def made_again() -> Driver:
    """A held commit that was in doubt is called by a retried run, because that is harmless."""
    m = held_in_doubt()
    m.retry()
    m.proof(Finding.HARMLESS)
    m.start()
    return m


def test_nor_over_one_that_is_being_made_while_the_proof_is_looked_for() -> None:
    m = held_in_doubt()
    m.retry()
    m.arrive("e")
    m.impact()
    m.proof(Finding.HARMLESS)
    assert m.only(do.Reply).code is Code.CONFLICT


def test_nor_while_another_one_is_left_to_a_person() -> None:
    m = held_in_doubt()
    m.arrive("x")
    m.impact()
    m.commit_ends(CommitEnd.REFUSED)
    m.proof(Finding.UNPROVABLE)
    m.retry()
    m.proof(Finding.HARMLESS)
    assert m.only(do.Reply).code is Code.CONFLICT


def test_nor_over_one_that_was_made_before_it_was_called_again() -> None:
    m = held_in_doubt()
    m.retry()
    m.proof(Finding.HARMLESS)
    m.cancel()
    m.end()
    m.commit("e")
    m.restart()
    m.retry()
    m.proof(Finding.HARMLESS)
    assert m.only(do.Reply).code is Code.CONFLICT
    assert calls(m, do.CommitHeld) == 1


def test_a_word_is_not_lost_while_another_commit_is_in_doubt() -> None:
    m = beside_a_fork()
    m.commit_ends(CommitEnd.REFUSED)
    asked = m.last(do.AskProof)
    m.commit_ends(CommitEnd.LOST, do.CommitReplay)
    key = str(m.delivery("e1").number)
    m.tell(facts.DoubtResolved(key, "make_again", "ana", m.ticket(), "it is not there"))
    m.tell(facts.ProofFound(asked.token, Finding.UNPROVABLE))  # to a question from before
    assert m.system.doubts[key].verdict == "make_again"
    assert not m.delivery("e1").doubt
    m.proof(Finding.ROWS)
    m.wake()
    assert calls(m, do.Commit) == 2


def test_after_a_crash_a_commit_in_doubt_comes_before_one_that_waits_for_it() -> None:
    m = beside_a_fork()
    m.commit_ends(CommitEnd.REFUSED)
    m.commit_ends(CommitEnd.LOST, do.CommitReplay)
    m.tell(facts.DoubtResolved(str(m.delivery("e1").number), "make_again", "ana", m.ticket(), "it is not there"))
    m.restart()
    assert not m.asked(do.Commit)
    m.proof(Finding.ROWS)
    assert m.asked(do.Commit)


def test_one_that_another_commit_has_overtaken_before_its_run_began_is_not_called_again_and_hangs_nobody() -> None:
    m = held_in_doubt()
    m.hold("i2", P2, id_="d2", fork=True)
    m.notified()
    m.start_impact()
    m.retry()
    m.proof(Finding.HARMLESS)
    m.queues_updated()
    m.commit_ends(CommitEnd.LOST, do.CommitHeld)
    m.override("failure", "d2")
    m.end()
    assert [doubt.key for doubt in m.system.open_doubts] == ["d1", "d2"]
    m.start()
    m.end()
    assert (m.doc.status, m.system.cases) == (Status.ABORTED_PERSIST, {})
    assert calls(m, do.CommitHeld) == 2
    m.arrive("e2")
    assert m.asked(do.AskImpact)


@pytest.mark.parametrize("once", [False, True])
def test_what_was_not_sent_again_is_not_proved_not_to_be_made(*, once: bool) -> None:
    m = made_again()
    for _ in range(1 if once else m.rules.commit_tries):
        m.commit_ends(CommitEnd.NO_DOMAIN, do.CommitHeld)
        if once:
            m.cancel()
        m.wake()
    m.end()
    m.commit("e")
    m.restart()
    m.retry()
    m.proof(Finding.HARMLESS)
    assert m.only(do.Reply).code is Code.CONFLICT


@pytest.mark.parametrize("use", [Use.HELD, Use.REPLAY])
def test_beside_a_run_without_lock_nothing_is_harmless_to_make_again(use: Use) -> None:
    m = Driver()
    m.hold("i1", P1, fork=True)
    m.start()
    if use is Use.REPLAY:
        m.held_committed()
        m.sent()
        m.result("r1", "p1")
        m.replay_impact()
    m.commit_ends(CommitEnd.REFUSED, do.CommitHeld if use is Use.HELD else do.CommitReplay)
    m.proof(Finding.UNPROVABLE)
    m.end()
    m.retry()
    m.proof(Finding.HARMLESS)
    assert m.only(do.Reply).code is Code.CONFLICT
    (doubt,) = m.system.open_doubts
    m.tell(facts.DoubtResolved(doubt.key, "make_again", "ana", m.ticket(), "nothing else was changed"))
    m.retry()
    assert m.doc.status is Status.APPROVED


def test_one_that_was_called_again_and_is_proved_not_to_be_made_is_in_doubt_no_more() -> None:
    m = made_again()
    m.refused(do.CommitHeld)
    m.end()
    m.commit("e")
    m.retry()
    assert m.doc.status is Status.APPROVED


def test_a_domain_whose_commits_may_be_repeated_is_not_asked_what_was_made_since() -> None:
    m = Driver(commit_repeatable=True)
    m.hold("i1", P1, fork=True)
    m.start()
    m.commit_ends(CommitEnd.LOST, do.CommitHeld)
    m.override("failure")
    m.commit_ends(CommitEnd.LOST, do.CommitHeld)
    m.end()
    m.retry()
    m.arrive("e1")
    m.impact()
    m.committed()
    assert not m.system.open_doubts


# --- what is called again though it may be made -------------------------------------------------------------------


def called_again() -> Driver:
    """An event's commit that Domain refused is called again, because that is harmless."""
    m = Driver()
    m.arrive("x")
    m.impact()
    m.commit_ends(CommitEnd.REFUSED)
    m.proof(Finding.HARMLESS)
    m.wake()
    return m


@pytest.mark.parametrize("crash", [False, True])
def test_rows_may_be_of_the_first_call_while_the_second_is_under_way(*, crash: bool) -> None:
    m = called_again()
    m.commit_ends(CommitEnd.LOST)
    if crash:
        m.restart()
    m.proof(Finding.ROWS)
    m.arrive("y")
    assert not m.asked(do.AskImpact)
    m.wake()
    m.settles(Finding.ROWS)
    assert m.only(do.AskImpact).instance_id == "y"
    assert calls(m, do.Commit) == 2


@pytest.mark.parametrize("awaited", [False, True])
def test_so_may_an_outcome(*, awaited: bool) -> None:
    m = called_again()
    if awaited:
        m.tell(ended("x", stored=True))
    m.commit_ends(CommitEnd.LOST)
    if not awaited:
        m.tell(ended("x", stored=True))
    m.arrive("y")
    assert not m.asked(do.AskImpact)


def test_and_those_of_a_retried_run_that_a_former_run_called() -> None:
    m = made_again()
    m.commit_ends(CommitEnd.LOST, do.CommitHeld)
    m.restart()
    m.proof(Finding.ROWS)
    assert not m.doc.held_committed
    m.wake()
    m.settles(Finding.ROWS)
    assert m.doc.held_committed
    assert not m.doc.repeated


def test_a_retry_does_not_go_on_beside_a_second_call_that_may_be_under_way() -> None:
    m = made_again()
    m.commit_ends(CommitEnd.LOST, do.CommitHeld)
    m.override("failure")
    m.end()
    m.retry()
    m.proof(Finding.ROWS)
    assert m.only(do.Reply).code is Code.CONFLICT


def test_what_a_retried_run_could_not_send_is_in_doubt_as_before_and_may_be_retried() -> None:
    m = made_again()
    for _ in range(2):
        m.commit_ends(CommitEnd.NO_ROUTE, do.CommitHeld)
    m.end()
    assert [doubt.ended for doubt in m.system.open_doubts] == [True]
    m.retry()
    m.proof(Finding.HARMLESS)
    assert m.doc.status is Status.APPROVED


@pytest.mark.parametrize("awaited", [False, True])
def test_an_outcome_is_kept_until_the_second_call_has_ended(*, awaited: bool) -> None:
    m = called_again()
    if awaited:
        m.tell(ended("x", stored=True))
        m.restart()
    else:
        m.commit_ends(CommitEnd.LOST)
        m.tell(ended("x", stored=True))
    m.settles(Finding.UNPROVABLE)
    assert m.delivery("x").done
    assert not m.system.open_doubts
    assert calls(m, do.Commit) == 2


def test_it_resolves_no_doubt_that_was_given_up_while_the_second_call_may_be_under_way() -> None:
    m = called_again()
    m.commit_ends(CommitEnd.LOST)
    m.tell(facts.SetAside("ana", m.ticket(), "it holds all up"))
    m.tell(ended("x", stored=True))
    assert len(m.system.open_doubts) == 1


@pytest.mark.parametrize("crash", [False, True])
def test_what_is_proved_not_to_be_made_is_called_as_if_for_the_first_time(*, crash: bool) -> None:
    m = made_again()
    m.commit_ends(CommitEnd.REFUSED, do.CommitHeld)
    m.proof(Finding.HARMLESS_NO_ROWS)
    if crash:
        m.restart()
        m.start_impact()
        m.queues_updated()
    else:
        m.wake()
    for _ in range(2):
        m.commit_ends(CommitEnd.NO_ROUTE, do.CommitHeld)
    m.end()
    assert m.doc.status is Status.ABORTED_PERSIST
    assert not m.system.open_doubts


def test_an_error_of_the_former_runs_call_does_not_end_the_call_of_this_one() -> None:
    m = made_again()
    m.commit_ends(CommitEnd.LOST, do.CommitHeld)
    m.tell(ended("i1", stored=False))
    m.proof(Finding.HARMLESS)
    assert m.looks_again()


def test_what_a_person_lets_make_again_was_not_stored() -> None:
    m = called_again()
    m.commit_ends(CommitEnd.LOST)
    m.tell(ended("x", stored=True))
    m.tell(facts.SetAside("ana", m.ticket(), "it holds all up"))
    (doubt,) = m.system.open_doubts
    m.tell(facts.DoubtResolved(doubt.key, "make_again", "ana", m.ticket(), "it is not there"))
    assert not m.delivery("x").stored
