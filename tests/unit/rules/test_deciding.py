"""Flow 3, the decision: who may decide what, when, and what the others are told."""

import pytest

from maestro.messages.answers import Code
from maestro.rules import commands as do
from maestro.rules.commands import Needs
from maestro.rules.document import Document
from maestro.rules.doubt import Finding
from maestro.rules.status import Status
from tests.unit.rules.driver import P1, Driver


@pytest.fixture
def m() -> Driver:
    driver = Driver()
    driver.hold()
    return driver


def refused(m: Driver) -> tuple[Code, str]:
    reply = m.only(do.Reply)
    return reply.code, reply.message


def test_approve_answers_the_document_once_that_is_synced(m: Driver) -> None:
    m.approve()
    assert m.only(do.Reply).code is Code.OK
    assert m.only(do.Reply).document_id == "d1"
    assert m.only(do.Enqueue).id == "d1"
    assert do.Reply.needs is Needs.SYNCED


def test_skip_never_makes_the_held_commit(m: Driver) -> None:
    m.skip()
    assert m.doc.status is Status.SKIPPED
    assert [message.text for message in m.system.outbox.values()][-1] == "reprocessing_skipped"
    assert not any(isinstance(command, do.CommitHeld | do.Commit) for command in m.log)
    assert m.doc.units == {}
    assert len(m.units()) == 2


@pytest.mark.parametrize("verb", ["approve", "skip", "cancel", "retry"])
def test_an_unknown_id_is_404(m: Driver, verb: str) -> None:
    getattr(m, verb)("nope")
    assert refused(m) == (Code.NOT_FOUND, "no reprocessing nope")


@pytest.mark.parametrize("verb", ["approve", "skip", "retry"])
def test_what_is_decided_already_is_409_naming_status_user_and_time(m: Driver, verb: str) -> None:
    m.approve()
    getattr(m, verb)()
    code, message = refused(m)
    assert code is Code.CONFLICT
    assert message == "reprocessing d1 is approved (by anna at 1970-01-01T00:16:44.000000 UTC)"


def test_what_runs_is_409_naming_who_decided_it(m: Driver) -> None:
    m.approve()
    m.start()
    m.approve()
    code, message = refused(m)
    assert code is Code.CONFLICT
    assert "is running (by maestro at" in message
    assert message.endswith("; approved by anna at 1970-01-01T00:16:44.000000 UTC)")


@pytest.mark.parametrize("verb", ["cancel", "retry"])
def test_what_is_pending_cannot_be_cancelled_or_retried(m: Driver, verb: str) -> None:
    getattr(m, verb)()
    assert refused(m)[0] is Code.CONFLICT
    assert m.doc.status is Status.PENDING


@pytest.mark.parametrize("verb", ["approve", "skip", "override"])
def test_of_several_pending_only_the_oldest_may_be_decided(m: Driver, verb: str) -> None:
    imported = Document("d2", "s", 99, "", "master", forking=False, held_instance="i9", pending_event=b"{}", origin=b"")
    m.system.add_document(imported)
    if verb == "override":
        m.override("approved", "d2")
    else:
        getattr(m, verb)("d2")
    assert refused(m) == (Code.CONFLICT, "reprocessing d1 is older and must be decided first")
    assert m.system.next_number == 100
    m.skip("d1")
    m.approve("d2")
    assert m.only(do.Reply).code is Code.OK


# --- cancel ------------------------------------------------------------


@pytest.mark.parametrize("notified", [False, True])
def test_cancel_of_an_approved_one_is_at_once(m: Driver, notified: bool) -> None:  # noqa: FBT001 - a case
    m.approve()
    if notified:
        m.notified()
        m.cancel()
        assert m.doc.status is Status.RUNNING
        m.start_impact()
        m.queues_updated()
        m.queues_updated()
    else:
        m.cancel()
        assert m.only(do.Dequeue).failed
        assert m.doc.status is Status.CANCELLED
        m.queues_updated()
    assert m.doc.status is Status.CANCELLED
    assert m.doc.history[-1].user == "anna"
    assert m.only(do.Notify).kind == "droping"


def test_cancel_of_a_running_one_waits_for_the_current_replay(m: Driver) -> None:
    m.approve()
    m.start()
    m.held_committed()
    m.sent()
    m.cancel()
    assert m.kinds() == ["Reply"]
    m.result("re1", "p1")
    m.replay_impact()
    m.replay_committed()
    assert m.kinds() == ["TakeControl", "CleanUpQueues"]
    m.queues_updated()
    assert m.doc.status is Status.CANCELLED


@pytest.mark.parametrize("ending", ["error", "time-out", "failure", "held commit", "last replay"])
def test_a_run_that_is_being_cancelled_is_always_cancelled(ending: str) -> None:
    m = Driver()
    m.hold("i1", P1)
    m.approve()
    m.start()
    if ending != "held commit":
        m.held_committed()
        m.sent()
    m.cancel()
    match ending:
        case "error":
            m.errs("p1")
        case "time-out":
            m.times_out()
        case "failure":
            m.result("re1", "p1")
            m.run_fails()
        case "held commit":
            m.held_commit_fails()
        case "last replay":
            m.result("re1", "p1")
            m.replay_impact()
            m.replay_committed()
    m.queues_updated()
    assert m.doc.status is Status.CANCELLED


def test_a_cancellation_survives_a_restart(m: Driver) -> None:
    m.approve()
    m.start()
    m.cancel()
    m.restart()
    m.settles(Finding.NO_ROWS)
    m.queues_updated()
    assert m.doc.status is Status.CANCELLED
    assert not m.doc.held_committed


def test_leaving_the_line_reaches_the_queues_over_a_restart(m: Driver) -> None:
    m.approve()
    m.cancel()
    m.restart()
    assert m.last(do.Dequeue) == do.Dequeue("d1", failed=True, token=m.doc.token)


def test_the_end_of_one_that_leaves_the_line_is_not_told_before_it_has_left_it(m: Driver) -> None:
    m.approve()
    m.cancel()
    assert not m.asked(do.Notify)
    m.restart()
    assert not m.asked(do.Notify)
    m.queues_updated()
    assert m.only(do.Notify).kind == "droping"


def test_cancelling_twice_is_409_naming_who_cancels(m: Driver) -> None:
    m.approve()
    m.start()
    m.cancel()
    m.cancel()
    assert "being cancelled by anna" in refused(m)[1]


def test_a_cancelled_one_may_be_retried_and_starts_once_its_end_is_told(m: Driver) -> None:
    m.approve()
    m.cancel()
    m.retry()
    assert m.doc.status is Status.APPROVED
    m.queues_updated()
    assert m.only(do.Notify).kind == "droping"
    m.notified()
    assert m.only(do.Notify).kind == "starting"
    assert len(m.doc.units) == 2


# --- the override ------------------------------------------------------------


def test_an_override_of_a_pending_one_is_the_decision(m: Driver) -> None:
    m.override("skipped")
    assert m.doc.status is Status.SKIPPED
    assert m.doc.history[-1].user == "hand"


def test_an_override_of_an_approved_one_leaves_the_line(m: Driver) -> None:
    m.approve()
    m.override("failure")
    assert m.doc.status is Status.FAILURE
    assert m.only(do.Dequeue).failed
    assert m.only(do.Reply).code is Code.OK


@pytest.mark.parametrize("running", [False, True])
def test_no_override_finishes_what_is_not_committed(m: Driver, running: bool) -> None:  # noqa: FBT001 - a case
    m.approve()
    if running:
        m.start()
    before = m.doc.status
    m.override("finished")
    assert m.doc.status is before
    assert refused(m)[0] is Code.CONFLICT
    assert "the held commit of reprocessing d1 is not made: cancel it, or set failure" in refused(m)[1]


@pytest.mark.parametrize("status", ["failure", "finished"])
def test_an_override_of_a_running_one_is_answered_when_it_is_unlocked(m: Driver, status: str) -> None:
    m.approve()
    m.start()
    m.held_committed()
    m.sent()
    m.override(status)
    assert m.kinds() == ["CleanUpQueues"]
    m.queues_updated()
    assert m.doc.status.value == status
    assert m.only(do.Reply).code is Code.OK
    m.result("late", "p1")
    assert m.only(do.DeadLetterEvent)


@pytest.mark.parametrize("stage", ["held commit", "send", "replay commit"])
def test_an_override_keeps_the_lock_until_the_call_under_way_is_answered(m: Driver, stage: str) -> None:
    m.approve()
    m.start()
    if stage != "held commit":
        m.held_committed()
    if stage == "replay commit":
        m.sent()
        m.result("re1", "p1")
        m.replay_impact()
    m.override("failure")
    assert m.kinds() == ["Reply"]
    assert m.system.lock() is not None
    {"held commit": m.held_committed, "send": m.sent, "replay commit": m.replay_committed}[stage]()
    assert m.kinds()[-1] == "CleanUpQueues"
    m.queues_updated()
    assert m.doc.status is Status.FAILURE


def test_a_failure_after_an_override_does_not_change_it(m: Driver) -> None:
    m.approve()
    m.start()
    m.override("failure")
    m.held_commit_fails()
    m.queues_updated()
    assert m.doc.status is Status.FAILURE


def test_an_accepted_result_of_a_run_finished_by_hand_goes_to_the_error_queue(m: Driver) -> None:
    m.approve()
    m.start()
    m.held_committed()
    m.sent()
    m.result("re1", "p1")
    m.override("finished")
    m.queues_updated()
    assert m.only(do.DeadLetterEvent).reason == "superseded"


@pytest.mark.parametrize(
    ("status", "code"),
    [("finished", Code.CONFLICT), ("running", Code.CONFLICT), ("nonsense", Code.INVALID), ("", Code.INVALID)],
)
def test_what_the_table_of_overrides_does_not_have_is_refused(m: Driver, status: str, code: Code) -> None:
    m.override(status)
    assert refused(m)[0] is code
    assert m.doc.status is Status.PENDING
