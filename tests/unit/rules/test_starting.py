"""The start of a run: what the held commit impacts by now is asked once more, under the lock."""

import orjson
import pytest

from maestro.rules import commands as do
from maestro.rules import facts
from maestro.rules.commands import Needs
from maestro.rules.document import START, Stage
from maestro.rules.impact import Impacted
from maestro.rules.rendering import document_json
from maestro.rules.status import Status
from tests.unit.rules.driver import P1, P2, P3, Driver


@pytest.fixture
def m() -> Driver:
    driver = Driver()
    driver.hold()
    return driver


def started(m: Driver) -> None:
    m.approve()
    m.notified()


def test_discovery_is_asked_under_the_lock_before_the_queues_are_filled(m: Driver) -> None:
    started(m)
    assert m.system.lock() is not None
    assert m.only(do.AskStartImpact).instance_id == "i1"
    assert do.AskStartImpact.needs is Needs.SYNCED
    assert not m.asked(do.FillQueues)
    m.start_impact(P1, P2)
    assert m.asked(do.FillQueues)
    m.queues_updated()
    assert m.asked(do.CommitHeld)


def test_what_it_names_and_the_document_has_not_is_added_by_the_start(m: Driver) -> None:
    started(m)
    own, scenario = Impacted("i1", "master"), Impacted("p4", "b1")
    m.start_impact(P2, scenario, own, P3)
    assert m.only(do.FetchReplayOrigins).units == (scenario, P3)
    m.replay_origins()
    assert [(unit.instance_id, unit.cause) for unit in m.doc.order[2:]] == [("p3", START), ("p4", START)]
    assert m.doc.history[-1].cause == "the start added 2 units that the held commit impacts by now"
    assert m.doc.history[-1].status is Status.RUNNING
    assert m.doc.cascaded == 2
    assert m.saved_units() == ["p3", "p4"]
    assert m.asked(do.FillQueues)
    shown = orjson.loads(document_json(m.doc, m.doc.order))
    assert [unit["cause"] for unit in shown["units"]] == [-1, -1, -2, -2]


def test_each_start_asks_until_the_held_commit_is_recorded(m: Driver) -> None:
    started(m)
    m.start_impact()
    m.queues_updated()
    m.held_commit_fails()
    m.end()
    m.retry()
    m.notified()
    assert m.asked(do.AskStartImpact)
    m.start_impact()
    m.queues_updated()
    m.held_committed()
    m.run_fails()
    m.end()
    m.retry()
    m.notified()
    assert m.asked(do.FillQueues)


def test_a_restart_before_the_held_commit_asks_again(m: Driver) -> None:
    started(m)
    m.start_impact(P3)
    m.replay_origins()
    m.restart()
    assert m.last(do.AskStartImpact).token == m.doc.token
    m.start_impact(P3)
    assert [unit.instance_id for unit in m.doc.order] == ["p1", "p2", "p3"]


@pytest.mark.parametrize("origins", [False, True])
def test_without_an_answer_the_run_aborts(m: Driver, origins: bool) -> None:  # noqa: FBT001 - a case
    started(m)
    if origins:
        m.start_impact(P3)
    m.run_fails()
    m.end()
    assert m.doc.status is Status.ABORTED_SPLIT
    assert m.doc.history[-1].cause == "out of reach"
    assert not m.doc.held_committed


def test_a_run_that_is_being_cancelled_does_not_ask(m: Driver) -> None:
    started(m)
    m.cancel()
    m.restart()
    assert m.doc.stage is Stage.QUEUES
    m.queues_updated()
    m.queues_updated()
    assert m.doc.status is Status.CANCELLED


def test_the_minutes_of_a_budget_count_from_the_start_all_the_same(m: Driver) -> None:
    started(m)
    began = m.doc.history[-1].at
    m.start_impact(P3)
    m.replay_origins()
    assert m.doc.since == began


def event_being_committed_beside_a_fork() -> Driver:
    m = Driver(ensure_finished=True)
    m.hold("f1", P1, fork=True)
    m.arrive("i2")
    m.impact()
    assert m.asked(do.Commit)
    m.notified()
    return m


def becomes_visible(m: Driver) -> None:
    for due in [one for one in m.commands if isinstance(one, do.WakeAt) and one.topic is do.Topic.LOOK]:
        m.tell(facts.Woken(due.topic, due.key))
    look = m.last(do.Look)
    m.tell(facts.Looked(look.key, look.token, "finished"))


def test_beside_a_commit_under_way_a_run_without_lock_does_not_ask_yet() -> None:
    m = event_being_committed_beside_a_fork()
    assert not m.asked(do.AskStartImpact), "Discovery cannot name i2 yet, and its commit comes before the held one"
    m.arrive("i3")
    m.committed()
    assert not m.asked(do.AskStartImpact)
    becomes_visible(m)
    assert m.only(do.AskStartImpact).instance_id == "f1"


def test_a_run_without_lock_that_is_to_ask_goes_before_the_next_event() -> None:
    m = event_being_committed_beside_a_fork()
    m.system.deliveries["m-i2"].harmless = True
    m.arrive("i3")
    m.delivery("i3").harmless = True
    m.committed()
    assert not m.asked(do.AskImpact), "events that wait for no look could keep it from asking for ever"
    becomes_visible(m)
    assert m.kinds()[0] == "AskStartImpact"
    assert m.only(do.AskImpact).instance_id == "i3"


def test_nor_does_it_ask_about_a_result() -> None:
    m = Driver(ensure_finished=True)
    m.hold("f1", P1, fork=True)
    m.start()
    m.held_committed()
    becomes_visible(m)
    m.sent()
    m.arrive("i2")
    m.impact()
    m.result("re1", "p1")
    assert not m.asked(do.AskReplayImpact)
    m.committed()
    becomes_visible(m)
    assert m.only(do.AskReplayImpact).instance_id == "re1"
