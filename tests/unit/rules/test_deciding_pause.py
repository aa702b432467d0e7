import orjson
import pytest

from maestro.messages.answers import Code
from maestro.messages.decisions import Budget
from maestro.rules import commands as do
from maestro.rules import facts
from maestro.rules.document import Document
from maestro.rules.rendering import document_json
from maestro.rules.status import Status
from maestro.system import views
from tests.support.rules import Rules


def running(it: Rules, *units: str, **fields: object) -> Document:
    doc = it.hold("i1", *units)
    it.ask(facts.Approved, doc.id, **fields)
    it.start(doc)
    return doc


def test_a_pause_lets_the_current_replay_end_and_keeps_the_lock() -> None:
    it = Rules()
    doc = running(it, "p1", "p2")
    since = it.system.lock().since
    it.ask(facts.PauseAsked, doc.id, reason="lunch")
    assert doc.status is Status.RUNNING
    it.refused(facts.PauseAsked, doc.id, Code.CONFLICT, "being paused by ana")
    it.replay(doc)
    assert (doc.status, it.has(do.SendReplay)) == (Status.PAUSED, False)
    lock = it.system.lock()
    assert (lock.paused, lock.since, lock.owner, lock.outstanding) == (True, since, "ana", 1)
    assert (it.system.blocked, views.state(it.system)) == (True, "paused")
    assert (doc.history[-1].user, doc.history[-1].reason) == ("ana", "lunch")


def test_a_pause_survives_a_restart_and_goes_on_where_it_was() -> None:
    it = Rules()
    doc = running(it, "p1", "p2")
    it.ask(facts.PauseAsked, doc.id)
    it.replay(doc)
    it = it.restart()
    doc = it.system.documents[doc.id]
    assert (doc.status, it.system.lock().paused) == (Status.PAUSED, True)
    assert not it.has(do.FillQueues)
    it.ask(facts.ResumeAsked, doc.id, reason="go on")
    assert (doc.status, doc.history[-1].reason) == (Status.RUNNING, "go on")
    it.fill(doc)
    assert it.replay(doc) == "p2"
    it.finish(doc)
    assert (doc.status, it.system.lock()) == (Status.FINISHED, None)


def test_a_budget_of_replays_counts_cascades_and_is_renewed() -> None:
    it = Rules()
    doc = running(it, "p1", budget=Budget(replays=2))
    it.replay(doc, "p2", "p3", "p4")
    it = it.restart()
    doc = it.system.documents[doc.id]
    it.fill(doc)
    assert it.replay(doc) == "p2"
    assert (doc.status, doc.history[-1].cause) == (Status.PAUSED, "budget of 2 replays used")
    assert doc.history[-1].user == "maestro"
    assert orjson.loads(document_json(doc, doc.order))["budget"] == {"replays": 2, "minutes": None, "replayed": 2}
    it.ask(facts.ResumeAsked, doc.id, budget=Budget(replays=1))
    it.fill(doc)
    it.replay(doc)
    assert doc.status is Status.PAUSED
    it.ask(facts.ResumeAsked, doc.id)
    it.fill(doc)
    assert orjson.loads(document_json(doc, doc.order))["budget"] is None
    it.replay(doc)
    it.finish(doc)
    assert doc.status is Status.FINISHED


def test_a_budget_of_minutes_counts_from_the_start_of_the_run() -> None:
    it = Rules()
    doc = it.hold("i1", "p1", "p2", "p3")
    it.ask(facts.Approved, doc.id, budget=Budget(minutes=1.5))
    it.now += 1000
    it.start(doc)
    it.replay(doc)
    assert doc.status is Status.RUNNING
    it.replay(doc, seconds=80)
    assert (doc.status, doc.history[-1].cause) == (Status.PAUSED, "budget of 1.5 minutes used")


def test_a_budget_of_minutes_does_not_count_while_a_resumed_fork_waits_for_another_run() -> None:
    it = Rules()
    fork = it.hold("i1", "p1", "p2", "p3", "p4", is_fork=True)
    it.start(fork)
    it.ask(facts.PauseAsked, fork.id)
    it.replay(fork)
    locked = it.hold("i2", "p9")
    it.ask(facts.Approved, locked.id)
    it.start(locked)
    it.ask(facts.ResumeAsked, fork.id, budget=Budget(minutes=1))
    it.replay(locked, seconds=600)
    it.finish(locked)
    it.fill(fork)
    it.replay(fork)
    assert fork.status is Status.RUNNING_WITHOUT_LOCK
    it.replay(fork, seconds=61)
    assert (fork.status, fork.history[-1].cause) == (Status.PAUSED, "budget of 1 minute used")


def test_nothing_left_to_replay_is_no_pause() -> None:
    it = Rules()
    doc = running(it, "p1", budget=Budget(replays=1))
    it.replay(doc)
    it.finish(doc)
    assert doc.status is Status.FINISHED


def test_a_paused_run_is_cancelled_also_after_a_restart() -> None:
    it = Rules()
    doc = running(it, "p1", "p2", budget=Budget(replays=1))
    it.replay(doc)
    it = it.restart()
    doc = it.system.documents[doc.id]
    it.ask(facts.Cancelled, doc.id, reason="enough")
    it.finish(doc)
    assert (doc.status, doc.history[-1].reason, it.system.lock()) == (Status.CANCELLED, "enough", None)


@pytest.mark.parametrize(("to", "status"), [("failure", Status.FAILURE), ("finished", Status.FINISHED)])
def test_a_paused_run_is_overridden(to: str, status: Status) -> None:
    it = Rules()
    doc = running(it, "p1", "p2", budget=Budget(replays=1))
    it.replay(doc)
    it.ask(facts.StatusSet, doc.id, status=to)
    it = it.restart()
    doc = it.system.documents[doc.id]
    it.finish(doc)
    assert doc.status is status


def test_a_cancel_wins_over_a_pause() -> None:
    it = Rules()
    doc = running(it, "p1", "p2")
    it.ask(facts.PauseAsked, doc.id)
    it.ask(facts.Cancelled, doc.id)
    it.replay(doc)
    it.finish(doc)
    assert (doc.status, doc.pausing) == (Status.CANCELLED, "")


def test_a_fork_pauses_without_lock() -> None:
    it = Rules()
    doc = it.hold("i1", "p1", "p2", is_fork=True)
    it.start(doc)
    it.ask(facts.PauseAsked, doc.id)
    it.replay(doc)
    assert (doc.status, it.system.lock(), it.system.blocked) == (Status.PAUSED, None, False)
    it.ask(facts.ResumeAsked, doc.id)
    assert doc.status is Status.RUNNING_WITHOUT_LOCK


def test_events_wait_while_a_run_is_paused() -> None:
    it = Rules()
    doc = running(it, "p1", "p2", budget=Budget(replays=1))
    it.replay(doc)
    it.arrive("late")
    assert not it.has(do.AskImpact)
    assert len(it.system.waiting) == 1


def test_what_does_not_run_is_not_paused_and_what_is_not_paused_not_resumed() -> None:
    it = Rules()
    doc = it.hold("i1", "p1")
    for kind in (facts.PauseAsked, facts.ResumeAsked):
        it.refused(kind, doc.id, Code.CONFLICT, "pending_approval")
    it.ask(facts.Approved, doc.id)
    it.refused(facts.PauseAsked, doc.id, Code.CONFLICT, "approved")
    it.refused(facts.PauseAsked, "other", Code.NOT_FOUND)
