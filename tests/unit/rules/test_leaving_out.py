"""Units that cannot be replayed: set aside, left out by whom and why, and what goes on meanwhile."""

import orjson
import pytest

from maestro.events import ReplayRef
from maestro.messages.answers import Code
from maestro.rules import commands as do
from maestro.rules import facts
from maestro.rules.doubt import CommitEnd, Finding, Word
from maestro.rules.impact import Impacted, Origin
from maestro.rules.rendering import document_json
from maestro.rules.status import Status
from maestro.rules.unit import UnitState
from tests.unit.rules.driver import P1, P2, P3, Driver, origin


@pytest.fixture
def m() -> Driver:
    return Driver()


def hold_with_one_unknown(m: Driver, *, fork: bool = False) -> None:
    """p2 has no origin event."""
    m.arrive("i1")
    m.impact(P1, P2)
    m.origins((origin(P1), Origin(P2, b"", "")), fork=fork)


def shown(m: Driver) -> dict[str, list[dict[str, str]]]:
    return orjson.loads(document_json(m.doc, m.doc.order or m.units()))  # type: ignore[arg-type]


def refused(m: Driver, fact: facts.Fact) -> str:
    m.tell(fact)
    assert m.only(do.Reply).code is not Code.OK
    return f"{m.only(do.Reply).code}: {m.only(do.Reply).message}"


def leave(m: Driver, *names: str, user: str = "ana", branch: str = "master") -> facts.LeaveOutAsked:
    units = tuple((name, branch) for name in names)
    stored = () if m.doc.live else m.units()
    return facts.LeaveOutAsked("d1", user, m.ticket(), units, stored, "it is obsolete")  # type: ignore[arg-type]


def paused_with_p2_aside(m: Driver) -> None:
    """A run of p1 and p2, whose p2 has no subscriber."""
    m.run(P1, P2)
    m.replay("re1", "p1")
    m.tell(facts.UnitRefused("d1", m.last(do.SendReplay).token, "event_manager.send: p has no subscribers"))
    assert m.doc.status is Status.PAUSED


# --- the preview and the approval -------------------------------------------------------------------------------


def test_a_unit_without_an_origin_event_is_shown_as_set_aside(m: Driver) -> None:
    hold_with_one_unknown(m)
    document = shown(m)
    assert document["setAside"] == [{"instanceId": "p2", "branch": "master", "problem": "no origin event"}]
    assert document["events"][1] == {"instanceId": "p2", "branch": "master"}
    assert document["units"][1]["state"] == "set_aside"
    assert document["progress"]["outstanding"] == 2  # type: ignore[call-overload]


def test_the_approval_leaves_out_what_the_preview_showed_as_such(m: Driver) -> None:
    hold_with_one_unknown(m)
    m.restart()
    m.approve()
    (left,) = shown(m)["leftOut"]
    assert (left["instanceId"], left["user"], left["problem"]) == ("p2", "anna", "no origin event")
    assert not m.asked(do.RaiseAlarm)
    m.restart()
    m.start()
    m.held_committed()
    m.replay("re1", "p1")
    m.end()
    assert m.doc.status is Status.FINISHED


@pytest.mark.parametrize("fork", [False, True])
def test_a_rule_that_approves_leaves_it_out_with_an_alarm(fork: bool) -> None:  # noqa: FBT001 - a case
    m = Driver(auto_approve=not fork)
    hold_with_one_unknown(m, fork=fork)
    assert m.only(do.RaiseAlarm).alarm is do.Alarm.LEFT_OUT
    assert m.doc.order[1].left_out.user == ("platform:open_branch" if fork else "platform")


# --- a run ------------------------------------------------------------------------------------------------------


def test_what_has_no_subscriber_is_set_aside_and_the_others_go_on(m: Driver) -> None:
    m.run(P1, P2)
    m.tell(facts.UnitRefused("d1", m.last(do.SendReplay).token, "p has no subscribers"))
    assert m.asked(do.TakeControl)
    assert m.doc.current.instance_id == "p2"
    m.replay("re1", "p2")
    assert m.doc.status is Status.PAUSED
    assert m.doc.history[-1].cause == "1 unit cannot be replayed: leave it out, or resume to try it again"
    assert m.system.lock().paused
    assert m.asked(do.EmptyQueues)


def test_a_process_that_failed_as_often_as_it_may_be_sent_is_set_aside(m: Driver) -> None:
    m.run(P1, P2)
    m.sent()
    m.errs("p1")
    m.end()
    assert m.doc.status is Status.FAILURE
    m.restart()
    m.retry()
    m.notified()
    m.queues_updated()
    m.sent()
    m.errs("p1")
    assert m.doc.order[0].problem == "its process failed 2 times: the process raised"
    assert m.doc.status is Status.RUNNING
    assert m.doc.current.instance_id == "p2"


def test_an_error_that_is_quicker_than_the_answer_to_its_send(m: Driver) -> None:
    m = Driver(replay_attempts=1)
    m.run(P1, P2)
    m.errs("p1")
    assert m.commands[-1] == do.TakeControl("d1")
    m.run_fails()  # the send failed all the same
    assert m.doc.ending is None
    assert m.doc.current.instance_id == "p2"


def test_a_resumption_has_it_tried_again(m: Driver) -> None:
    paused_with_p2_aside(m)
    m.restart()
    m.tell(facts.ResumeAsked("d1", "ana", m.ticket()))
    m.queues_updated()
    assert m.asked(do.SendReplay)
    assert m.doc.current.instance_id == "p2"
    assert not shown(m)["setAside"]


def test_without_an_origin_event_it_is_not_tried_again(m: Driver) -> None:
    m.run(P1)
    m.sent()
    m.result("re1", "p1")
    m.replay_impact(P2)
    m.tell(facts.ReplayOriginsFetched("d1", m.last(do.FetchReplayOrigins).token, (Origin(P2, b"", ""),)))
    m.queues_updated()
    m.replay_committed()
    assert m.doc.status is Status.PAUSED
    m.tell(facts.ResumeAsked("d1", "ana", m.ticket()))
    m.queues_updated()
    assert m.doc.status is Status.PAUSED


def test_a_run_that_a_rule_approved_leaves_it_out_at_the_end() -> None:
    m = Driver(auto_approve=True)
    m.hold()
    m.start()
    m.held_committed()
    m.tell(facts.UnitRefused("d1", m.last(do.SendReplay).token, "p has no subscribers"))
    assert not m.asked(do.RaiseAlarm)
    m.replay("re1", "p2")
    assert m.only(do.RaiseAlarm).text == "reprocessing d1 left out p1 on master: p has no subscribers"
    m.end()
    assert m.doc.status is Status.FINISHED


# --- leaving out --------------------------------------------------------------------------------------------------


def test_what_is_left_out_of_a_paused_run_is_not_replayed(m: Driver) -> None:
    paused_with_p2_aside(m)
    m.tell(leave(m, "p2"))
    assert m.only(do.Reply).code is Code.OK
    assert m.doc.history[-1].cause == "left out 1 unit"
    m.restart()
    (left,) = shown(m)["leftOut"]
    assert (left["user"], left["reason"]) == ("ana", "it is obsolete")
    m.tell(facts.ResumeAsked("d1", "ana", m.ticket()))
    m.queues_updated()
    m.end()
    assert m.doc.status is Status.FINISHED


def test_it_may_be_left_out_of_what_failed_and_its_kept_result_is_superseded(m: Driver) -> None:
    m.run(P1, P2)
    m.sent()
    m.result("re1", "p1")
    m.run_fails()
    m.end()
    m.restart()
    m.tell(leave(m, "p1"))
    assert m.only(do.DeadLetterEvent).reason == "superseded"
    assert not m.doc.units, "an ended document keeps no units in memory"
    m.retry()
    m.notified()
    m.queues_updated()
    assert m.doc.current.instance_id == "p2"
    assert m.doc.order[0].state is UnitState.LEFT_OUT


def test_impacted_again_it_stays_left_out(m: Driver) -> None:
    paused_with_p2_aside(m)
    m.doc.add([origin(P3)])
    m.tell(leave(m, "p2"))
    m.tell(facts.ResumeAsked("d1", "ana", m.ticket()))
    m.queues_updated()
    m.sent()
    m.tell(facts.EventArrived("m-re3", "re3", "n", "b1", "", ReplayRef("d1", "p3"), ref=50))
    m.replay_impact(P2)
    assert m.doc.order[1].state is UnitState.LEFT_OUT


@pytest.mark.parametrize("status", ["pending", "approved", "running", "finished", "skipped"])
def test_while_it_is_not_at_rest_nothing_is_left_out(m: Driver, status: str) -> None:
    m.hold()
    if status == "skipped":
        m.skip()
    elif status != "pending":
        m.approve()
    if status in ("running", "finished"):
        m.start()
        m.held_committed()
    if status == "finished":
        m.override("finished")
        m.end()
    assert "conflict: reprocessing d1 is" in refused(m, leave(m, "p1"))
    assert not shown(m)["leftOut"]


def test_all_or_none(m: Driver) -> None:
    paused_with_p2_aside(m)
    assert "conflict: units: p1 on master is replayed already" in refused(m, leave(m, "p2", "p1"))
    assert "invalid: units: p9 on master is no unit of reprocessing d1" in refused(m, leave(m, "p2", "p9"))
    assert "p2 on b1 is no unit" in refused(m, leave(m, "p2", branch="b1"))
    m.tell(leave(m, "p2", "p2"))
    assert "is left out already" in refused(m, leave(m, "p2"))


def test_it_needs_a_reason_where_decisions_do() -> None:
    m = Driver(require_reason=True)
    m.hold()
    fact = facts.LeaveOutAsked("d1", "ana", m.ticket(), (("p1", "master"),))
    assert "invalid: reason: is missing" in refused(m, fact)
    assert refused(m, facts.LeaveOutAsked("d9", "ana", m.ticket(), ())) == "not_found: no reprocessing d9"


def test_a_unit_that_the_start_adds_without_an_origin_event_pauses_the_run(m: Driver) -> None:
    m.hold("i1", P1)
    m.approve()
    m.notified()
    m.start_impact(Impacted("p9", "master"))
    missing = Origin(Impacted("p9", "master"), b"", "")
    m.tell(facts.ReplayOriginsFetched("d1", m.last(do.FetchReplayOrigins).token, (missing,)))
    m.queues_updated()
    m.held_committed()
    m.replay("re1", "p1")
    assert m.doc.status is Status.PAUSED


# --- a replay whose commit is in doubt ----------------------------------------------------------------------------


def left_in_doubt(m: Driver) -> str:
    """The run fails: nothing proves whether the replay of p1 is committed. Return the key of the doubt."""
    m.run(P1, P2)
    m.sent()
    m.result("re1", "p1")
    m.replay_impact()
    m.commit_ends(CommitEnd.REFUSED, do.CommitReplay)
    m.proof(Finding.UNPROVABLE)
    m.end()
    [doubt] = m.system.open_doubts
    return doubt.key


def test_nothing_is_left_out_or_retried_while_a_retry_waits_for_a_proof(m: Driver) -> None:
    """The retry goes on with the units as they were stored when it was asked for."""
    left_in_doubt(m)
    m.retry()
    waits = "conflict: reprocessing d1 is being retried by anna: that waits for a proof of its commit in doubt"
    assert refused(m, leave(m, "p2")) == waits
    m.retry()
    assert f"{m.only(do.Reply).code}: {m.only(do.Reply).message}" == waits
    m.proof(Finding.NO_ROWS)
    assert m.only(do.Reply).code is Code.CONFLICT, "the first one's answer"
    m.tell(leave(m, "p2"))
    assert m.only(do.Reply).code is Code.OK


def test_a_unit_whose_replay_is_said_to_be_made_is_not_left_out(m: Driver) -> None:
    key = left_in_doubt(m)
    m.tell(facts.DoubtResolved(key, Word.MADE, "ana", m.ticket(), "looked"))
    assert "p1 on master is replayed already" in refused(m, leave(m, "p1"))


def test_one_that_is_to_be_made_again_may_be_left_out(m: Driver) -> None:
    key = left_in_doubt(m)
    m.tell(facts.DoubtResolved(key, Word.MAKE_AGAIN, "ana", m.ticket(), "looked"))
    m.tell(leave(m, "p1"))
    assert m.only(do.Reply).code is Code.OK
    m.retry()
    assert m.doc.units[P1.key].state is UnitState.LEFT_OUT


def test_a_cascade_that_names_a_unit_without_an_origin_event_sets_it_aside(m: Driver) -> None:
    m.run(P1)
    m.sent()
    m.result("re1", "p1")
    m.replay_impact(P2)
    fetch = m.only(do.FetchReplayOrigins)
    m.tell(facts.ReplayOriginsFetched("d1", fetch.token, (Origin(P2, b"", ""),)))
    assert not m.asked(do.GrowQueues), "it is on no queue"
    m.replay_committed()
    assert m.doc.status is Status.PAUSED
    assert list(m.doc.set_aside) == [P2.key]


def test_what_is_left_out_stands_in_no_line(m: Driver) -> None:
    m.run(P1, P2, Impacted("p4", "master"))
    m.tell(facts.PauseAsked("d1", "ana", m.ticket()))
    m.replay("re1", "p1")
    m.tell(leave(m, "p2"))
    lock = m.system.lock()
    assert lock is not None
    assert lock.outstanding == 1


def test_a_run_that_was_imported_without_an_approval_pauses_as_others_do(m: Driver) -> None:
    m.run(P1)
    m.doc.history = [entry for entry in m.doc.history if entry.status is not Status.APPROVED]
    m.tell(facts.UnitRefused("d1", m.last(do.SendReplay).token, "p has no subscribers"))
    assert m.doc.status is Status.PAUSED


def test_a_unit_whose_replay_may_be_committed_is_not_left_out(m: Driver) -> None:
    key = left_in_doubt(m)
    assert f"resolve {key} first" in refused(m, leave(m, "p1"))
    m.tell(leave(m, "p2"))
    assert m.only(do.Reply).code is Code.OK
