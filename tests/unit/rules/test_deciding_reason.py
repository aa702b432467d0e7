import orjson
import pytest

from maestro.messages.answers import Code
from maestro.rules import facts
from maestro.rules.rendering import document_json
from tests.support.rules import Rules


def history(it: Rules, id_: str) -> list[dict[str, str]]:
    doc = it.system.documents[id_]
    shown = orjson.loads(document_json(doc, doc.order))["history"]
    return [{key: entry[key] for key in ("status", "user", "reason", "cause") if key in entry} for entry in shown]


def test_the_reason_of_each_decision_is_in_the_history() -> None:
    it = Rules()
    doc = it.hold("i1", "p1")
    it.ask(facts.Approved, doc.id, reason="the quote was wrong")
    it.ask(facts.Cancelled, doc.id, reason="not today")
    it.ask(facts.Retried, doc.id, reason="now", units=it.repository.units(doc.id))
    assert history(it, doc.id) == [
        {"status": "pending_approval", "user": "maestro"},
        {"status": "approved", "user": "ana", "reason": "the quote was wrong"},
        {"status": "cancelled", "user": "ana", "reason": "not today"},
        {"status": "approved", "user": "ana", "reason": "now"},
    ]


def test_a_run_that_is_cancelled_keeps_the_reason_until_it_ends() -> None:
    it = Rules()
    doc = it.hold("i1", "p1", "p2")
    it.ask(facts.Approved, doc.id)
    it.start(doc)
    it.ask(facts.Cancelled, doc.id, reason="too slow")
    it = it.restart()
    doc = it.system.documents[doc.id]
    it.fill(doc)
    it.replay(doc)
    it.finish(doc)
    assert history(it.restart(), doc.id)[-1] == {"status": "cancelled", "user": "ana", "reason": "too slow"}


def test_skip_and_override_take_a_reason() -> None:
    it = Rules()
    first = it.hold("i1", "p1")
    it.ask(facts.Skipped, first.id, reason="a duplicate")
    second = it.hold("i2", "p1")
    it.ask(facts.StatusSet, second.id, status="skipped", reason="by phone")
    assert history(it, first.id)[-1] == {"status": "skipped", "user": "ana", "reason": "a duplicate"}
    assert history(it, second.id)[-1]["reason"] == "by phone"


@pytest.mark.parametrize("kind", [facts.Approved, facts.Skipped, facts.Cancelled, facts.PauseAsked, facts.ResumeAsked])
def test_a_required_reason_is_missed(kind: type) -> None:
    it = Rules(require_reason=True)
    doc = it.hold("i1", "p1")
    it.refused(kind, doc.id, Code.INVALID, "reason: is missing")
    assert len(doc.history) == 1


def test_no_rule_needs_a_reason() -> None:
    it = Rules(require_reason=True, auto_approve=True)
    assert it.hold("i1", "p1").status == "approved"
