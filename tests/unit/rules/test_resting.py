"""What keeps a system awake, and that a start of a system at rest finds nothing to do."""

from collections.abc import Callable

import pytest

from maestro.rules import commands as do
from maestro.rules import facts
from maestro.rules.delivery import Delivery, Sight
from maestro.rules.doubt import Doubt, Use
from maestro.rules.ledger_book import Owed
from maestro.rules.resting import keeps_awake
from maestro.rules.stalls import Stall, Trouble
from maestro.rules.state import CommitUnderWay, OutboxKind, OutboxMessage, System
from maestro.rules.visibility import TEXT_COMES_WITHIN
from maestro.rules.visible import Look
from tests.unit.rules.driver import P1, Driver


def attached(**rules: float | bool) -> Driver:
    driver = Driver(**rules)
    driver.tell(facts.IngressAttached())
    driver.tell(facts.WaitQueueDrained())
    return driver


@pytest.fixture
def m() -> Driver:
    return attached()


def why(m: Driver) -> str:
    return keeps_awake(m.system, m.now)


def delivered(m: Driver) -> None:
    for number in list(m.system.outbox):
        m.tell(facts.OutboxMessageBegun(number))
        m.tell(facts.OutboxMessageDone(number))


def test_a_system_that_has_done_everything_is_at_rest(m: Driver) -> None:
    assert why(m) == ""
    m.commit("i1")
    assert why(m) == ""


def test_a_start_stays_awake_until_it_knows_the_wait_queue() -> None:
    m = Driver()
    assert why(m)
    m.tell(facts.IngressAttached())
    assert why(m)
    m.tell(facts.WaitQueueDrained())
    assert why(m) == ""


def test_an_event_keeps_it_awake_from_its_arrival_to_its_end(m: Driver) -> None:
    m.arrive("i1")
    assert why(m) == "an event is in hand"
    m.impact()
    assert why(m) == "an event is in hand"
    m.committed()
    assert why(m) == ""


def test_a_reprocessing_keeps_it_awake_until_its_end_is_told(m: Driver) -> None:
    m.hold("i1", P1)
    assert why(m) == "a reprocessing is not ended"
    m.skip()
    assert why(m) == "the outbox is not empty"
    delivered(m)
    assert why(m) == ""


def test_what_a_commit_owes_keeps_it_awake() -> None:
    m = attached(ensure_finished=True)
    m.commit("i1")
    assert why(m) == "a commit is not known to be visible"
    look = m.last(do.Look)
    m.tell(facts.Looked(look.key, look.token, "finished", 0))
    assert why(m) == ""


def test_an_outage_keeps_it_awake(m: Driver) -> None:
    m.arrive("i1")
    m.tell(facts.JudgingFailed(m.system.judging_token, "answered 400", "discovery"))
    assert why(m)


def _delivery(system: System) -> Delivery:
    delivery = Delivery("k", 1, "i", "n", "master", "t", 0.0, done=True)
    system.deliveries["k"] = delivery
    return delivery


AWAKE: dict[str, Callable[[System], object]] = {
    "outbox": lambda s: s.outbox.update({1: OutboxMessage(1, OutboxKind.STATUS, "i", "text")}),
    "text under way": lambda s: s.texts_under_way.update({1: _delivery(s)}),
    "late text": lambda s: s.late_texts.update({"i": 1000.0}),
    "look": lambda s: s.looks.update({"k": Look("k", "i", _delivery(s), 0.0)}),
    "question": lambda s: s.questions.update({"k": Look("k", "i", _delivery(s), 0.0)}),
    "commit under way": lambda s: s.commits_under_way.update({1: CommitUnderWay("i", "event", 0.0)}),
    "open doubt": lambda s: s.doubts.update({"k": Doubt("k", Use.EVENT, "i", "k", "", 0.0, "lost")}),
    "stall": lambda s: s.stalls.update({"judging": Stall("domain", "no answer", 0.0)}),
    "trouble": lambda s: s.troubles.update({"judging": Trouble("domain", "no answer", {"domain": 0.0})}),
    "ledger owed": lambda s: s.ledger.owed.update({1: Owed(1, "i", ("i", "master"), forking=False, reads=True)}),
    "ledger fetching": lambda s: setattr(s.ledger, "fetching", -1),
    "ledger to ask": lambda s: s.ledger.to_ask.update({("i", "master"): None}),
    "stale gathering": lambda s: setattr(s.ledger, "late_due", 5.0),
    "parked copy": lambda s: setattr(s, "parked", 1),
    "unsettled": lambda s: setattr(_delivery(s), "refs", [1]),
    "not done": lambda s: setattr(_delivery(s), "done", False),
    "caller": lambda s: setattr(_delivery(s), "tickets", [1]),
    "owed sight": lambda s: setattr(_delivery(s), "sight", Sight.QUESTION),
}


@pytest.mark.parametrize("what", AWAKE)
def test_each_of_these_alone_keeps_it_awake(m: Driver, what: str) -> None:
    AWAKE[what](m.system)
    assert keeps_awake(m.system, 1001.0)


def test_a_status_text_that_can_come_no_more_does_not(m: Driver) -> None:
    m.system.late_texts["i"] = m.now
    assert keeps_awake(m.system, m.now + TEXT_COMES_WITHIN - 1)
    assert keeps_awake(m.system, m.now + TEXT_COMES_WITHIN) == ""


def test_at_rest_is_who_has_nothing_to_do_at_a_start(m: Driver) -> None:
    m.commit("i1")
    m.hold("i2", P1)
    m.skip()
    delivered(m)
    assert why(m) == ""
    ordered = m.restart()
    assert {type(one) for one in ordered} == {do.FeedWaitQueue}, "the wait queue is looked at, as at every start"
    m.tell(facts.WaitQueueDrained())
    assert why(m) == ""
    assert m.system.lock() is None
