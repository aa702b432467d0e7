"""Flow 1: a persist event arrives, waits or is judged, is committed, held, or fails; and the drain."""

import pytest

from maestro.messages.answers import Code
from maestro.rules import commands as do
from maestro.rules import facts
from maestro.rules.commands import Needs
from maestro.rules.delivery import Verdict
from maestro.rules.doubt import Finding
from maestro.rules.impact import Impacted
from maestro.rules.state import OutboxKind
from maestro.rules.status import Status
from maestro.rules.step import SaveDelivery, SaveDocument, SaveOutboxMessage
from tests.unit.rules.driver import P1, P2, P3, Driver, origin


@pytest.fixture
def m() -> Driver:
    driver = Driver()
    driver.tell(facts.IngressAttached())
    driver.tell(facts.WaitQueueDrained())
    return driver


# --- open: judged ------------------------------------------------------------


def test_an_open_system_asks_discovery(m: Driver) -> None:
    assert m.arrive("i1") == [do.AskImpact(m.system.judging_token, "i1")]
    assert m.saves == []


def test_none_impacted_the_verdict_is_stored_and_the_commit_needs_it(m: Driver) -> None:
    m.arrive("i1")
    assert m.impact() == [do.Commit(m.system.judging_token, "i1")]
    assert m.only(do.Commit).needs is Needs.STORED
    assert m.saves == [SaveDelivery(m.delivery("i1"))]
    assert m.delivery("i1").verdict is Verdict.COMMIT


def test_a_commit_is_done_and_acked_once_that_is_synced(m: Driver) -> None:
    m.arrive("i1")
    m.impact()
    assert m.committed() == [do.AckDelivery(m.ref())]
    assert m.delivery("i1").done
    assert do.AckDelivery.needs is Needs.SYNCED


def test_events_are_judged_one_at_a_time_in_order(m: Driver) -> None:
    m.arrive("i1")
    assert m.arrive("i2") == []
    assert m.impact() == [do.Commit(m.system.judging_token, "i1")]
    m.committed()
    assert m.only(do.AskImpact).instance_id == "i2"
    assert m.delivery("i1").number < m.delivery("i2").number


def test_the_answer_to_a_superseded_question_is_ignored(m: Driver) -> None:
    m.arrive("i1")
    token = m.system.judging_token
    m.judging_fails()
    m.arrive("i2")
    assert m.tell(facts.ImpactFound(token, ())) == []
    assert m.delivery("i2").verdict is None


# --- impacted: held ------------------------------------------------------------


def test_some_impacted_their_origins_are_fetched_then_it_is_held(m: Driver) -> None:
    m.arrive("i1")
    assert m.impact(P1, P2) == [do.FetchOrigins(m.system.judging_token, "m-i1", "i1", (P1, P2))]
    m.origins()
    assert m.kinds() == ["AckDelivery"]
    assert (m.doc.status, m.doc.held_instance, m.doc.tag) == (Status.PENDING, "i1", "tag-i1")
    assert [type(save) for save in m.saves].count(SaveDocument) == 1
    assert m.saved_units() == ["p1", "p2"]
    assert m.delivery("i1").verdict is Verdict.PENDING
    outbox = [(message.kind, message.instance_id, message.text) for message in m.system.outbox.values()]
    assert outbox == [(OutboxKind.STATUS, "i1", "reprocessing_pending_approval")]


def test_a_scenario_cannot_change_the_trunk(m: Driver) -> None:
    m.arrive("i1", branch="b1")
    m.impact(P1, P3)
    assert m.only(do.FetchOrigins).units == (P3,)


def test_an_event_whose_only_impact_is_itself_or_the_trunk_is_committed(m: Driver) -> None:
    m.arrive("i1", branch="b1")
    m.impact(P1, Impacted("i1", "b1"))
    assert m.kinds() == ["Commit"]


def test_units_are_kept_in_the_order_of_replay(m: Driver) -> None:
    m.arrive("i1")
    m.impact(P1, P2, P3)
    m.origins([origin(P1, "2018-07-20T15:00:01"), origin(P2, "2018-07-20T15:00:00"), origin(P3, "2019-01-01T00:00:00")])
    assert [unit.instance_id for unit in m.doc.not_done()] == ["p3", "p2", "p1"]


def test_while_blocked_events_wait_in_order(m: Driver) -> None:
    m.hold()
    assert m.arrive("i2") == [do.ParkEvent("m-i2", (m.ref(),))]
    m.arrive("i3")
    assert [delivery.instance_id for delivery in m.system.waiting.values()] == ["i2", "i3"]
    assert m.delivery("i2").verdict is Verdict.WAITING
    assert do.ParkEvent.needs is Needs.SYNCED


def test_what_was_admitted_before_the_block_waits_too(m: Driver) -> None:
    m.arrive("i1")
    m.arrive("i2")
    m.impact(P1)
    m.origins()
    assert m.only(do.ParkEvent).key == "m-i2"


# --- the drain ------------------------------------------------------------


def test_skip_drains_the_oldest_first_and_newer_ones_queue_up_behind(m: Driver) -> None:
    m.hold()
    m.arrive("i2")
    m.arrive("i3")
    m.skip()
    assert m.only(do.AskImpact).instance_id == "i2"
    m.arrive("i4")
    assert m.delivery("i4").verdict is Verdict.WAITING
    m.impact()
    m.committed()
    assert m.only(do.AskImpact).instance_id == "i3"


def test_draining_stops_where_one_becomes_pending(m: Driver) -> None:
    m.hold()
    m.arrive("i2")
    m.arrive("i3")
    m.skip()
    m.impact(P1)
    m.origins(id_="d2")
    assert not m.asked(do.AskImpact)
    assert [delivery.instance_id for delivery in m.system.waiting.values()] == ["i3"]


def test_the_system_is_open_when_none_waits_any_more(m: Driver) -> None:
    m.hold()
    m.arrive("i2")
    m.skip()
    assert not m.system.open
    m.impact()
    m.committed()
    assert m.system.open


def test_the_wait_queue_is_fed_unless_blocked_and_until_it_is_drained(m: Driver) -> None:
    m.hold()
    m.arrive("i2")
    m.tell(facts.Parked("m-i2"))
    assert not m.asked(do.FeedWaitQueue)
    m.skip()
    assert m.only(do.FeedWaitQueue).on
    m.arrive("i2", wait=True)
    m.impact()
    m.committed()
    assert m.only(do.AckDelivery).ref == m.ref()
    assert not m.asked(do.FeedWaitQueue)
    m.tell(facts.WaitQueueDrained())
    assert not m.only(do.FeedWaitQueue).on


def test_a_copy_that_comes_after_its_event_is_done_is_acked_and_fed_until_drained(m: Driver) -> None:
    m.hold()
    m.arrive("i2")
    m.tell(facts.Parked("m-i2"))
    m.skip()
    m.impact()
    m.committed()
    assert m.arrive("i2", wait=True) == [do.AckDelivery(m.ref())]
    m.tell(facts.WaitQueueDrained())
    assert m.kinds() == ["FeedWaitQueue"]


def test_an_unknown_event_of_the_wait_queue_waits_behind_those_already_numbered(m: Driver) -> None:
    m.arrive("i1")
    m.arrive("i2")
    m.arrive("old", wait=True)
    assert [delivery.instance_id for delivery in m.system.waiting.values()] == ["i1", "i2", "old"]
    m.impact()
    m.committed()
    assert m.only(do.AskImpact).instance_id == "i2"


# --- a retry while an event is judged ------------------------------------------------------------


def failed_run(m: Driver) -> None:
    m.hold()
    m.approve()
    m.notified()
    m.start_impact()
    m.queues_updated("returned")
    m.end()


@pytest.mark.parametrize("impacted", [(), (P1,)])
def test_an_event_with_discovery_waits_first_when_a_retry_blocks(m: Driver, impacted: tuple[Impacted, ...]) -> None:
    failed_run(m)
    m.arrive("i2")
    m.arrive("i3")
    if impacted:
        m.impact(*impacted)
    m.retry()
    assert [delivery.instance_id for delivery in m.system.waiting.values()] == ["i2", "i3"]
    assert m.impact() == []
    assert m.delivery("i2").verdict is Verdict.WAITING


def test_the_run_waits_for_a_commit_that_is_under_way(m: Driver) -> None:
    failed_run(m)
    m.arrive("i2")
    m.impact()
    m.retry()
    assert not m.asked(do.Notify)
    m.committed()
    assert m.only(do.Notify).kind == "starting"


# --- failing closed ------------------------------------------------------------


def test_discovery_out_of_reach_is_never_none_impacted(m: Driver) -> None:
    m.arrive("i1")
    m.judging_fails()
    assert m.kinds() == ["DeadLetterEvent"]
    assert m.only(do.DeadLetterEvent).refs == (m.ref(),)
    assert [message.kind for message in m.system.outbox.values()] == [OutboxKind.ERROR_EVENT]
    assert any(isinstance(save, SaveOutboxMessage) for save in m.saves)
    m.tell(facts.DeadLettered("m-i1", 1))
    assert m.delivery("i1").done


@pytest.mark.parametrize("stage", ["impact", "origins", "commit"])
def test_a_failure_at_any_step_goes_to_the_error_queue_and_the_next_is_judged(m: Driver, stage: str) -> None:
    m.arrive("i1")
    m.arrive("i2")
    if stage != "impact":
        m.impact(*((P1,) if stage == "origins" else ()))
    if stage == "commit":
        m.refused()
    else:
        m.judging_fails()
    assert m.delivery("i1").verdict is Verdict.ERROR
    assert m.only(do.AskImpact).instance_id == "i2"


def test_the_copy_of_a_failed_event_is_acked_not_judged_again(m: Driver) -> None:
    m.hold()
    m.arrive("i2")
    m.tell(facts.Parked("m-i2"))
    m.skip()
    m.judging_fails()
    m.tell(facts.DeadLettered("m-i2", 2))
    assert m.arrive("i2", wait=True) == [do.AckDelivery(m.ref())]


# --- redelivery ------------------------------------------------------------


def test_a_redelivery_of_a_done_event_is_acked(m: Driver) -> None:
    m.commit("i1")
    assert m.arrive("i1", redelivered=True) == [do.AckDelivery(m.ref())]


def test_a_redelivery_while_it_is_judged_is_acked_with_the_verdict(m: Driver) -> None:
    m.arrive("i1")
    assert m.arrive("i1", redelivered=True) == []
    m.impact()
    assert m.committed() == [do.AckDelivery(1), do.AckDelivery(2)]


@pytest.mark.parametrize("parked", [True, False])
def test_a_waiting_event_that_comes_again_is_acked_only_if_its_copy_is_confirmed(m: Driver, parked: bool) -> None:  # noqa: FBT001 - a case
    m.hold()
    m.arrive("i2")
    if parked:
        m.tell(facts.Parked("m-i2"))
    m.arrive("i2", redelivered=True)
    expected = do.AckDelivery(m.ref()) if parked else do.ParkEvent("m-i2", (m.ref(),))
    assert m.commands == [expected]


def test_a_redelivery_of_a_failed_event_is_acked_a_redrive_is_judged_anew(m: Driver) -> None:
    m.arrive("i1")
    m.judging_fails()
    m.tell(facts.DeadLettered("m-i1", 1))
    assert m.arrive("i1", redelivered=True) == [do.AckDelivery(m.ref())]
    m.arrive("i1", redriven=True)
    assert m.kinds() == ["AskImpact"]
    assert m.delivery("i1").number == 2


def test_a_redrive_that_is_quicker_than_the_confirm_is_judged_anew(m: Driver) -> None:
    m.arrive("i1")
    m.judging_fails()
    m.arrive("i1", redriven=True)
    assert m.kinds() == ["AskImpact"]
    m.tell(facts.DeadLettered("m-i1", 1))
    m.impact()
    assert m.committed() == [do.AckDelivery(m.ref())]


def test_a_confirm_that_a_redrive_has_overtaken_is_not_the_new_deliverys(m: Driver) -> None:
    m.arrive("i1")
    m.judging_fails()
    m.arrive("i1", redriven=True)
    m.judging_fails()
    m.tell(facts.DeadLettered("m-i1", 1))
    assert not m.delivery("i1").done
    m.tell(facts.DeadLettered("m-i1", 2))
    assert m.delivery("i1").done


def test_the_dedup_window_forgets_the_oldest_and_keeps_those_with_a_parked_copy() -> None:
    m = Driver(dedup_window=2)
    m.tell(facts.WaitQueueDrained())
    m.hold()
    m.arrive("i2")
    m.tell(facts.Parked("m-i2"))
    m.skip()
    m.impact()
    m.committed()
    for name in ("i3", "i4", "i5"):
        m.commit(name)
    assert "m-i1" not in m.system.deliveries
    assert {"m-i2", "m-i3", "m-i4"} <= set(m.system.deliveries)
    m.tell(facts.WaitQueueDrained())
    m.commit("i6")
    assert list(m.system.deliveries) == ["m-i5", "m-i6"]


def test_a_redriven_event_takes_a_new_place_in_the_dedup_window() -> None:
    m = Driver(dedup_window=3)
    m.tell(facts.WaitQueueDrained())
    m.arrive("i1")
    m.judging_fails()
    m.tell(facts.DeadLettered("m-i1", 1))
    m.commit("i2")
    m.arrive("i1", redriven=True)
    m.impact()
    m.committed()
    m.commit("i3")
    m.commit("i4")
    assert list(m.system.deliveries) == ["m-i1", "m-i3", "m-i4"]


# --- a new life of ingress, a restart ------------------------------------------------------------


def test_a_new_ingress_is_asked_for_what_the_old_one_had_to_do(m: Driver) -> None:
    m.hold()
    m.arrive("i2")
    m.arrive("i3")
    m.tell(facts.Parked("m-i3"))
    m.tell(facts.IngressAttached())
    assert m.commands == [do.ParkEvent("m-i2", ())]


def test_old_references_are_void_after_a_new_attachment(m: Driver) -> None:
    m.arrive("i1")
    m.impact()
    m.tell(facts.IngressAttached())
    assert m.committed() == []


def test_after_a_restart_a_decided_commit_comes_before_all_else_and_is_not_asked_again(m: Driver) -> None:
    m.arrive("i1")
    m.impact()
    commands = m.restart()
    others = (do.FeedWaitQueue, do.WakeAt)
    assert [type(command) for command in commands if not isinstance(command, others)] == [do.AskProof]
    m.arrive("i2")
    assert not m.asked(do.AskImpact)
    m.arrive("i1", redelivered=True)
    assert do.AckDelivery(m.ref()) in m.proof(Finding.ROWS)
    assert m.system.judged is not None
    assert m.system.judged.instance_id == "i2"


def test_a_commit_that_fails_before_its_event_is_back_goes_to_the_error_queue_once_it_is(m: Driver) -> None:
    m.arrive("i1")
    m.impact()
    m.restart()
    m.settles(Finding.UNPROVABLE)
    assert not m.asked(do.DeadLetterEvent)
    m.restart()
    assert not m.asked(do.DeadLetterEvent)
    m.arrive("i1", redelivered=True)
    reason = "commit in doubt: Maestro ended while the commit was under way"
    assert m.commands == [do.DeadLetterEvent("m-i1", 1, reason, (m.ref(),), "1")]
    assert m.repository.body(1) is not None
    (message,) = m.system.outbox.values()
    assert m.repository.error_event(message) is not None
    m.tell(facts.DeadLettered("m-i1", 1))
    assert m.delivery("i1").done


def test_a_caller_whose_commit_failed_after_a_restart_may_ask_again(m: Driver) -> None:
    m.sync("i1")
    m.impact()
    m.restart()
    m.settles(Finding.NO_ROWS)
    m.refused()
    ticket = m.sync("i1")
    m.impact()
    m.committed()
    assert m.only(do.Reply).ticket == ticket
    assert m.only(do.Reply).code is Code.OK


def test_after_a_restart_the_waiting_events_keep_their_order(m: Driver) -> None:
    m.hold()
    for name in ("i2", "i3", "i4"):
        m.arrive(name)
        m.tell(facts.Parked(f"m-{name}"))
    m.restart()
    assert [delivery.instance_id for delivery in m.system.waiting.values()] == ["i2", "i3", "i4"]
    m.skip()
    assert m.last(do.AskImpact).instance_id == "i2"


# --- fork and auto-approval ------------------------------------------------------------


def test_auto_approval_approves_at_once_with_lock() -> None:
    m = Driver(auto_approve=True)
    m.hold()
    assert [(entry.status, entry.user) for entry in m.doc.history] == [
        (Status.PENDING, "maestro"),
        (Status.APPROVED, "platform"),
    ]
    m.notified()
    assert m.doc.status is Status.RUNNING
    assert m.system.outbox == {}


def test_a_fork_wins_over_auto_approval_and_runs_without_lock() -> None:
    m = Driver(auto_approve=True)
    m.hold(fork=True)
    assert m.doc.history[-1].user == "platform:open_branch"
    m.notified()
    assert m.doc.status is Status.RUNNING_WITHOUT_LOCK
    assert m.system.lock() is None


def test_a_fork_neither_blocks_nor_stops_a_drain(m: Driver) -> None:
    m.hold(fork=True)
    assert m.system.open
    m.arrive("i2")
    assert m.only(do.AskImpact).instance_id == "i2"


# --- sync persist ------------------------------------------------------------


def test_sync_persist_is_told_commited_only_once_it_is(m: Driver) -> None:
    ticket = m.sync("i1")
    m.impact()
    assert not m.asked(do.Reply)
    assert m.committed() == [do.Reply(ticket, Code.OK, fields=(("status", "commited"),))]
    again = m.sync("i1")
    assert m.commands == [do.Reply(again, Code.OK, fields=(("status", "commited"),))]


def test_sync_persist_is_told_the_reprocessing(m: Driver) -> None:
    ticket = m.sync("i1")
    m.impact(P1)
    m.origins()
    assert m.only(do.Reply) == do.Reply(ticket, Code.OK, document_id="d1")


def test_sync_persist_while_not_open_waits_at_its_position(m: Driver) -> None:
    m.hold()
    m.arrive("i2")
    ticket = m.sync("i3")
    assert m.only(do.Reply) == do.Reply(ticket, Code.ACCEPTED, fields=(("status", "waiting"), ("position", 2)))
    assert m.only(do.ParkEvent).key == "m-i3"


def test_a_failed_sync_persist_is_told_the_cause_and_may_be_tried_again(m: Driver) -> None:
    ticket = m.sync("i1")
    m.judging_fails()
    assert m.commands == [do.Reply(ticket, Code.FAILED, "out of reach")]
    m.sync("i1")
    assert m.kinds() == ["AskImpact"]


# --- adopted -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wait", [True, False])
def test_an_unknown_event_of_before_an_adoption_is_a_commit_in_doubt(m: Driver, wait: bool) -> None:  # noqa: FBT001
    m.arrive("i1", wait=wait, redelivered=True, foreign=True)
    order = m.only(do.DeadLetterEvent)
    assert order.reason.startswith("commit in doubt: ")
    assert order.refs == (m.ref(),)
    assert not m.asked(do.AskImpact)


def test_a_known_event_of_before_an_adoption_goes_on_as_it_was_decided(m: Driver) -> None:
    m.arrive("i1")
    m.arrive("i1", redelivered=True, foreign=True)
    assert not m.asked(do.DeadLetterEvent)
    m.impact()
    assert m.delivery("i1").verdict is Verdict.COMMIT


def test_no_text_hides_an_instance_whose_earlier_commit_is_forgotten() -> None:
    m = Driver(dedup_window=1)
    m.tell(facts.IngressAttached())
    m.tell(facts.WaitQueueDrained())
    m.arrive("x1", instance="x")
    m.impact()
    m.committed()
    m.commit("o1")
    m.commit("o2")
    assert "x" in m.system.forgotten
    m.arrive("x2", instance="x")
    m.impact(P1)
    m.origins()
    assert m.system.outbox == {}
