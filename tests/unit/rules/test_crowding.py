"""Nothing stands before a replay's result: parking beside a run without lock, and time-outs that wait for the queue."""

import pytest

from maestro.messages.answers import Code
from maestro.rules import commands as do
from maestro.rules import facts
from maestro.rules.status import Status
from tests.unit.rules.driver import P1, P2, Driver


@pytest.fixture
def m() -> Driver:
    driver = Driver(prefetch=4, replay_attempts=2)
    driver.tell(facts.WaitQueueDrained())
    return driver


def forked(m: Driver) -> None:
    m.hold("f1", P1, id_="d1", fork=True)
    m.start()
    m.held_committed()
    m.sent()


def parked(m: Driver) -> list[str]:
    return [command.key for command in m.log if isinstance(command, do.ParkEvent)]


def reply(m: Driver, ticket: int) -> do.Reply | None:
    return next((one for one in m.log if isinstance(one, do.Reply) and one.ticket == ticket), None)


# --- parking ----------------------------------------------------------------------------------------------------


def test_beside_a_run_without_lock_what_is_more_than_half_of_the_prefetch_is_parked(m: Driver) -> None:
    forked(m)
    m.arrive("i1")
    m.arrive("i2")
    assert not parked(m)
    m.arrive("i3")
    m.arrive("i4")
    assert parked(m) == ["m-i1", "m-i2", "m-i3", "m-i4"], "the one that is judged, too: a crash changes no order"
    m.result("re1", "p1")
    assert m.asked(do.AskReplayImpact)


def test_they_are_taken_up_in_order(m: Driver) -> None:
    forked(m)
    for name in ("i1", "i2", "i3", "i4"):
        m.arrive(name)
    asked = [m.last(do.AskImpact).instance_id]
    for _ in range(3):
        m.impact()
        m.committed()
        asked.append(m.last(do.AskImpact).instance_id)
    assert asked == ["i1", "i2", "i3", "i4"]
    m.impact()
    m.committed()
    m.arrive("i5")
    assert m.only(do.AskImpact).instance_id == "i5"


def test_without_such_a_run_nothing_is_parked(m: Driver) -> None:
    for number in range(9):
        m.arrive(f"i{number}")
    assert not parked(m)


def test_the_system_stays_open_for_a_sync_persist(m: Driver) -> None:
    forked(m)
    for name in ("i1", "i2", "i3"):
        m.arrive(name)
    ticket = m.sync("s1")
    assert "m-s1" in parked(m)
    assert reply(m, ticket) is None
    for _ in range(4):
        m.impact()
        m.committed()
    answered = reply(m, ticket)
    assert answered is not None
    assert answered.fields == (("status", "commited"),)


def test_once_it_is_blocked_who_waits_is_told(m: Driver) -> None:
    forked(m)
    for name in ("i1", "i2", "i3"):
        m.arrive(name)
    ticket = m.sync("s1")
    m.impact(P2)
    m.origins(id_="d2")
    answered = reply(m, ticket)
    assert answered is not None
    assert answered.code is Code.ACCEPTED
    assert answered.fields == (("status", "waiting"), ("position", 3))
    late = reply(m, m.sync("s2"))
    assert late is not None
    assert late.code is Code.ACCEPTED


# --- time-outs --------------------------------------------------------------------------------------------------


def timed_out(m: Driver) -> None:
    command = m.last(do.AwaitResult)
    m.tell(facts.ReplayTimedOut(command.id, command.send))


def swept(m: Driver) -> None:
    command = m.last(do.SweepPersist)
    m.tell(facts.PersistSwept(command.id, command.send))


def test_a_time_out_takes_effect_once_what_stands_in_the_queue_was_taken(m: Driver) -> None:
    m.run(P1)
    m.sent()
    timed_out(m)
    assert m.kinds() == ["SweepPersist"]
    swept(m)
    assert m.asked(do.SendReplay)


def test_a_result_that_stood_there_counts(m: Driver) -> None:
    m.run(P1)
    m.sent()
    timed_out(m)
    m.result("re1", "p1")
    swept(m)
    assert not m.asked(do.SendReplay)
    m.replay_impact()
    m.replay_committed()
    m.end()
    assert m.doc.status is Status.FINISHED


def test_a_new_ingress_is_asked_again(m: Driver) -> None:
    m.run(P1)
    m.sent()
    timed_out(m)
    m.tell(facts.IngressAttached())
    assert m.asked(do.SweepPersist)
    swept(m)
    assert m.asked(do.SendReplay)
    m.tell(facts.IngressAttached())
    assert not m.asked(do.SweepPersist)


# --- copies of waiting events -----------------------------------------------------------------------------------


def feeds(m: Driver) -> list[bool]:
    return [command.on for command in m.log if isinstance(command, do.FeedWaitQueue)]


def test_decisions_that_come_soon_hand_back_no_copy() -> None:
    m = Driver()
    m.hold("i0", id_="d0")
    for number in range(1, 4):
        m.arrive(f"i{number}")
        m.tell(facts.Parked(f"m-i{number}"))
    assert feeds(m) == [True, False], "nothing of it was held when the system became blocked"
    m.skip("d0")
    m.arrive("i3", wait=True)
    for number in range(1, 3):
        m.impact(P1)
        m.origins(id_=f"d{number}")
        m.skip(f"d{number}")
    assert feeds(m) == [True, False, True]


def test_before_the_broker_would_take_them_back_they_are_handed_back() -> None:
    m = Driver(hold_copies=600.0)
    m.hold("i0", id_="d0")
    m.arrive("i1")
    m.arrive("i2")
    m.tell(facts.Parked("m-i2"))
    m.skip("d0")
    m.arrive("i2", wait=True)
    m.impact(P1)
    m.origins(id_="d1")
    wake = m.only(do.WakeAt)
    assert wake.at == m.now + 600.0
    m.now = wake.at
    m.tell(facts.Woken(wake.topic, wake.key))
    assert feeds(m)[-1] is False
    m.skip("d1")
    assert feeds(m)[-1] is True
