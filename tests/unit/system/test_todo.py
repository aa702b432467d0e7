"""What waits for a person in a system, and what the history lists."""

import time
from dataclasses import replace

import orjson
import pytest

from maestro.messages.answers import Code
from maestro.messages.questions import ListRecords
from maestro.messages.todo import TodoItem, Waits
from maestro.rules import commands as do
from maestro.rules import facts
from maestro.rules.policies import Effect, Policy
from maestro.rules.stalls import Stall
from maestro.system.metrics import _age
from maestro.system.records import records
from maestro.system.todo import Todo
from tests.support.rules import Rules


@pytest.fixture
def it() -> Rules:
    return Rules()


def listed(it: Rules) -> list[TodoItem]:
    return list(Todo(it.system, it.repository).items())


def running(it: Rules, *units: str) -> str:
    doc = it.hold("i1", *units)
    it.ask(facts.Approved, doc.id)
    it.start(doc)
    return doc.id


def test_nothing_waits(it: Rules) -> None:
    assert listed(it) == []
    it.arrive("i1")
    assert listed(it) == []


def test_a_held_commit_waits_with_what_waits_behind_it(it: Rules) -> None:
    doc = it.hold("i1", "p1", "p2")
    doc.origin = orjson.dumps(
        {"name": "rectify.quote.request", "payload": {"currency": "USD", "rate": 1.5, "ok": True}}
    )
    it.arrive("i2")
    (item,) = listed(it)
    assert (item.kind, item.reprocessing, item.units, item.waiting, item.locked) == (Waits.PENDING, doc.id, 2, 1, False)
    assert (item.event, item.about) == ("rectify quote", "USD · 1.5 · true")
    assert item.says == "approve or skip: commit, and replay 2"
    assert item.since.endswith("Z")
    doc.origin = b'{"name":"rectify.quote.request","payload":{"note":"half an emoji: \\ud83d"}}'
    (item,) = listed(it)
    assert item.about == "half an emoji: ?"
    assert Todo(it.system, it.repository).answer(None).code is Code.OK


@pytest.mark.parametrize(
    ("effects", "says"),
    [
        ((Effect.TWO_APPROVERS,), "approve or skip: commit, and replay 1; two people must"),
        ((Effect.REFUSE_SKIP,), "approve: commit, and replay 1"),
    ],
)
def test_what_the_policies_leave_to_decide(effects: tuple[Effect, ...], says: str) -> None:
    it = Rules(policies=(Policy("p", effects),))
    it.hold("i1", "p1")
    assert listed(it)[0].says == says


def test_a_run_paused_by_its_budget_keeps_its_lock_and_says_so(it: Rules) -> None:
    id_ = running(it, "p1", "p2", "p3")
    it.ask(facts.PauseAsked, id_)
    it.replay(it.system.documents[id_])
    (item,) = listed(it)
    assert (item.kind, item.locked, item.left) == (Waits.PAUSED, True, 2)
    assert item.says == "paused after 1 of at least 3 replays: resume or cancel it"


def test_what_cannot_be_replayed_is_said_in_the_words_of_the_pause(it: Rules) -> None:
    """Else a list says it twice: once as what it wants, once as its cause."""
    id_ = running(it, "p1")
    doc = it.system.documents[id_]
    it.tell(facts.UnitRefused(id_, doc.token, "p1 has no subscribers"))
    (item,) = listed(it)
    assert (item.kind, item.says) == (Waits.UNREPLAYABLE, item.cause)
    assert item.says == "1 unit cannot be replayed: leave it out, or resume to try it again"


def test_what_was_cancelled_with_work_left_waits_until_it_is_left_out(it: Rules) -> None:
    doc = it.hold("i1", "p1")
    it.ask(facts.Approved, doc.id)
    it.ask(facts.Cancelled, doc.id)
    (item,) = listed(it)
    assert (item.kind, item.left) == (Waits.CANCELLED, 1)
    assert "nothing committed, 1 not replayed" in item.says


def test_a_skipped_one_waits_for_nobody(it: Rules) -> None:
    it.ask(facts.Skipped, it.hold("i1", "p1").id)
    assert listed(it) == []


def test_a_stalled_system_waits_and_what_holds_most_comes_first(it: Rules) -> None:
    it.hold("i1", "p1")
    it.system.stalls["judging"] = Stall("discovery", "no connection", 990.0)
    it.arrive("i2")
    body = orjson.loads(Todo(it.system, it.repository).answer({"persist.sysA.queue.error": 4}).body)
    assert [item["kind"] for item in body["items"]] == ["stalled", "pending"]
    assert body["items"][0]["sibling"] == "discovery"
    assert (body["total"], body["counts"], body["errors"]) == (2, {"stalled": 1, "pending": 1}, 4)
    assert orjson.loads(Todo(it.system, it.repository).answer(None).body)["errors"] is None


def found(it: Rules, **asked: object) -> list[str]:
    answer = records(it.system, ListRecords(**asked))
    assert answer.code is Code.OK, answer
    return [record["id"] for record in orjson.loads(answer.body)]


def test_the_history_is_filtered_and_paged_newest_first(it: Rules) -> None:
    for number in range(5):
        doc = it.hold(f"i{number}", "p1")
        it.ask(facts.Skipped, doc.id, reason="too late" if number == 2 else "no need")
    whole = [f"doc-i{number}" for number in (4, 3, 2, 1, 0)]
    assert found(it) == whole
    assert found(it, limit=2) == whole[:3], "one more tells that there is more"
    cursor = orjson.loads(records(it.system, ListRecords(limit=2)).body)[1]["cursor"]
    assert found(it, before=cursor) == whole[2:]
    assert found(it, text="TOO LATE") == ["doc-i2"]
    assert found(it, user="an") == whole
    assert found(it, user="ben") == []
    assert found(it, status="skipped", text="i3") == ["doc-i3"]
    at = it.system.documents["doc-i3"].history[0].at
    assert found(it, since=at) == whole[:2]
    assert found(it, until=at) == whole[2:]
    assert records(it.system, ListRecords(before="x")).code is Code.INVALID
    assert records(it.system, ListRecords(status="x")).code is Code.INVALID


def test_a_record_says_who_decided_what_and_why(it: Rules) -> None:
    doc = it.hold("i1", "p1")
    assert orjson.loads(records(it.system, ListRecords()).body)[0]["decision"] is None
    it.ask(facts.Approved, doc.id, reason="the quote was mistyped")
    it.take(do.Notify)
    (record,) = orjson.loads(records(it.system, ListRecords()).body)
    decision = record["decision"]
    assert (decision["status"], decision["user"], decision["reason"]) == ("approved", "ana", "the quote was mistyped")
    assert decision["at"].endswith("Z")


def test_what_was_noted_after_a_decision_decides_nothing(it: Rules) -> None:
    doc = it.hold("i1", "p1")
    it.ask(facts.Skipped, doc.id, reason="wrong source")
    skipped_at = doc.since
    it.tell(facts.ReconsiderAsked(id=doc.id, user="bob", reason="was right", ticket=it.ticket()))
    (record,) = orjson.loads(records(it.system, ListRecords()).body)
    decision = record["decision"]
    assert (decision["status"], decision["user"], decision["reason"]) == ("skipped", "ana", "wrong source")
    assert decision["at"] < record["changed"], "the note is the last change"
    assert doc.taken.user == "ana"
    assert doc.since == skipped_at
    it.refused(facts.Approved, doc.id, Code.CONFLICT, "is skipped (by ana at ")


def test_why_it_failed_is_told_after_a_unit_was_left_out(it: Rules) -> None:
    doc = it.hold("i1", "p1", "p2")
    it.ask(facts.Approved, doc.id)
    it.ask(facts.Cancelled, doc.id, reason="stuck")
    doc.history[-1] = replace(doc.history[-1], cause="the queue is gone")
    stored = tuple(it.repository.units(doc.id))
    it.ask(facts.LeaveOutAsked, doc.id, units=(("p2", "master"),), stored=stored, reason="gone")
    assert doc.history[-1].cause == "left out 1 unit"
    assert orjson.loads(records(it.system, ListRecords()).body)[0]["cause"] == "the queue is gone"
    assert listed(it)[0].cause == "the queue is gone"


def test_other_policies_after_a_restart_do_not_make_a_decision_younger(it: Rules) -> None:
    doc = it.hold("i1", "p1")
    doc.note(it.now + 5000, "maestro", "by the policies as they are now: two people", "")
    assert _age(doc) == pytest.approx(time.time() - doc.history[0].at, abs=5)
