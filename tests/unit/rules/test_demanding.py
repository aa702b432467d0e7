"""What policies demand of decisions: as a document is held, at each decision, and after a restart with others."""

from datetime import date
from typing import Any

import orjson
import pytest

from maestro.messages.answers import Code
from maestro.messages.decisions import Budget, Covers
from maestro.rules import commands as do
from maestro.rules import facts
from maestro.rules.document import Document
from maestro.rules.impact import Impacted
from maestro.rules.ledger_book import LatePolicy
from maestro.rules.policies import Effect, Policy
from maestro.rules.status import Status
from tests.support.rules import Rules
from tests.unit.rules.test_covering import ended
from tests.unit.rules.test_late import driver, gathered, late, stale

APPROVE, ASK, TWO, REFUSE = Effect.APPROVE, Effect.ASK, Effect.TWO_APPROVERS, Effect.REFUSE_SKIP
CLOSED = Policy("closed", (TWO, REFUSE), data_before=date(2024, 2, 1), date_from=("payload.date",))
SMALL = Policy("small", (APPROVE,), units_to=2, budget=Budget(5))


def rules(*policies: Policy, **numbers: Any) -> Rules:
    return Rules(policies=policies, **numbers)


def hold(it: Rules, instance: str = "i1", *units: str, day: str = "2024-01-02", **known: Any) -> Document:
    started_by = orjson.dumps({"name": "rectify.quote.request", "payload": {"date": day}})
    return it.hold(instance, *(units or ("p1", "p2")), started_by=started_by, **known)


def restart(it: Rules, *policies: Policy, **numbers: Any) -> tuple[Rules, Document]:
    """Another life with other policies; and the first document as it is then."""
    other = Rules(it.store, policies=policies, **numbers)
    other.now = it.now
    other.tell(facts.Resumed())
    return other, next(iter(other.system.documents.values()))


def approvals(it: Rules, doc: Document) -> list[Code]:
    """Approve as two users, one after the other; say what each was answered."""
    codes = []
    for user in ("ana", "ben"):
        ticket = it.ticket()
        it.tell(facts.Approved(doc.id, user, ticket))
        codes.append(it.replies[ticket].code)
    return codes


class TestWhenHeld:
    def test_a_policy_approves_by_itself_and_the_document_says_which(self) -> None:
        it = rules(SMALL)
        doc = hold(it)
        entry = next(entry for entry in doc.history if entry.status is Status.APPROVED)
        assert (entry.user, entry.cause) == ("platform", f"approved by policy small ({SMALL.digest})")
        assert doc.budget == Budget(5)
        assert doc.demand is not None
        assert doc.demand.approval is APPROVE

    def test_what_is_too_large_for_it_waits_for_a_person(self) -> None:
        it = rules(SMALL)
        doc = hold(it, "i1", "p1", "p2", "p3")
        assert doc.status is Status.PENDING
        assert doc.demand is not None
        assert (doc.demand.approval, doc.demand.by) == (ASK, ())

    def test_approve_never_weakens_two_approvers_of_the_settings(self) -> None:
        it = rules(SMALL, two_approvers=True)
        doc = hold(it)
        assert doc.status is Status.PENDING
        assert approvals(it, doc) == [Code.ACCEPTED, Code.OK]

    def test_ask_holds_what_the_settings_would_approve(self) -> None:
        it = rules(Policy("ask", (ASK,), events=("rectify.*",)), auto_approve=True)
        assert hold(it).status is Status.PENDING
        it = rules(Policy("ask", (ASK,), events=("push.*",)), auto_approve=True)
        assert hold(it).history[-1].status is Status.APPROVED

    def test_a_fork_is_approved_whatever_they_say(self) -> None:
        doc = hold(rules(CLOSED), is_fork=True)
        assert doc.history[-1].user == "platform:open_branch"
        assert doc.demand is None

    @pytest.mark.parametrize(("rows", "status"), [(5, Status.APPROVED), (6, Status.PENDING), (None, Status.PENDING)])
    def test_how_many_rows_change_and_not_knowing_it(self, rows: int | None, status: Status) -> None:
        doc = hold(rules(Policy("few", (APPROVE,), rows_to=5)), rows=rows)
        assert doc.history[-1].status is status

    def test_without_policies_nothing_is_recorded(self) -> None:
        assert hold(rules()).demand is None


class TestDeciding:
    def test_two_must_approve_where_a_policy_says_so(self) -> None:
        it = rules(CLOSED)
        doc = hold(it)
        assert approvals(it, doc) == [Code.ACCEPTED, Code.OK]
        it = rules(CLOSED)
        doc = hold(it, day="2024-02-01")
        assert it.ask(facts.Approved, doc.id).code is Code.OK  # type: ignore[union-attr]

    def test_the_same_one_twice_is_not_two(self) -> None:
        it = rules(CLOSED)
        doc = hold(it)
        it.ask(facts.Approved, doc.id)
        it.refused(facts.Approved, doc.id, Code.CONFLICT, "another user must approve it")

    @pytest.mark.parametrize(("kind", "more"), [(facts.Skipped, {}), (facts.StatusSet, {"status": "skipped"})])
    def test_what_may_not_be_skipped_is_refused_with_the_policy_and_why(self, kind: type, more: dict[str, str]) -> None:
        it = rules(CLOSED)
        doc = hold(it)
        reply = it.refused(kind, doc.id, Code.CONFLICT, **more)
        assert reply.message == (
            f"reprocessing doc-i1 may not be skipped: policy closed ({CLOSED.digest}) says so: "
            "data of 2024-01-02, before 2024-02-01"
        )
        assert doc.status is Status.PENDING

    def test_a_date_that_is_not_known_is_taken_for_closed_and_the_refusal_says_so(self) -> None:
        it = rules(CLOSED)
        doc = hold(it, day="soon")
        it.refused(facts.Skipped, doc.id, Code.CONFLICT, "the date of the data is not known (data_before = 2024-02-01)")
        assert approvals(it, doc) == [Code.ACCEPTED, Code.OK]

    def test_a_skip_that_no_policy_refuses_is_made(self) -> None:
        it = rules(CLOSED)
        doc = hold(it, day="2024-02-01")
        assert it.ask(facts.Skipped, doc.id).code is Code.OK  # type: ignore[union-attr]
        assert doc.status is Status.SKIPPED

    def test_override_by_hand_is_no_way_around_two_approvers(self) -> None:
        it = rules(CLOSED)
        doc = hold(it)
        reply = it.ask(facts.StatusSet, doc.id, status="approved")
        assert reply is not None
        assert reply.code is Code.ACCEPTED

    def test_a_retry_is_asked_for_by_the_document_as_it_is_then(self) -> None:
        it = rules(CLOSED)
        doc = hold(it)
        approvals(it, doc)
        it.ask(facts.Cancelled, doc.id)
        reply = it.ask(facts.Retried, doc.id, units=it.repository.units(doc.id))
        assert reply is not None
        assert reply.code is Code.ACCEPTED


class TestRecheck:
    def recheck(self, it: Rules, doc: Document, *units: str, rows: int | None = None) -> None:
        it.tell(facts.RecheckAsked(doc.id, "ana", it.ticket()))
        found = tuple(Impacted(unit, "master") for unit in units)
        it.tell(facts.RecheckFound(doc.id, it.take(do.AskRecheck).token, found, rows))

    def test_what_changed_is_weighed_anew_and_stored(self) -> None:
        it = rules(Policy("large", (TWO,), units_from=2))
        doc = hold(it)
        assert doc.demand is not None
        assert doc.demand.approval is TWO
        self.recheck(it, doc, "p1")
        assert doc.demand.approval is ASK
        stored = Rules(it.store, policies=it.numbers.policies).system.documents[doc.id]
        assert stored.demand == doc.demand

    def test_nothing_is_approved_by_itself_once_somebody_was_asked(self) -> None:
        it = rules(SMALL)
        doc = hold(it, "i1", "p1", "p2", "p3")
        self.recheck(it, doc, "p1")
        assert doc.status is Status.PENDING
        assert doc.demand is not None
        assert doc.demand.approval is ASK

    def test_it_finds_out_how_many_rows_change(self) -> None:
        it = rules(Policy("many", (REFUSE,), rows_from=5))
        doc = hold(it)
        it.refused(facts.Skipped, doc.id, Code.CONFLICT, "how many rows change is not known")
        self.recheck(it, doc, "p1", "p2", rows=4)
        _, stored = restart(it, *it.numbers.policies)
        assert stored.rows == doc.rows == 4
        assert it.ask(facts.Skipped, doc.id).code is Code.OK  # type: ignore[union-attr]

    def test_nothing_new_changes_nothing(self) -> None:
        it = rules(CLOSED)
        doc = hold(it)
        before = doc.demand
        self.recheck(it, doc, "p1", "p2")
        assert doc.demand is before


class TestRestart:
    def test_the_record_survives(self) -> None:
        it = rules(CLOSED, SMALL)
        doc = hold(it, rows=7)
        _, stored = restart(it, CLOSED, SMALL)
        assert (stored.demand.by, stored.demand.approval) == (doc.demand.by, TWO)  # type: ignore[union-attr]
        assert (stored.rows, stored.history) == (7, doc.history)

    def test_of_what_was_decided_the_record_stays_as_it_was(self) -> None:
        it = rules(SMALL)
        doc = hold(it)
        _, stored = restart(it)
        assert stored.demand == doc.demand
        assert stored.history == doc.history

    def test_a_policy_that_is_gone_demands_nothing_and_the_history_says_so(self) -> None:
        it = rules(CLOSED)
        hold(it)
        it, doc = restart(it)
        entry = doc.history[-1]
        assert (entry.user, entry.status) == ("maestro", Status.PENDING)
        assert entry.cause == "by the policies as they are now: a person is asked"
        assert it.ask(facts.Approved, doc.id).code is Code.OK  # type: ignore[union-attr]

    def test_a_policy_that_came_meanwhile_holds_for_what_is_pending(self) -> None:
        it = rules()
        hold(it)
        it, doc = restart(it, CLOSED)
        assert doc.history[-1].cause == (
            f"by the policies as they are now: two people must approve; it may not be skipped; demanded by closed "
            f"({CLOSED.digest})"
        )
        it.refused(facts.Skipped, doc.id, Code.CONFLICT, "may not be skipped")
        assert approvals(it, doc) == [Code.ACCEPTED, Code.OK]

    def test_one_that_would_approve_comes_too_late(self) -> None:
        it = rules()
        hold(it)
        it, doc = restart(it, SMALL)
        assert doc.status is Status.PENDING
        assert not it.has(do.Enqueue)

    def test_another_wording_of_the_same_demand_is_told_once(self) -> None:
        it = rules(CLOSED)
        hold(it)
        other = Policy("closed", (TWO, REFUSE), data_before=date(2024, 3, 1), date_from=("payload.date",))
        it, doc = restart(it, other)
        assert doc.history[-1].cause.endswith(f"by closed ({other.digest})")
        _, again = restart(it, other)
        assert again.history == doc.history

    def test_a_first_approval_decides_nothing_by_itself_when_one_is_enough_now(self) -> None:
        it = rules(CLOSED)
        doc = hold(it)
        it.ask(facts.Approved, doc.id)
        it, doc = restart(it)
        assert doc.status is Status.PENDING
        assert it.ask(facts.Approved, doc.id).code is Code.OK  # type: ignore[union-attr]


class TestCovers:
    def test_a_skip_that_covers_its_tag_skips_nothing_that_may_not_be(self) -> None:
        it = rules(CLOSED)
        first = hold(it, day="2024-02-01", tag="t1")
        it.ask(facts.Skipped, first.id, covers=Covers())
        second = hold(it, "i2", tag="t1")
        assert not it.has(do.CheckDeciders)
        assert second.status is Status.PENDING

    @pytest.mark.parametrize(("units_from", "asked"), [(3, False), (4, True)])
    def test_one_approval_that_covers_its_tag_is_not_enough_for_two(self, *, units_from: int, asked: bool) -> None:
        it = rules(Policy("two", (TWO,), units_from=units_from))
        first = hold(it, tag="t1")
        it.ask(facts.Approved, first.id, covers=Covers(limit=9))
        ended(it, first)
        hold(it, "i2", "p3", "p4", "p5", tag="t1")
        assert it.has(do.CheckDeciders) is asked

    def test_two_that_cover_it_are(self) -> None:
        it = rules(CLOSED)
        first = hold(it, tag="t1")
        for user in ("ana", "ben"):
            it.tell(facts.Approved(first.id, user, it.ticket(), covers=Covers()))
        assert first.status is not Status.PENDING
        (cover,) = it.system.covers.values()
        assert [one.user for one in cover.deciders] == ["ana", "ben"]


class TestLate:
    def test_a_policy_asks_although_late_ones_are_replayed(self) -> None:
        it = driver(late_policy=LatePolicy.REPLAY, policies=(CLOSED,))
        stale(it, "x")
        gathered(it)
        assert late(it).status is Status.PENDING
        assert late(it).demand.approval is TWO  # type: ignore[union-attr]

    def test_one_that_is_about_other_events_does_not(self) -> None:
        it = driver(late_policy=LatePolicy.REPLAY, policies=(Policy("two", (TWO,), events=("rectify.*",)),))
        stale(it, "x")
        gathered(it)
        assert late(it).history[-1].user == "platform"

    def test_none_spares_anybody_the_decision(self) -> None:
        it = driver(policies=(Policy("all", (APPROVE,)),))
        stale(it, "x")
        gathered(it)
        assert late(it).status is Status.PENDING
