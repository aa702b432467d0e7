"""Whose fault a failed question is, and what a stalled system does meanwhile."""

import pytest

from maestro.messages.answers import Code
from maestro.rules import commands as do
from maestro.rules import facts
from maestro.rules.delivery import Verdict
from maestro.rules.document import Stage
from maestro.rules.doubt import CommitEnd
from maestro.rules.outage import JUDGING, LONGEST_PAUSE, WITHOUT_CANARY
from maestro.rules.stalls import CLOSES_AFTER
from maestro.rules.status import Status
from tests.unit.rules.driver import P1, P2, Driver


@pytest.fixture
def m() -> Driver:
    driver = Driver()
    driver.tell(facts.IngressAttached())
    driver.tell(facts.WaitQueueDrained())
    return driver


def fails(m: Driver, sibling: str = "discovery") -> do.AskCanary:
    m.tell(facts.JudgingFailed(m.system.judging_token, "answered 400", sibling))
    return m.only(do.AskCanary)


def canary(m: Driver, *, answered: bool, known: bool = True) -> list[do.Command]:
    asked = m.last(do.AskCanary)
    return m.tell(facts.CanaryAsked(asked.what, asked.token, answered, known))


def ordered(m: Driver) -> do.WakeAt:
    """Return the wake-up of the outage that was ordered last."""
    return next(one for one in reversed(m.log) if isinstance(one, do.WakeAt) and one.topic is do.Topic.OUTAGE)


def wait(m: Driver) -> float:
    """Let the wake-up of the outage come; return how long it took."""
    due = ordered(m)
    seconds = due.at - m.now
    m.now = due.at - 1.0
    m.tell(facts.Woken(due.topic, due.key))
    return seconds


def test_an_outage_keeps_the_event_in_its_place_and_ends_by_itself(m: Driver) -> None:
    m.arrive("i1")
    m.arrive("i2")
    pauses = []
    for _ in range(9):
        assert fails(m).sibling == "discovery"
        canary(m, answered=False)
        assert m.system.stalls[JUDGING].cause == "answered 400"
        assert not m.asked(do.DeadLetterEvent)
        pauses.append(wait(m))
        assert m.only(do.AskImpact).instance_id == "i1"
    assert pauses == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, *[LONGEST_PAUSE] * 3]
    m.impact()
    assert not m.system.stalls
    m.committed()
    assert m.only(do.AskImpact).instance_id == "i2"


def test_the_event_is_at_fault_when_others_are_answered_before_and_after(m: Driver) -> None:
    m.arrive("i1")
    fails(m)
    canary(m, answered=True)
    assert m.only(do.AskImpact).instance_id == "i1", "the sibling may just have come back"
    fails(m)
    canary(m, answered=True)
    assert m.asked(do.DeadLetterEvent)
    assert m.delivery("i1").reason == "answered 400"
    assert not m.system.troubles


def test_a_sibling_that_goes_away_in_between_is_an_outage(m: Driver) -> None:
    m.arrive("i1")
    fails(m)
    canary(m, answered=True)
    fails(m)
    canary(m, answered=False)
    wait(m)
    fails(m)
    canary(m, answered=True)
    assert m.asked(do.AskImpact)
    assert not m.asked(do.DeadLetterEvent)


def test_without_a_canary_it_is_the_events_fault_after_a_while(m: Driver) -> None:
    m.arrive("i1")
    began = m.now
    while m.delivery("i1").verdict is not Verdict.ERROR:
        fails(m)
        canary(m, answered=False, known=False)
        if m.delivery("i1").verdict is not Verdict.ERROR:
            wait(m)
    assert WITHOUT_CANARY <= m.now - began < WITHOUT_CANARY + 2 * LONGEST_PAUSE


def test_a_later_question_that_fails_each_time_is_found_at_fault(m: Driver) -> None:
    """What is answered before it does not begin the weighing anew."""
    m.arrive("i1")
    for _ in range(2):
        m.impact(P1)
        fails(m, "process_memory")
        canary(m, answered=True)
    assert m.asked(do.DeadLetterEvent)


def test_what_is_certain_needs_no_canary(m: Driver) -> None:
    m.arrive("i1")
    m.tell(facts.JudgingFailed(m.system.judging_token, "no domain is installed"))
    assert m.asked(do.DeadLetterEvent)


def stalled(m: Driver) -> None:
    m.arrive("i1")
    m.arrive("i2")
    fails(m)
    canary(m, answered=False)


def test_a_long_stall_closes_the_system_and_parks_in_order(m: Driver) -> None:
    stalled(m)
    due = next(one for one in m.log if isinstance(one, do.WakeAt) and one.topic is do.Topic.STALL)
    assert due.at == m.system.stalls[JUDGING].since + CLOSES_AFTER
    m.now = due.at
    m.tell(facts.Woken(due.topic, due.key))
    assert not m.system.open
    assert [one.key for one in m.commands if isinstance(one, do.ParkEvent)] == ["m-i1", "m-i2"]
    assert m.sync("i3")
    assert m.only(do.Reply).code is Code.ACCEPTED
    assert [one.instance_id for one in m.system.waiting.values()] == ["i1", "i2", "i3"]
    assert not m.system.feeding
    wait(m)
    m.impact()
    m.committed()
    assert m.only(do.AskImpact).instance_id == "i2"


def test_a_stall_closes_the_system_as_time_goes_by_before_it_is_told(m: Driver) -> None:
    stalled(m)
    m.now += 2 * CLOSES_AFTER
    m.arrive("i3")
    assert [one.instance_id for one in m.system.waiting.values()] == ["i1", "i2", "i3"]


# --- a sibling that hangs -------------------------------------------------------------------------------------------


def hangs(m: Driver, what: str, token: int, sibling: str = "discovery") -> list[do.Command]:
    return m.tell(facts.Unanswered(what, token, sibling, "no answer within 30 s", m.now - CLOSES_AFTER))


def test_a_sibling_that_hangs_is_seen_after_the_first_try(m: Driver) -> None:
    m.arrive("i1")
    m.arrive("i2")
    asked_at = m.now - CLOSES_AFTER
    hangs(m, JUDGING, m.system.judging_token)
    stall = m.system.stalled()
    assert stall is not None
    assert (stall.sibling, stall.cause) == ("discovery", "no answer within 30 s")
    assert stall.since == pytest.approx(asked_at, abs=5)
    assert not m.system.open
    assert [one.instance_id for one in m.system.waiting.values()] == ["i1", "i2"]
    assert m.sync("i3")
    assert m.only(do.Reply).code is Code.ACCEPTED
    since = stall.since
    hangs(m, JUDGING, m.system.judging_token)
    assert m.system.stalls[JUDGING].since == since, "it began with the first"


def test_nothing_fails_earlier_because_of_it_and_its_answer_ends_it(m: Driver) -> None:
    m.arrive("i1")
    hangs(m, JUDGING, m.system.judging_token)
    assert not m.system.troubles
    assert not m.asked(do.AskCanary)
    assert not m.asked(do.DeadLetterEvent)
    m.impact()
    assert not m.system.stalls
    m.committed()
    assert m.system.open


def test_an_event_at_fault_that_hung_ends_as_ever(m: Driver) -> None:
    m.arrive("i1")
    hangs(m, JUDGING, m.system.judging_token)
    for _ in range(2):
        fails(m)
        canary(m, answered=True)
    assert m.asked(do.DeadLetterEvent)
    assert not m.system.stalls


def test_a_try_of_a_question_that_is_over_stalls_nothing(m: Driver) -> None:
    m.arrive("i1")
    token = m.system.judging_token
    m.impact()
    m.committed()
    hangs(m, JUDGING, token)
    m.arrive("i2")
    hangs(m, JUDGING, token)
    hangs(m, "no such document", token)
    assert not m.system.stalls


def test_what_hangs_can_be_set_aside(m: Driver) -> None:
    m.arrive("i1")
    token = m.system.judging_token
    hangs(m, JUDGING, token)
    m.tell(facts.SetAside("ana", 7, "it is poison"))
    assert m.only(do.Reply).code is Code.OK
    m.tell(facts.JudgingFailed(token, "no answer", "discovery"))
    assert not m.system.stalls
    assert not m.system.troubles


def test_a_run_whose_question_hangs_is_stalled_alone(m: Driver) -> None:
    assessing(m)
    hangs(m, m.doc.id, m.doc.token)
    assert m.system.stalls[m.doc.id].sibling == "discovery"
    assert not m.system.held_up
    assert m.doc.stage is Stage.IMPACT, "the question is still being asked"
    m.replay_impact()
    assert not m.system.stalls


def test_a_unit_that_is_refused_ends_the_stall_of_its_send(m: Driver) -> None:
    m.run(P1)
    hangs(m, m.doc.id, m.doc.token, "event_manager")
    m.tell(facts.UnitRefused(m.doc.id, m.doc.token, "has no subscribers"))
    assert m.doc.status is Status.PAUSED
    assert not m.system.stalls


# --- setting aside ------------------------------------------------------------------------------------------------


def test_somebody_sets_the_event_in_hand_aside(m: Driver) -> None:
    stalled(m)
    m.tell(facts.SetAside("ana", 7, "it is poison"))
    reply = m.only(do.Reply)
    assert (reply.code, dict(reply.fields)) == (Code.OK, {"number": 1, "instanceId": "i1"})
    assert m.delivery("i1").reason == "set aside by ana: it is poison (answered 400)"
    assert m.only(do.AskImpact).instance_id == "i2"
    assert not m.system.stalls


def test_nothing_is_set_aside_where_nothing_is_stalled(m: Driver) -> None:
    m.arrive("i1")
    m.tell(facts.SetAside("ana", 7))
    assert (m.only(do.Reply).code, m.only(do.Reply).message) == (Code.CONFLICT, "system s is not stalled")


def test_nothing_is_set_aside_where_no_event_is_in_hand(m: Driver) -> None:
    m.system.stall("visibility", "apicore", "away")
    m.tell(facts.SetAside("ana", 7))
    reply = m.only(do.Reply)
    assert reply.code is Code.CONFLICT
    assert "apicore" in reply.message


# --- runs -----------------------------------------------------------------------------------------------------------


def run_fails(m: Driver, sibling: str = "discovery") -> None:
    m.tell(facts.RunFailed(m.doc.id, m.doc.token, "answered 400", sibling))


def assessing(m: Driver, **rules: float) -> None:
    m.run(P1)
    m.sent()
    m.result("r1", "p1")


def test_a_run_waits_under_its_lock_and_goes_on(m: Driver) -> None:
    assessing(m)
    run_fails(m)
    canary(m, answered=False)
    assert m.doc.stage is Stage.OUTAGE
    assert m.system.lock() is not None
    wait(m)
    assert m.only(do.AskReplayImpact).instance_id == "r1"
    m.replay_impact()
    assert not m.system.stalls
    m.replay_committed()


def test_a_run_fails_when_the_outage_lasts_too_long(m: Driver) -> None:
    assessing(m)
    began = m.now
    while m.doc.ending is None:
        run_fails(m)
        canary(m, answered=False)
        if m.doc.ending is None:
            wait(m)
    assert m.now - began >= m.rules.outage_limit
    m.end()
    assert m.doc.status is Status.FAILURE
    assert not m.system.troubles


def test_a_send_that_had_no_answer_and_arrived_goes_on_with_its_result(m: Driver) -> None:
    m.run(P1)
    run_fails(m, "event_manager")
    canary(m, answered=False, known=False)
    m.result("r1", "p1")
    assert m.only(do.AskReplayImpact).instance_id == "r1"


def test_a_start_that_finds_no_answer_aborts_only_after_the_outage(m: Driver) -> None:
    m.hold("i1", P1, P2)
    m.approve()
    m.notified()
    run_fails(m)
    canary(m, answered=True)
    assert m.asked(do.AskStartImpact)
    run_fails(m)
    canary(m, answered=True)
    assert m.doc.ending is not None
    m.end()
    assert m.doc.status is Status.ABORTED_SPLIT


def test_a_cancelled_run_does_not_wait_for_the_sibling(m: Driver) -> None:
    assessing(m)
    m.cancel()
    run_fails(m)
    assert m.doc.ending is not None
    m.end()
    assert m.doc.status is Status.CANCELLED


def test_a_system_closes_in_time_beside_an_older_stall_of_a_run() -> None:
    m = Driver()
    m.hold("i1", P1, fork=True)
    m.start()
    m.held_committed()
    m.tell(facts.RunFailed("d1", m.last(do.SendReplay).token, "down", sibling="event_manager"))
    canary = m.only(do.AskCanary)
    m.tell(facts.CanaryAsked(canary.what, canary.token, answered=False))
    m.now += 20.0
    m.arrive("e1")
    m.tell(facts.JudgingFailed(m.system.judging_token, "down", "discovery"))
    canary = m.only(do.AskCanary)
    m.tell(facts.CanaryAsked(canary.what, canary.token, answered=False))
    closes = m.system.stalls["judging"].closes_at
    assert closes in [one.at for one in m.log if isinstance(one, do.WakeAt) and one.topic is do.Topic.STALL]


def test_a_run_that_is_ended_by_hand_leaves_no_stall_though_its_send_hangs() -> None:
    m = Driver()
    m.run(P1)
    send = m.last(do.SendReplay)
    unanswered = facts.Unanswered("d1", send.token, "event_manager", "no answer", m.now)
    m.tell(unanswered)
    m.override("failure")
    m.tell(unanswered)
    m.tell(facts.RunFailed("d1", send.token, "no answer", "event_manager"))
    m.end()
    assert m.system.stalled() is None


def look_fails(m: Driver) -> None:
    """API core does not answer the last look, nor for the next ten minutes."""
    look = m.last(do.Look)
    m.tell(facts.LookFailed(look.key, look.token, "no connection"))
    due = next(one for one in reversed(m.log) if isinstance(one, do.WakeAt) and one.topic is do.Topic.LOOK)
    m.now = max(m.now + 600, due.at)
    m.tell(facts.Woken(due.topic, due.key))


def assessing_behind_a_look(**rules: float | bool) -> Driver:
    m = Driver(ensure_finished=True, **rules)
    m.run(P1)
    m.sent()
    m.result("re1", "p1")
    assert not m.asked(do.AskReplayImpact)
    return m


def test_a_run_that_waits_for_a_look_at_api_core_fails_when_the_outage_lasts_too_long() -> None:
    m = assessing_behind_a_look(outage_limit=1800.0)
    for _ in range(3):
        look_fails(m)
    assert m.doc.status is Status.RUNNING
    look_fails(m)
    m.end()
    assert (m.doc.status, m.doc.kept, m.system.lock()) == (Status.FAILURE, True, None)
    assert m.doc.history[-1].cause == "no connection"


def test_one_that_is_cancelled_does_not_wait_for_it() -> None:
    m = assessing_behind_a_look()
    look_fails(m)
    m.cancel()
    m.end()
    assert (m.doc.status, m.system.lock()) == (Status.CANCELLED, None)


def test_a_start_that_waits_for_a_look_aborts_when_the_outage_lasts_too_long() -> None:
    m = Driver(ensure_finished=True, outage_limit=1800.0)
    m.hold("i1", P1)
    m.approve()
    m.cancel()
    m.end()
    m.commit("a")
    m.retry()
    m.notified()
    assert m.doc.status is Status.RUNNING
    for _ in range(4):
        look_fails(m)
    m.end()
    assert m.doc.status is Status.ABORTED_SPLIT


def test_siblings_that_fail_in_turn_do_not_hold_a_run_for_ever(m: Driver) -> None:
    assessing(m, outage_limit=1800.0)
    pauses = []
    for sibling in ("discovery", "apicore") * 40:
        run_fails(m, sibling)
        canary(m, answered=False)
        if m.doc.stage is not Stage.OUTAGE:
            break
        pauses.append(wait(m))
    assert m.doc.ending is not None
    assert max(pauses) == LONGEST_PAUSE


def test_siblings_that_fail_an_event_in_turn_and_answer_others_leave_it_at_fault(m: Driver) -> None:
    m.arrive("i1")
    for sibling in ("discovery", "apicore", "discovery"):
        fails(m, sibling)
        canary(m, answered=True)
    assert m.only(do.DeadLetterEvent).key == "m-i1"


def test_a_sibling_that_fails_after_another_one_has_its_own_time(m: Driver) -> None:
    m.arrive("i1")
    fails(m)
    canary(m, answered=False)
    while m.now < 1000 + WITHOUT_CANARY:
        wait(m)
        fails(m)
        canary(m, answered=False)
    wait(m)
    m.impact(P1)
    fails(m, "processMemory")
    canary(m, answered=False, known=False)
    assert not m.asked(do.DeadLetterEvent)


def test_an_orderly_stop_does_not_wait_for_an_event_that_waits_for_a_doubt(m: Driver) -> None:
    m.hold("i1", P1, fork=True)
    m.start()
    m.arrive("e1")
    m.commit_ends(CommitEnd.LOST, do.CommitHeld)
    m.impact()
    m.system.closing = True
    m.tell(facts.Woken(do.Topic.STALL, ""))
    assert m.system.judged is None
    m.arrive("e2")
    m.now += CLOSES_AFTER
    m.tell(facts.Woken(do.Topic.STALL, ""))  # the system closes: both wait, in order
    m.restart()
    assert [delivery.instance_id for delivery in m.system.waiting.values()] == ["e1", "e2"]


def test_a_sibling_that_answers_an_event_is_not_counted_as_away_since_its_first_failure(m: Driver) -> None:
    m.arrive("i1")
    fails(m)
    canary(m, answered=False)
    wait(m)
    m.impact(P1)
    fails(m, "processMemory")
    canary(m, answered=False)
    wait(m)
    m.now += WITHOUT_CANARY
    fails(m)
    canary(m, answered=False, known=False)
    assert not m.asked(do.DeadLetterEvent)


def test_nor_is_one_that_answers_a_run_while_another_one_is_away(m: Driver) -> None:
    assessing(m, outage_limit=1800.0)
    run_fails(m)
    canary(m, answered=False)
    wait(m)
    m.replay_impact(P2)
    run_fails(m, "processMemory")
    canary(m, answered=False)
    wait(m)
    m.now += 1800
    run_fails(m)  # for a moment
    canary(m, answered=False)
    assert m.doc.ending is None


def test_a_wake_up_from_before_and_a_canarys_late_answer_disturb_no_question(m: Driver) -> None:
    m.arrive("i1")
    fails(m)
    canary(m, answered=False)
    due = ordered(m)
    m.arrive("i2")
    m.tell(facts.SetAside("ana", m.ticket(), "it holds all up"))
    fails(m)
    m.now = due.at
    m.tell(facts.Woken(due.topic, due.key))
    m.impact(P1)
    canary(m, answered=True)
    m.origins()
    assert m.doc.status is Status.PENDING


def test_a_sibling_that_answered_since_is_asked_once_more_when_it_fails_again(m: Driver) -> None:
    m.arrive("i1")
    fails(m)
    canary(m, answered=True)
    m.impact(P1)
    fails(m, "processMemory")
    canary(m, answered=False)
    wait(m)
    m.impact(P1)
    fails(m, "processMemory")
    canary(m, answered=False)
    wait(m)
    fails(m)
    canary(m, answered=True)
    assert not m.asked(do.DeadLetterEvent)
    assert m.asked(do.AskImpact)
