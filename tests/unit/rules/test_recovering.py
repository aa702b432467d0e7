"""What is right after an end: kept results, texts of the instance, overrides, forks that rest, answers that count."""

import pytest

from maestro.events import ReplayRef
from maestro.messages.answers import Code
from maestro.messages.decisions import Budget
from maestro.rules import commands as do
from maestro.rules import facts
from maestro.rules.document import Document
from maestro.rules.doubt import CommitEnd, Finding
from maestro.rules.impact import Impacted
from maestro.rules.policies import Effect, Policy
from maestro.rules.state import OutboxKind
from maestro.rules.status import Status
from maestro.rules.unit import UnitState
from tests.unit.rules.driver import P1, P2, P3, Driver


@pytest.fixture
def m() -> Driver:
    return Driver()


def failed_with_a_result(m: Driver) -> None:
    """A run fails while what its accepted result impacts is asked."""
    m.run(P1, P2)
    m.sent()
    m.result("re1", "p1")
    m.run_fails()
    m.end()


def outdated_in_line(m: Driver) -> None:
    """Such a run is retried, and another one commits while it stands in line."""
    failed_with_a_result(m)
    m.hold("i2", P3, id_="d2")
    m.tell(facts.Approved("d2", "anna", m.ticket()))
    m.notified()
    m.start_impact()
    m.retry("d1")
    m.queues_updated()
    m.held_committed()


# --- kept results --------------------------------------------------------------------------------------------


def test_an_accepted_result_is_committed_by_the_retry_when_nothing_else_was(m: Driver) -> None:
    failed_with_a_result(m)
    m.restart()
    m.retry()
    m.notified()
    m.queues_updated()
    assert m.only(do.AskReplayImpact).instance_id == "re1"


def test_it_is_superseded_when_anything_was_committed_since(m: Driver) -> None:
    failed_with_a_result(m)
    m.commit("i9")
    m.restart()
    m.retry()
    m.notified()
    letter = m.only(do.DeadLetterEvent)
    assert (letter.key, letter.reason) == ("m-re1", "superseded")
    m.queues_updated()
    assert not m.asked(do.AskReplayImpact)
    assert m.doc.current.instance_id == "p1"
    assert m.doc.current.state is UnitState.SENDING
    m.sent()
    ref = ReplayRef("d1", "p1")  # another message of the instance that answered a former round
    m.tell(facts.EventArrived("m-again", "re1", "n", "master", "", ref, ref=9))
    assert m.only(do.DeadLetterEvent).reason == "superseded"


def test_also_when_it_was_committed_while_the_retry_stood_in_line(m: Driver) -> None:
    outdated_in_line(m)
    other = m.system.documents["d2"]
    assert not m.system.documents["d1"].kept
    m.override("failure", "d2")
    m.sent()
    m.end()
    assert other.status is Status.FAILURE
    m.notified()
    assert m.only(do.DeadLetterEvent).reason == "superseded"


def test_leaving_the_line_makes_no_outdated_result_count_again(m: Driver) -> None:
    outdated_in_line(m)
    m.tell(facts.Cancelled("d1", "anna", m.ticket()))
    first = m.system.documents["d1"]
    assert first.status is Status.CANCELLED
    assert not first.kept
    m.restart()
    assert not m.system.documents["d1"].kept


def test_leaving_the_line_leaves_a_result_that_still_counts(m: Driver) -> None:
    failed_with_a_result(m)
    m.hold("i2", P3, id_="d2")
    m.tell(facts.Approved("d2", "anna", m.ticket()))
    m.retry("d1")
    m.tell(facts.Cancelled("d1", "anna", m.ticket()))
    assert m.system.documents["d1"].kept


# --- texts of the instance --------------------------------------------------------------------------------------


def texts(m: Driver) -> list[str]:
    return [one.text for one in m.system.outbox.values() if one.kind is OutboxKind.STATUS]


def test_an_abort_and_a_cancel_before_the_held_commit_are_told_of_the_instance(m: Driver) -> None:
    m.hold()
    m.approve()
    m.start()
    m.held_commit_fails()
    m.end()
    assert texts(m) == ["reprocessing_failure"]
    m.retry()
    m.cancel()
    assert texts(m)[-1] == "reprocessing_cancelled"


def test_after_the_held_commit_its_instance_is_finished_whatever_becomes_of_the_replays(m: Driver) -> None:
    m.run()
    m.run_fails()
    m.end()
    assert texts(m) == []


# --- what counts as an answer -----------------------------------------------------------------------------------


def test_a_result_of_another_branch_is_superseded(m: Driver) -> None:
    m.run(P1)
    m.sent()
    m.result("re1", "p1", m.doc.send_name(m.doc.current), branch="b1")
    assert m.only(do.DeadLetterEvent).reason == "superseded"
    m.errs("p1", m.doc.send_name(m.doc.current), branch="b1")
    assert m.doc.ending is None
    m.result("re2", "p1", m.doc.send_name(m.doc.current))
    assert m.asked(do.AskReplayImpact)


def test_the_held_instance_is_no_unit_of_its_own_run(m: Driver) -> None:
    m.run(P1)
    m.sent()
    m.result("re1", "p1")
    m.replay_impact(Impacted("i1", "master"), Impacted("i1", "b1"), P2)
    m.replay_origins()
    assert [unit.instance_id for unit in m.doc.order] == ["p1", "p2"]
    assert m.doc.held_named_by == "p1"
    m.restart()
    assert m.doc.held_named_by == "p1"


# --- forks that rest --------------------------------------------------------------------------------------------


def paused_fork(m: Driver) -> None:
    m.hold("f1", P1, P2, id_="fork", fork=True)
    m.start()
    m.held_committed()
    m.tell(facts.PauseAsked("fork", "anna", m.ticket()))
    m.replay("re1", "p1")
    assert m.doc.status is Status.PAUSED


def test_a_paused_fork_holds_up_no_run_with_lock(m: Driver) -> None:
    paused_fork(m)
    assert m.asked(do.EmptyQueues)
    m.hold("i1", P3, id_="d2")
    m.approve("d2")
    m.start()
    m.held_committed()
    assert m.system.lock().reprocessing_id == "d2"
    m.tell(facts.ResumeAsked("fork", "anna", m.ticket()))
    assert m.doc.status is Status.RUNNING_WITHOUT_LOCK
    assert not m.asked(do.FillQueues)  # one after the other
    other = m.system.documents["d2"]
    m.sent()
    m.tell(facts.EventArrived("m-x", "x", "n", "b1", "", ReplayRef("d2", "p3"), ref=99))
    m.replay_impact()
    m.replay_committed()
    m.end()
    assert other.status is Status.FINISHED
    assert m.only(do.FillQueues).id == "fork"


def test_a_paused_fork_keeps_other_forks_in_line(m: Driver) -> None:
    paused_fork(m)
    m.hold("f2", P3, id_="fork2", fork=True)
    assert m.system.next_in_line() is None
    m.cancel("fork")
    m.end()
    assert m.only(do.Notify).id == "fork2"


def test_a_paused_fork_is_cancelled_beside_a_run_and_leaves_its_queues_alone(m: Driver) -> None:
    paused_fork(m)
    m.hold("i1", P3, id_="d2")
    m.approve("d2")
    m.start()
    m.cancel("fork")
    assert m.only(do.CleanUpQueues).empty is False
    m.queues_updated()
    assert m.doc.status is Status.CANCELLED
    assert m.system.lock().reprocessing_id == "d2"


def test_a_restart_takes_a_paused_run_off_the_queues(m: Driver) -> None:
    paused_fork(m)
    assert any(isinstance(command, do.EmptyQueues) for command in m.restart())


# --- two approvers ----------------------------------------------------------------------------------------------


@pytest.fixture
def two() -> Driver:
    driver = Driver(two_approvers=True)
    driver.hold()
    return driver


def approve(m: Driver, user: str, budget: Budget, **more: object) -> Code:
    m.tell(facts.Approved("d1", user, m.ticket(), budget=budget, **more))  # type: ignore[arg-type]
    return m.only(do.Reply).code


@pytest.mark.parametrize(
    ("first", "second", "granted"),
    [
        (Budget(3), Budget(), Budget(3)),
        (Budget(), Budget(None, 2.0), Budget(None, 2.0)),
        (Budget(3, 5.0), Budget(7, 1.0), Budget(3, 1.0)),
        (Budget(), Budget(), Budget()),
    ],
)
def test_of_two_budgets_the_stricter_holds(two: Driver, first: Budget, second: Budget, granted: Budget) -> None:
    assert approve(two, "ana", first) is Code.ACCEPTED
    two.restart()
    assert approve(two, "ben", second) is Code.OK
    assert two.doc.budget == granted


def test_an_override_does_not_forget_the_first_ones_budget(two: Driver) -> None:
    approve(two, "ana", Budget(2))
    two.tell(facts.StatusSet("d1", "approved", "ben", two.ticket()))
    assert two.doc.budget == Budget(2)


def test_an_approval_whose_token_was_revoked_counts_no_more(two: Driver) -> None:
    approve(two, "ana", Budget(), token="t1")
    two.restart()
    assert two.doc.first_approval.token == "t1"
    assert approve(two, "ben", Budget(1), first_revoked=True) is Code.ACCEPTED
    assert two.doc.first_approval.user == "ben"
    assert approve(two, "cid", Budget()) is Code.OK
    assert two.doc.budget == Budget(1)


def both(m: Driver, kind: type, *args: object, **more: object) -> None:
    m.tell(kind("d1", "ana", m.ticket(), *args, **more))
    assert m.only(do.Reply).code is Code.ACCEPTED
    m.tell(kind("d1", "ana", m.ticket(), *args, **more))
    assert m.only(do.Reply).code is Code.CONFLICT
    m.tell(kind("d1", "ben", m.ticket(), *args, **more))
    assert not m.asked(do.Reply) or m.only(do.Reply).code is not Code.CONFLICT


def test_retry_and_resume_take_two_like_an_approval(two: Driver) -> None:
    approve(two, "ana", Budget())
    approve(two, "ben", Budget(1))
    two.start()
    two.held_committed()
    two.replay("re1", "p1")
    assert two.doc.status is Status.PAUSED
    both(two, facts.ResumeAsked)
    assert two.doc.status is Status.RUNNING
    two.run_fails()
    two.queues_updated()
    two.run_fails()
    two.end()
    both(two, facts.Retried, two.repository.units("d1"))
    assert two.doc.status is Status.APPROVED


def test_reconsider_takes_two_and_says_so(two: Driver) -> None:
    two.skip()
    two.tell(facts.ReconsiderAsked("d1", "ana", two.ticket()))
    assert two.only(do.Reply).code is Code.ACCEPTED
    assert two.only(do.Reply).fields == (("status", "approval_noted"),)
    assert not two.doc.reconsidered
    two.doc.pending_event = b'{"systemId": "s", "instanceId": "i1"}'
    two.tell(facts.ReconsiderAsked("d1", "ben", two.ticket()))
    assert two.doc.reconsidered


def test_a_first_approval_of_something_else_counts_no_more(two: Driver) -> None:
    approve(two, "ana", Budget())
    approve(two, "ben", Budget())
    two.cancel()
    two.queues_updated()
    two.tell(facts.Retried("d1", "cid", two.ticket(), two.repository.units("d1")))
    assert two.only(do.Reply).code is Code.ACCEPTED
    assert two.doc.first_approval.kind == "retry"


def test_a_first_approval_of_a_retry_counts_no_more_once_a_unit_is_left_out(two: Driver) -> None:
    approve(two, "ana", Budget())
    approve(two, "ben", Budget())
    two.start()
    two.held_committed()
    two.run_fails()
    two.end()
    two.tell(facts.Retried("d1", "ana", two.ticket(), two.units()))  # type: ignore[arg-type]
    two.tell(facts.LeaveOutAsked("d1", "cid", two.ticket(), (P1.key,), two.units(), "obsolete"))  # type: ignore[arg-type]
    assert two.only(do.Reply).code is Code.OK
    two.restart()
    two.tell(facts.Retried("d1", "ben", two.ticket(), two.units()))  # type: ignore[arg-type]
    assert two.only(do.Reply).code is Code.ACCEPTED
    assert two.doc.first_approval.user == "ben"


def test_a_first_approval_that_is_needed_no_more_limits_nothing() -> None:
    m = Driver(policies=(Policy("large", (Effect.TWO_APPROVERS,), units_from=2),))
    m.hold("i1", P1, P2)
    assert approve(m, "ana", Budget(1)) is Code.ACCEPTED
    m.tell(facts.RecheckAsked("d1", "ben", m.ticket()))
    m.tell(facts.RecheckFound("d1", m.only(do.AskRecheck).token, (P1,)))
    assert approve(m, "cid", Budget()) is Code.OK
    assert m.doc.budget == Budget()
    assert m.doc.first_approval is None


def fork_with_a_result(m: Driver) -> None:
    m.hold("i1", P1, P2, fork=True)
    m.start()
    m.held_committed()
    m.sent()
    m.result("re1", "p1")


def test_a_result_is_superseded_when_an_event_was_committed_beside_its_run(m: Driver) -> None:
    fork_with_a_result(m)
    m.commit("i9")
    m.restart()
    m.queues_updated()
    m.run_fails_at(do.AskReplayImpact)
    m.end()
    assert m.doc.status is Status.FAILURE
    assert not m.doc.kept
    m.retry()
    m.notified()
    assert m.only(do.DeadLetterEvent).reason == "superseded"


def test_not_by_what_was_committed_before_it(m: Driver) -> None:
    fork_with_a_result(m)
    m.commit("i9")
    m.replay_impact()
    m.replay_committed()
    m.sent()
    m.result("re2", "p2")
    m.run_fails_at(do.AskReplayImpact)
    m.end()
    assert m.doc.kept


@pytest.mark.parametrize("early", [False, True])
def test_a_kept_result_is_superseded_by_what_is_being_committed_at_the_start(m: Driver, *, early: bool) -> None:
    fork_with_a_result(m)
    m.override("failure")
    m.end()
    assert m.doc.kept
    if early:
        m.arrive("e1")
        m.impact()
    m.retry()
    if early:
        assert m.doc.stage is None  # it does not start yet
        m.committed()
        m.notified()
    else:
        m.arrive("e1")
        m.impact()
        m.notified()
    assert m.only(do.DeadLetterEvent).reason == "superseded"


# --- a fork beside a run with lock ------------------------------------------------------------------------------

P9 = Impacted("p9", "master")


def fork_with_one_left(m: Driver) -> Document:
    """It has replayed p1, and p2 is left."""
    m.hold("f", P1, P2, id_="F", fork=True)
    m.start()
    m.held_committed()
    m.tell(facts.PauseAsked("F", "anna", m.ticket()))
    m.replay("r1", "p1")
    return m.system.documents["F"]


def test_a_fork_that_is_resumed_does_not_go_on_beside_a_run_that_is_starting(m: Driver) -> None:
    fork = fork_with_one_left(m)
    m.hold("e", P9, id_="D")
    m.approve("D")
    starting = m.last(do.Notify)
    m.tell(facts.ResumeAsked("F", "anna", m.ticket()))
    assert not m.asked(do.FillQueues)
    m.tell(facts.Notified(starting.id, starting.token))
    assert fork.stage is None
    m.start_impact()
    m.queues_updated()
    m.held_committed()
    assert m.only(do.SendReplay).id == "D"


def test_a_fork_that_waits_behind_a_paused_run_is_cancelled_at_once(m: Driver) -> None:
    fork = fork_with_one_left(m)
    m.hold("e", P9, P3, id_="D")
    m.approve("D")
    m.start()
    m.held_committed()
    m.tell(facts.PauseAsked("D", "anna", m.ticket()))
    m.sent()
    m.tell_result("r9", "p9", "D")
    m.replay_impact()
    m.replay_committed()
    m.tell(facts.ResumeAsked("F", "anna", m.ticket()))
    m.cancel("F")
    assert not m.only(do.CleanUpQueues).empty
    m.queues_updated()
    assert fork.status is Status.CANCELLED


def test_no_fork_starts_while_a_commit_beside_it_is_in_doubt(m: Driver) -> None:
    m.hold("f", P1, id_="F", fork=True)
    starting = m.last(do.Notify)
    m.arrive("e2")
    m.impact()
    m.commit_ends(CommitEnd.LOST)
    m.tell(facts.Notified(starting.id, starting.token))
    assert m.doc.status is Status.APPROVED
    m.proof(Finding.ROWS)
    assert m.only(do.Notify).kind == "starting"


def test_a_replay_that_took_part_in_no_retry_alone_says_how_long_one_takes(m: Driver) -> None:
    m.run(P1)
    m.sent()
    m.result("re1", "p1")
    m.replay_impact()
    m.refused(do.CommitReplay)
    m.end()
    m.now += 5 * 3600
    m.retry()
    m.notified()
    m.queues_updated()
    m.replay_committed()
    assert m.doc.replayed == 1
    assert not m.system.paces.by_name
