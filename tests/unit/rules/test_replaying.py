"""Flow 3, the run: its start, one replay at a time, the cascade, which answer counts, and every way it ends."""

import pytest

from maestro.events import ReplayRef
from maestro.messages.answers import Code
from maestro.rules import commands as do
from maestro.rules import facts
from maestro.rules.commands import Needs
from maestro.rules.document import Stage, UnitState
from maestro.rules.doubt import Finding
from maestro.rules.impact import Impacted
from maestro.rules.status import Status
from tests.unit.rules.driver import P1, P2, Driver

P4 = Impacted("p4", "master")
B4 = Impacted("p4", "b1")


@pytest.fixture
def m() -> Driver:
    return Driver()


# --- the start ------------------------------------------------------------


def test_starting_is_sent_before_the_lock_is_taken(m: Driver) -> None:
    m.hold()
    m.approve()
    assert m.only(do.Notify).kind == "starting"
    assert m.system.lock() is None
    m.notified()
    assert m.doc.status is Status.RUNNING
    assert m.system.lock() is not None


def test_queues_then_held_commit_then_the_first_send(m: Driver) -> None:
    m.hold()
    m.approve()
    assert m.notified() == [do.Dequeue("d1"), do.AskStartImpact("d1", m.doc.token, "i1")]
    assert m.start_impact() == [do.FillQueues("d1", m.doc.token)]
    assert m.queues_updated() == [do.CommitHeld("d1", m.doc.token, "i1")]
    assert m.held_committed() == [do.SendReplay("d1", m.doc.token), do.TakeUnit("d1", 0)]
    assert m.doc.held_committed


def test_the_lock_is_synced_before_what_relies_on_it() -> None:
    assert do.FillQueues.needs is Needs.SYNCED
    assert do.CommitHeld.needs is Needs.SYNCED
    assert do.Notify.needs is Needs.SYNCED


@pytest.mark.parametrize(("impacted", "needs"), [((), Needs.STORED), ((P1,), Needs.SYNCED), ((P4,), Needs.SYNCED)])
def test_the_growth_is_synced_before_the_commit_that_caused_it(
    m: Driver, impacted: tuple[Impacted, ...], needs: Needs
) -> None:
    m.run()
    m.replay("re1", "p1")
    m.sent()
    m.result("re2", "p2")
    m.replay_impact(*impacted)
    if P4 in impacted:
        m.replay_origins()
    if impacted:
        m.queues_updated()
    assert m.last(do.CommitReplay).instance_id == "re2"
    assert m.last(do.CommitReplay).needs is needs


def test_a_growth_of_which_a_crash_left_it_open_is_synced(m: Driver) -> None:
    m.run()
    m.sent()
    m.result("re1", "p1")
    m.replay_impact()
    m.restart()
    m.queues_updated()
    m.settles(Finding.NO_ROWS)
    assert m.only(do.CommitReplay).needs is Needs.SYNCED


def test_the_lock_tells_whose_it_is_and_how_far(m: Driver) -> None:
    m.run()
    lock = m.system.lock()
    assert lock is not None
    assert (lock.reprocessing_id, lock.owner, lock.replayed, lock.outstanding) == ("d1", "anna", 0, 2)


# --- one replay at a time ------------------------------------------------------------


def test_a_result_is_accepted_and_acked_then_assessed(m: Driver) -> None:
    m.run()
    m.sent()
    assert m.only(do.AwaitResult).send == "d1.0.1"
    assert m.only(do.AwaitResult).needs is Needs.STORED
    assert m.result("re1", "p1", "d1.0.1") == [
        do.AckDelivery(m.ref()),
        do.AskReplayImpact("d1", m.doc.token, "re1"),
    ]


def test_no_impact_commits_the_result_and_takes_the_next(m: Driver) -> None:
    m.run()
    m.sent()
    m.result("re1", "p1")
    assert m.replay_impact() == [do.CommitReplay("d1", m.doc.token, "re1", grown=False)]
    m.replay_committed()
    assert m.kinds() == ["TakeControl", "SendReplay", "TakeUnit"]
    assert m.doc.replayed == 1
    assert m.delivery("re1").done


def test_no_unit_outstanding_finishes_cleans_up_unlocks_and_tells(m: Driver) -> None:
    m.run(P1)
    m.arrive("i2")
    m.replay("re1", "p1")
    assert m.only(do.CleanUpQueues).failed is False
    assert m.system.lock() is not None
    m.queues_updated()
    assert m.doc.status is Status.FINISHED
    assert m.system.lock() is None
    assert m.only(do.Notify).kind == "finished"
    assert not m.asked(do.AskImpact)
    m.notified()
    assert m.only(do.AskImpact).instance_id == "i2"


def test_the_next_in_line_starts_before_the_drain(m: Driver) -> None:
    m.hold(fork=True)
    m.start()
    m.hold("i2", id_="d2")
    m.approve("d2")
    m.arrive("i3")
    assert m.system.documents["d2"].status is Status.APPROVED
    m.held_committed()
    m.replay("re1", "p1")
    m.replay("re2", "p2")
    m.queues_updated()
    m.notified()
    assert (m.only(do.Notify).id, m.only(do.Notify).kind) == ("d2", "starting")


def test_a_result_quicker_than_the_answer_to_its_send_waits_for_that_answer(m: Driver) -> None:
    m.run()
    assert m.kinds()[0] == "SendReplay"
    assert m.result("re1", "p1", "d1.0.1") == [do.AckDelivery(m.ref())]
    assert m.sent() == [do.AskReplayImpact("d1", m.doc.token, "re1")]
    assert m.last(do.AskReplayImpact).needs is Needs.STORED


def test_a_send_that_fails_after_its_result_came_does_not_fail_the_run(m: Driver) -> None:
    m.run()
    m.result("re1", "p1", "d1.0.1")
    m.run_fails()
    assert m.kinds() == ["AskReplayImpact"]


# --- which answer counts ------------------------------------------------------------


def test_the_first_result_wins_the_second_is_superseded(m: Driver) -> None:
    m.run()
    m.sent()
    m.result("re1", "p1", "d1.0.1")
    m.result("re2", "p1", "d1.0.1")
    assert m.only(do.DeadLetterEvent).reason == "superseded"
    assert m.doc.current is not None
    assert m.doc.current.result_instance == "re1"


def test_an_instance_that_answered_a_former_round_does_not_answer_this_one(m: Driver) -> None:
    m.run()
    m.replay("re1", "p1")
    m.replay("re2", "p2", P1)
    m.sent()
    ref = ReplayRef("d1", "p1")
    m.tell(facts.EventArrived("another-id", "re1", "s.persist.request", "master", "", ref, ref=99))
    assert m.only(do.DeadLetterEvent).reason == "superseded"


@pytest.mark.parametrize("restarted", [False, True])
def test_an_instance_that_answered_any_former_round_does_not_answer_this_one(m: Driver, *, restarted: bool) -> None:
    m.run()
    m.replay("re1", "p1")
    m.replay("re2", "p2", P1)
    m.replay("re3", "p1", P2)
    m.replay("re4", "p2", P1)
    if restarted:
        m.restart()
        m.queues_updated()
    m.sent()
    assert m.doc.current is not None
    assert (m.doc.current.key, m.doc.current.round) == (P1.key, 3)
    ref = ReplayRef("d1", "p1")
    for former in ("re1", "re3"):
        m.tell(facts.EventArrived(f"again-{former}", former, "s.persist.request", "master", "", ref, ref=99))
        assert m.only(do.DeadLetterEvent).reason == "superseded"
    m.result("re5", "p1")
    assert m.asked(do.AskReplayImpact)


def test_a_caller_that_persists_a_former_result_again_is_refused(m: Driver) -> None:
    """The same bytes without the name of the send, after the answer was delivered: they are judged anew."""
    m.run()
    ref = ReplayRef("d1", "p1")

    def persist() -> None:
        name = "s.persist.request"
        m.tell(facts.EventArrived("", "re1", name, "master", "", ref, ticket=m.ticket(), fingerprint="f"))

    m.sent()
    persist()
    m.replay_impact()
    m.replay_committed()
    m.replay("re2", "p2", P1)
    m.replay("re3", "p1", P2)
    m.replay("re4", "p2", P1)
    m.sent()
    persist()
    assert m.only(do.Reply).code is Code.FAILED
    assert not m.asked(do.AskReplayImpact)


def test_redelivery_of_an_accepted_result_is_acked(m: Driver) -> None:
    m.run()
    m.sent()
    m.result("re1", "p1")
    assert m.result("re1", "p1", redelivered=True) == [do.AckDelivery(m.ref())]


@pytest.mark.parametrize(
    ("of", "send", "branch"),
    [("p2", "", "master"), ("p1", "", "b1"), ("p1", "d1.0.2", "master"), ("p1", "d1.1.1", "master")],
)
def test_a_result_that_is_not_of_the_unit_in_flight_is_superseded(m: Driver, of: str, send: str, branch: str) -> None:
    m.run()
    m.sent()
    m.result("re1", of, send, branch=branch)
    assert m.only(do.DeadLetterEvent).reason == "superseded"


def test_a_result_for_what_does_not_run_is_bad_input(m: Driver) -> None:
    m.hold()
    m.result("re1", "p1")
    assert "is not running" in m.only(do.DeadLetterEvent).reason
    m.sync("re9", ReplayRef("unknown", "p1"))
    assert m.only(do.Reply).code is Code.INVALID


def test_a_result_that_comes_after_the_end_is_superseded(m: Driver) -> None:
    m.run()
    m.sent()
    m.override("finished")
    m.queues_updated()
    m.result("re1", "p1", "d1.0.1")
    assert m.only(do.DeadLetterEvent).reason == "superseded"


def test_an_error_that_is_not_of_the_unit_in_flight_changes_nothing(m: Driver) -> None:
    m.run()
    m.sent()
    assert m.errs("p2") == []
    assert m.errs("p1", "d1.0.9") == []
    assert m.doc.ending is None


def test_a_result_by_sync_persist_is_answered_when_it_is_committed(m: Driver) -> None:
    m.run()
    m.sent()
    ticket = m.sync("re1", ReplayRef("d1", "p1"))
    second = m.sync("re1", ReplayRef("d1", "p1"))
    assert not m.asked(do.Reply)
    m.replay_impact()
    m.replay_committed()
    replies = [command for command in m.commands if isinstance(command, do.Reply)]
    assert [(reply.ticket, reply.code) for reply in replies] == [(ticket, Code.OK), (second, Code.OK)]


# --- time-outs ------------------------------------------------------------


def test_no_result_in_time_sends_again_and_either_send_may_answer(m: Driver) -> None:
    m.run()
    m.sent()
    m.times_out()
    assert m.kinds() == ["SendReplay"]
    m.sent()
    assert m.only(do.AwaitResult).send == "d1.0.2"
    m.result("re1", "p1", "d1.0.1")
    assert m.asked(do.AskReplayImpact)


def test_no_result_after_the_last_send_is_a_failure(m: Driver) -> None:
    m.run()
    for _ in range(2):
        m.sent()
        m.times_out()
    assert m.doc.ending is not None
    m.queues_updated()
    assert m.doc.status is Status.FAILURE
    assert "after 2 sends" in m.doc.history[-1].cause


def test_a_time_out_that_comes_after_the_result_changes_nothing(m: Driver) -> None:
    m.run()
    m.sent()
    m.result("re1", "p1")
    assert m.times_out() == []


# --- the cascade ------------------------------------------------------------


def test_new_units_are_in_document_and_queues_before_the_result_is_committed(m: Driver) -> None:
    m.run()
    m.sent()
    m.result("re1", "p1")
    m.replay_impact(P4, P2)
    assert m.only(do.FetchReplayOrigins).units == (P4,)
    m.replay_origins()
    assert m.kinds() == ["GrowQueues"]
    assert m.only(do.GrowQueues).positions == (2,)
    assert "p4" in m.saved_units()
    m.queues_updated()
    assert m.kinds() == ["CommitReplay"]
    assert m.doc.units[P4.key].cause == 0


def test_a_unit_still_outstanding_and_the_unit_itself_are_not_added(m: Driver) -> None:
    m.run()
    m.sent()
    m.result("re1", "p1")
    m.replay_impact(P1, P2, Impacted("re1", "master"))
    assert m.kinds() == ["CommitReplay"]
    assert m.doc.total == 2


def test_a_replay_on_a_branch_cannot_change_the_trunk(m: Driver) -> None:
    m.run(Impacted("p3", "b1"))
    m.sent()
    m.result("re1", "p3", branch="b1")
    m.replay_impact(P4, B4)
    assert m.only(do.FetchReplayOrigins).units == (B4,)


def test_a_unit_that_was_replayed_is_replayed_again_in_a_new_round(m: Driver) -> None:
    m.run()
    m.replay("re1", "p1")
    m.sent()
    m.result("re2", "p2")
    m.replay_impact(P1)
    assert m.only(do.GrowQueues).positions == (0,)
    m.queues_updated()
    m.replay_committed()
    assert m.doc.current is m.doc.units[P1.key]
    assert m.doc.current.round == 2
    m.sent()
    m.result("late", "p1", "d1.0.1")
    assert m.only(do.DeadLetterEvent).reason == "superseded"
    m.result("re3", "p1", "d1.0.2")
    assert m.asked(do.AskReplayImpact)


def test_beyond_the_last_round_a_unit_is_reimpacted_and_not_replayed() -> None:
    m = Driver(max_replays_per_instance=1)
    m.run()
    m.replay("re1", "p1")
    m.sent()
    m.result("re2", "p2")
    m.replay_impact(P1)
    assert m.kinds() == ["CommitReplay"]
    assert m.doc.units[P1.key].reimpacted
    assert "p1" in m.saved_units()
    m.replay_committed()
    assert m.asked(do.CleanUpQueues)


def test_every_cascade_is_finite() -> None:
    m = Driver(max_replays_per_instance=3)
    m.run()
    other = {"p1": P2, "p2": P1}
    for count in range(10):
        if m.doc.ending is not None:
            break
        assert m.doc.current is not None
        name = m.doc.current.instance_id
        m.replay(f"re{count}", name, other[name])
    assert m.doc.ending is not None
    assert m.doc.replayed == 6
    assert [unit.round for unit in m.doc.units.values()] == [3, 3]


# --- how it ends otherwise ------------------------------------------------------------


def test_a_returned_publish_before_the_held_commit_aborts(m: Driver) -> None:
    m.hold()
    m.approve()
    m.notified()
    m.start_impact()
    m.queues_updated("returned")
    assert m.only(do.CleanUpQueues).failed
    m.queues_updated()
    assert m.doc.status is Status.ABORTED_SPLIT
    assert m.doc.history[-1].cause == "returned"
    assert m.only(do.Notify).kind == "droping"


def test_a_refused_held_commit_aborts(m: Driver) -> None:
    m.hold()
    m.approve()
    m.start()
    m.held_commit_fails()
    m.queues_updated()
    assert m.doc.status is Status.ABORTED_PERSIST


@pytest.mark.parametrize("stage", ["send", "impact", "origins", "commit", "error"])
def test_any_failure_of_a_replay_fails_the_run(m: Driver, stage: str) -> None:
    m.run()
    if stage != "send":
        m.sent()
    if stage not in ("send", "error"):
        m.result("re1", "p1")
    if stage in ("origins", "commit"):
        m.replay_impact(*((P4,) if stage == "origins" else ()))
    if stage == "error":
        m.errs("p1", "d1.0.1")
    elif stage == "commit":
        m.refused(do.CommitReplay)
    else:
        m.run_fails()
    assert m.system.lock() is not None
    m.queues_updated()
    assert m.doc.status is Status.FAILURE
    assert m.system.lock() is None


def test_an_error_reported_while_the_send_is_under_way_keeps_the_lock_until_that_is_answered(m: Driver) -> None:
    m.run()
    assert m.errs("p1", "d1.0.1") == []
    assert m.doc.ending is not None
    assert m.system.lock() is not None
    m.sent()
    assert m.kinds() == ["CleanUpQueues"]


# --- retry ------------------------------------------------------------


def test_a_retry_after_an_abort_makes_the_held_commit_first(m: Driver) -> None:
    m.hold()
    m.approve()
    m.start()
    m.held_commit_fails()
    m.end()
    m.retry()
    assert m.doc.status is Status.APPROVED
    m.start()
    assert m.kinds() == ["CommitHeld"]


def test_a_retry_after_a_failure_does_only_what_is_not_done(m: Driver) -> None:
    m.run()
    m.replay("re1", "p1")
    m.run_fails()
    m.end()
    m.retry()
    m.start()
    assert m.kinds() == ["SendReplay", "TakeUnit"]
    assert m.doc.current is m.doc.units[P2.key]
    assert m.doc.current.sends == 2


def test_a_retry_continues_an_accepted_result(m: Driver) -> None:
    m.run()
    m.sent()
    m.result("re1", "p1")
    m.run_fails()
    m.end()
    m.retry()
    m.start()
    assert m.only(do.AskReplayImpact).instance_id == "re1"
    m.replay_impact()
    m.replay_committed()
    assert m.delivery("re1").done


def test_after_a_retry_results_of_earlier_sends_are_superseded(m: Driver) -> None:
    m.run(P1)
    m.sent()
    m.errs("p1")
    m.end()
    m.retry()
    m.start()
    m.sent()
    m.result("late", "p1", "d1.0.1")
    assert m.only(do.DeadLetterEvent).reason == "superseded"


# --- over restarts ------------------------------------------------------------


def test_an_approved_document_is_put_back_in_line_and_starts(m: Driver) -> None:
    m.hold()
    m.approve()
    commands = m.restart()
    assert do.Enqueue("d1") in commands
    assert m.last(do.Notify).kind == "starting"


def test_a_running_document_is_out_of_the_line_locked_and_its_queues_are_rebuilt(m: Driver) -> None:
    m.run()
    commands = m.restart()
    assert do.Dequeue("d1") in commands
    assert isinstance(m.last(do.FillQueues), do.FillQueues)
    assert m.system.lock() is not None


def test_a_send_that_was_recorded_is_sent_again_by_the_same_name(m: Driver) -> None:
    m.run()
    m.restart()
    m.queues_updated()
    assert m.asked(do.SendReplay)
    assert m.doc.current is not None
    assert m.doc.send_name(m.doc.current) == "d1.0.1"


def test_a_replay_in_flight_is_awaited_from_when_it_was_sent(m: Driver) -> None:
    m.run()
    m.sent()
    since = m.only(do.AwaitResult).since
    m.restart()
    m.queues_updated()
    assert m.only(do.AwaitResult) == do.AwaitResult("d1", "d1.0.1", since)


@pytest.mark.parametrize("state", [UnitState.ASSESSING, UnitState.COMMITTING])
def test_an_accepted_result_is_continued(m: Driver, state: UnitState) -> None:
    m.run()
    m.sent()
    m.result("re1", "p1")
    if state is UnitState.COMMITTING:
        m.replay_impact()
    commands = m.restart()
    if state is UnitState.COMMITTING:  # it was called: in doubt
        assert any(isinstance(command, do.AskProof) for command in commands)
        return
    m.queues_updated()
    assert m.asked(do.AskReplayImpact)


def test_an_end_that_was_decided_is_carried_out(m: Driver) -> None:
    m.run(P1)
    m.replay("re1", "p1")
    m.restart()
    assert m.doc.stage is Stage.CLEAN_UP
    m.queues_updated()
    assert m.doc.status is Status.FINISHED


def test_an_end_that_was_not_told_is_told(m: Driver) -> None:
    m.run(P1)
    m.replay("re1", "p1")
    m.queues_updated()
    m.restart()
    m.queues_updated()
    assert m.only(do.Notify).kind == "finished"
    m.notified()
    assert not m.system.owed


def test_a_held_commit_recorded_as_done_is_not_repeated(m: Driver) -> None:
    m.run()
    m.restart()
    m.queues_updated()
    assert not m.asked(do.CommitHeld)


def test_answers_of_a_former_life_are_ignored(m: Driver) -> None:
    m.run()
    stale = facts.ReplaySent("d1", m.doc.token)
    m.restart()
    m.tell(stale)
    assert m.doc.current is not None
    assert m.doc.current.state is UnitState.SENDING
