"""Decisions that cover their tag: what they are taken for, and what waits for a person instead."""

from typing import Any

import pytest

from maestro.messages.answers import Code
from maestro.messages.decisions import Budget, Covers
from maestro.rules import commands as do
from maestro.rules import facts
from maestro.rules.document import Document
from maestro.rules.status import Status
from tests.support.rules import Rules

TAG = Covers()
EVENT = "sysA.persist.request"


def held(it: Rules, instance: str, *units: str, tag: str = "t1", name: str = EVENT) -> Document:
    return it.hold(instance, *units, tag=tag, name=name)


def approved_with_cover(it: Rules, **fields: Any) -> Document:
    doc = held(it, "i1", "p1", "p2")
    reply = it.ask(facts.Approved, doc.id, reason="both branches", covers=TAG, **fields)
    assert reply is not None
    assert reply.code is Code.OK
    return doc


def ended(it: Rules, doc: Document) -> None:
    """End a run at once."""
    it.start(doc)
    it.replay(doc)
    it.replay(doc)
    it.tell(facts.QueuesUpdated(doc.id, it.take(do.CleanUpQueues).token, ""))
    it.tell(facts.QueuesUpdated(doc.id, it.take(do.Dequeue).token, ""))
    it.tell(facts.Notified(doc.id, it.take(do.Notify).token))
    assert doc.status is Status.FINISHED


def checked(it: Rules, problem: str = "") -> do.CheckDeciders:
    command = it.take(do.CheckDeciders)
    it.tell(facts.DecidersChecked(command.id, command.token, problem))
    return command


def test_the_next_one_of_the_tag_is_approved_likewise() -> None:
    it = Rules()
    first = approved_with_cover(it, budget=Budget(5))
    assert first.history[-1].cause.startswith("it covers tag t1 until 1970-01-01T00:26:4")
    assert first.history[-1].cause.endswith(", up to 2 units each")
    ended(it, first)
    second = held(it, "i2", "p3")
    assert second.status is Status.PENDING
    (decider,) = checked(it).deciders
    assert (decider.user, decider.via) == ("ana", "open")
    approval = next(entry for entry in second.history if entry.status is Status.APPROVED)
    assert (approval.user, approval.reason) == ("ana", "both branches")
    assert approval.cause.startswith("covered by the decision about doc-i1; preview ")
    assert approval.cause.endswith(", 1 units")
    assert second.budget == Budget(5)


def test_a_skip_covers_too() -> None:
    it = Rules()
    first = held(it, "i1", "p1")
    it.ask(facts.Skipped, first.id, reason="wrong", covers=TAG)
    second = held(it, "i2", "p1")
    checked(it)
    assert second.status is Status.SKIPPED
    assert (second.history[-1].user, second.history[-1].reason) == ("ana", "wrong")
    assert "covered by the decision about doc-i1" in second.history[-1].cause


def test_a_restart_forgets_neither_the_cover_nor_the_question() -> None:
    it = Rules()
    first = held(it, "i1", "p1")
    it.ask(facts.Skipped, first.id, covers=Covers("token", 5000.0, 3))
    it = it.restart()
    second = held(it, "i2", "p1", "p2", "p3")
    it = it.restart()
    command = checked(it)
    assert command.deciders == (do.Decider("ana", "", "token", 5000.0),)
    assert it.system.documents[second.id].status is Status.SKIPPED


@pytest.mark.parametrize(
    "other",
    [
        {"tag": "t2"},
        {"tag": ""},
        {"name": "sysA.other.request"},
    ],
)
def test_another_tag_or_event_name_is_not_covered(other: dict[str, str]) -> None:
    it = Rules()
    it.ask(facts.Skipped, held(it, "i1", "p1").id, covers=TAG)
    assert held(it, "i2", "p1", **other).status is Status.PENDING
    assert not it.has(do.CheckDeciders)


def test_a_larger_one_is_not_covered_unless_the_limit_says_so() -> None:
    it = Rules()
    it.ask(facts.Skipped, held(it, "i1", "p1").id, covers=TAG)
    second = held(it, "i2", "p1", "p2")
    assert not it.has(do.CheckDeciders)
    it.ask(facts.Skipped, second.id, covers=Covers(limit=3))
    held(it, "i3", "p1", "p2", "p3")
    checked(it)
    assert held(it, "i4", "p1", "p2", "p3", "p4").status is Status.PENDING
    assert not it.has(do.CheckDeciders)


def test_after_the_window_nothing_is_covered() -> None:
    it = Rules(tag_window=60.0)
    it.ask(facts.Skipped, held(it, "i1", "p1").id, covers=TAG)
    it.now += 55
    assert held(it, "i2", "p1").status is Status.PENDING
    assert checked(it).id == "doc-i2"
    it.now += 1
    held(it, "i3", "p1")
    assert not it.has(do.CheckDeciders)


def test_one_that_grew_meanwhile_waits() -> None:
    it = Rules()
    it.ask(facts.Skipped, held(it, "i1", "p1").id, covers=TAG)
    second = held(it, "i2", "p1")
    second.total = 2
    checked(it)
    assert second.status is Status.PENDING


def test_who_may_no_longer_decides_nothing() -> None:
    it = Rules()
    it.ask(facts.Skipped, held(it, "i1", "p1").id, covers=TAG)
    second = held(it, "i2", "p1")
    checked(it, "ana: the token is not known")
    assert second.status is Status.PENDING
    assert it.ask(facts.Skipped, second.id).code is Code.OK  # type: ignore[union-attr]


def test_a_decision_that_comes_first_counts() -> None:
    it = Rules()
    it.ask(facts.Skipped, held(it, "i1", "p1").id, covers=TAG)
    second = held(it, "i2", "p1")
    it.ask(facts.Approved, second.id)
    checked(it)
    assert Status.SKIPPED not in {entry.status for entry in second.history}


def test_the_latest_cover_of_a_tag_counts() -> None:
    it = Rules()
    it.ask(facts.Skipped, held(it, "i1", "p1").id, covers=TAG)
    second = held(it, "i2", "p1")
    it.ask(facts.Approved, second.id, covers=TAG)
    assert [cover.document_id for cover in it.system.covers.values()] == ["doc-i2"]
    assert [key for key, _ in it.store.rows("covers")] == ["doc-i2"]


@pytest.mark.parametrize("kind", [facts.Approved, facts.Skipped])
def test_without_a_tag_there_is_nothing_to_cover(kind: type) -> None:
    it = Rules()
    doc = held(it, "i1", "p1", tag="")
    it.refused(kind, doc.id, Code.CONFLICT, "covers", "no tag", covers=TAG)
    assert doc.status is Status.PENDING


def test_a_skipped_event_that_is_reconsidered_is_decided_by_a_person() -> None:
    it = Rules()
    first = held(it, "i1", "p1")
    it.ask(facts.Skipped, first.id, covers=TAG)
    it.ask(facts.ReconsiderAsked, first.id)
    it.impact("i1", "p1", tag="t1", name=EVENT)
    assert not it.has(do.CheckDeciders)
    assert list(it.store.rows("covers")) == []


def test_cancelling_the_run_withdraws_the_cover() -> None:
    it = Rules()
    first = approved_with_cover(it)
    it.ask(facts.Cancelled, first.id)
    assert it.system.covers == {}


class TestTwoApprovers:
    def approve(self, it: Rules, doc: Document, user: str, covers: Covers | None) -> Code:
        ticket = it.ticket()
        it.tell(facts.Approved(doc.id, user, ticket, f"says {user}", covers=covers))
        return it.replies[ticket].code

    def test_both_must_cover(self) -> None:
        it = Rules(two_approvers=True)
        first = held(it, "i1", "p1", "p2")
        assert self.approve(it, first, "ana", Covers(limit=2)) is Code.ACCEPTED
        it = it.restart()
        first = it.system.documents[first.id]
        assert self.approve(it, first, "ben", Covers(limit=9)) is Code.OK
        ended(it, first)
        second = held(it, "i2", "p1", "p2")
        assert [one.user for one in checked(it).deciders] == ["ana", "ben"]
        approval = next(entry for entry in second.history if entry.status is Status.APPROVED)
        assert (approval.user, approval.reason) == ("ben", "says ben")
        assert second.first_approval is not None
        assert second.first_approval.user == "ana"

    def test_one_alone_covers_nothing(self) -> None:
        it = Rules(two_approvers=True)
        first = held(it, "i1", "p1", "p2")
        self.approve(it, first, "ana", None)
        self.approve(it, first, "ben", TAG)
        assert "it covers nothing else: ana approved this one alone" in [entry.cause for entry in first.history]
        ended(it, first)
        held(it, "i2", "p1")
        assert not it.has(do.CheckDeciders)


def test_a_restart_after_the_covers_time_decides_nothing() -> None:
    it = Rules()
    ended(it, approved_with_cover(it))
    second = held(it, "i2", "p3")
    checked(it, "token revoked")
    assert second.status is Status.PENDING
    it.now += it.system.rules.tag_window
    it = it.restart()
    assert not it.has(do.CheckDeciders)


def test_who_ends_the_run_by_hand_withdraws_the_cover() -> None:
    it = Rules()
    first = approved_with_cover(it)
    it.ask(facts.StatusSet, first.id, status="failure")
    it.take(do.Notify)  # of the start
    it.tell(facts.QueuesUpdated(first.id, it.take(do.Dequeue).token, ""))
    it.tell(facts.Notified(first.id, it.take(do.Notify).token))
    held(it, "i2", "p3")
    assert not it.has(do.CheckDeciders)
