"""Flow 1: a message that was moved back from the error queue, while others of its event are still about."""

import pytest

from maestro.rules import commands as do
from maestro.rules import facts
from tests.unit.rules.driver import Driver


@pytest.fixture
def m() -> Driver:
    """The event i1 failed, and ingress died before it settled it: it is delivered again, and redriven as well."""
    driver = Driver()
    driver.tell(facts.IngressAttached())
    driver.tell(facts.WaitQueueDrained())
    driver.arrive("i1")
    driver.judging_fails()
    driver.tell(facts.IngressAttached())
    driver.tell(facts.WaitQueueDrained())
    driver.arrive("i1", redelivered=True)
    return driver


def test_a_redelivery_that_a_redrive_overtakes_is_acked_with_it(m: Driver) -> None:
    m.arrive("i1", redriven=True)
    m.impact()
    assert m.committed() == [do.AckDelivery(m.ref() - 1), do.AckDelivery(m.ref())]


def test_a_redelivery_that_a_redrive_overtakes_is_parked_with_it(m: Driver) -> None:
    m.hold("i2")
    redelivered = m.ref() - 1
    m.arrive("i1", redriven=True)
    assert m.commands == [do.ParkEvent("m-i1", (redelivered, m.ref()))]


def test_a_redelivery_that_a_redrive_overtakes_goes_to_the_error_queue_with_it(m: Driver) -> None:
    m.arrive("i1", redriven=True)
    m.judging_fails()
    assert m.only(do.DeadLetterEvent).refs == (m.ref() - 1, m.ref())


@pytest.fixture
def drained() -> Driver:
    """The event i1 waited for an aborted reprocessing, and failed; its copy is on the wait queue yet."""
    driver = Driver()
    driver.tell(facts.IngressAttached())
    driver.tell(facts.WaitQueueDrained())
    driver.hold("i0")
    driver.arrive("i1")
    driver.tell(facts.Parked("m-i1"))
    driver.approve()
    driver.start()
    driver.held_commit_fails()
    driver.queues_updated()
    driver.notified()
    driver.judging_fails()
    driver.tell(facts.DeadLettered("m-i1", 2))
    return driver


def test_the_wait_queue_is_fed_until_the_copy_of_a_redriven_event_has_left_it(drained: Driver) -> None:
    drained.arrive("i1", redriven=True)
    assert drained.system.feeding
    drained.impact()
    drained.committed()
    assert drained.system.feeding
    drained.tell(facts.WaitQueueDrained())
    assert not drained.system.feeding


def test_what_is_put_off_with_a_copy_on_the_wait_queue_is_settled_all_the_same(drained: Driver) -> None:
    drained.arrive("i1", redriven=True)
    drained.arrive("i1", wait=True)
    drained.retry()
    assert drained.only(do.ParkEvent).refs == (drained.ref() - 1, drained.ref())


def test_what_was_not_judged_before_a_crash_is_judged_when_it_is_delivered_again(drained: Driver) -> None:
    drained.arrive("i2")
    drained.arrive("i1", redriven=True)  # behind i2
    drained.arrive("i1", wait=True)
    drained.restart()
    drained.arrive("i1", redelivered=True, redriven=True)
    assert drained.only(do.AskImpact).instance_id == "i1"
