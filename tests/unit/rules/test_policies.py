"""What policies demand: conditions in tables, the strictest in properties."""

from datetime import date, timedelta
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from maestro.messages.decisions import UNLIMITED, Budget
from maestro.rules.policies import REFERENCE_DATE, Check, Effect, Known, Policy, date_of, for_system, verdict, weigh

APPROVE, ASK, TWO, REFUSE = Effect.APPROVE, Effect.ASK, Effect.TWO_APPROVERS, Effect.REFUSE_SKIP
TODAY = date(2026, 11, 29)
UNKNOWN = Known(None, "master", 3, None, b"", TODAY)


def event(**fields: Any) -> bytes:
    return orjson.dumps({"name": "rectify.quote.request", "reference_date": "2026-06-30"} | fields)


def figures(**more: Any) -> Known:
    return Known(**{
        "event": "rectify.quote.request", "branch": "master", "units": 3, "rows": 10, "origin": event(), "today": TODAY,
    } | more)  # fmt: skip


def policy(*effects: Effect, name: str = "p", **conditions: Any) -> Policy:
    return Policy(name, effects or (ASK,), **conditions)


class TestConditions:
    @pytest.mark.parametrize(
        ("conditions", "holds"),
        [
            ({}, True),
            ({"events": ("rectify.quote.request",)}, True),
            ({"events": ("push.*", "rectify.*")}, True),
            ({"events": ("Rectify.*",)}, False),
            ({"branches": ("master",)}, True),
            ({"branches": ("scenario-*",)}, False),
            ({"units_from": 3}, True),
            ({"units_from": 4}, False),
            ({"units_to": 3}, True),
            ({"units_to": 2}, False),
            ({"rows_from": 10, "rows_to": 10}, True),
            ({"rows_from": 11}, False),
            ({"rows_to": 9}, False),
            ({"data_before": date(2026, 7, 1)}, True),
            ({"data_before": date(2026, 6, 30)}, False),
            ({"data_from": date(2026, 6, 30)}, True),
            ({"data_from": date(2026, 7, 1)}, False),
            ({"older_than_days": 151}, True),
            ({"older_than_days": 152}, False),
            ({"within_days": 152}, True),
            ({"within_days": 151}, False),
            ({"units_to": 3, "branches": ("b1",)}, False),
        ],
    )
    def test_all_must_hold(self, *, conditions: dict[str, Any], holds: bool) -> None:
        weighed = weigh(policy(ASK, **conditions), figures())
        assert weighed.applies is holds
        assert weighed.effects == ((ASK,) if holds else ())

    @pytest.mark.parametrize(
        "conditions",
        [
            {"events": ("rectify.*",)},
            {"rows_from": 1},
            {"rows_to": 1},
            {"data_before": TODAY},
            {"data_from": TODAY},
            {"older_than_days": 1},
            {"within_days": 1},
        ],
    )
    def test_what_is_not_known_falls_on_the_careful_side(self, conditions: dict[str, Any]) -> None:
        weighed = weigh(policy(TWO, REFUSE, **conditions), UNKNOWN)
        assert weighed.applies is None
        assert weighed.effects == (TWO, REFUSE)
        assert weigh(policy(APPROVE, REFUSE, **conditions), UNKNOWN).effects == (REFUSE,)
        (check,) = weighed.checks
        assert (check.found, check.holds) == ("", None)
        assert "not known" in check.text

    def test_a_condition_that_fails_outweighs_one_that_is_not_known(self) -> None:
        weighed = weigh(policy(TWO, rows_from=1, branches=("b1",)), UNKNOWN)
        assert weighed.applies is False
        assert weighed.effects == ()

    def test_it_says_in_words_what_it_found(self) -> None:
        checks = weigh(policy(ASK, units_to=3, data_before=date(2026, 7, 1), rows_from=1), figures()).checks
        assert [check.text for check in checks] == [
            "3 to replay, 3 at most",
            "rows that change: 10, 1 or more",
            "data of 2026-06-30, before 2026-07-01",
        ]
        assert Check("rows_to", "5", "", None).text == "how many rows change is not known (rows_to = 5)"

    def test_a_policy_is_for_the_systems_that_it_names(self) -> None:
        every, some = policy(name="every"), policy(name="some", systems=("sysA",))
        assert for_system((every, some), "sysA") == (every, some)
        assert for_system((every, some), "sysB") == (every,)


class TestDates:
    @pytest.mark.parametrize(
        ("fields", "paths", "day"),
        [
            ({}, REFERENCE_DATE, date(2026, 6, 30)),
            ({"reference_date": None, "referenceDate": "2025-01-02"}, REFERENCE_DATE, date(2025, 1, 2)),
            ({"reference_date": "", "referenceDate": "2025-01-02"}, REFERENCE_DATE, date(2025, 1, 2)),
            ({"payload": {"date": "2024-01-02"}}, ("payload.date",), date(2024, 1, 2)),
            ({"payload": {"month": "2024-02"}}, ("payload.date", "payload.month"), date(2024, 2, 1)),
            ({"payload": {"year": "2024"}}, ("payload.year",), date(2024, 1, 1)),
            ({"payload": {"at": "2024-02-29T23:30:00.5-03:00"}}, ("payload.at",), date(2024, 2, 29)),
            ({"payload": {"date": "2024-01-02 10:00"}}, ("payload.date",), None),
            ({"payload": {"date": "2023-02-29"}}, ("payload.date",), None),
            ({"payload": {"date": "0000"}}, ("payload.date",), None),
            ({"payload": {"date": 20240102}}, ("payload.date",), None),
            ({"payload": {"date": "soon"}, "referenceDate": "2025-01-02"}, ("payload.date", "referenceDate"), None),
            ({"payload": ["2024-01-02"]}, ("payload.date",), None),
            ({}, ("payload.date",), None),
        ],
    )
    def test_the_first_path_that_is_there_says_it(
        self, fields: dict[str, Any], paths: tuple[str, ...], day: date | None
    ) -> None:
        assert date_of(event(**fields), paths) == day

    @pytest.mark.parametrize("origin", [b"", b"[]", b"null", b"{", b"\xff"])
    def test_no_event_has_no_date(self, origin: bytes) -> None:
        assert date_of(origin, REFERENCE_DATE) is None


class TestVerdict:
    @pytest.mark.parametrize(
        ("demanded", "given_", "approval"),
        [
            ((), (), ASK),
            ((), (APPROVE,), APPROVE),
            ((APPROVE,), (), APPROVE),
            ((ASK,), (APPROVE,), ASK),
            ((APPROVE, ASK), (), ASK),
            ((APPROVE,), (TWO,), TWO),
            ((TWO, APPROVE), (APPROVE,), TWO),
            ((REFUSE,), (), ASK),
            ((REFUSE,), (APPROVE,), APPROVE),
        ],
    )
    def test_the_strictest_holds(
        self, demanded: tuple[Effect, ...], given_: tuple[Effect, ...], approval: Effect
    ) -> None:
        found = verdict([policy(effect) for effect in demanded], figures(), *given_)
        assert found.approval is approval
        assert found.skip_refused is (REFUSE in demanded)

    def test_of_several_budgets_the_stricter_holds_and_one_of_a_policy_that_fails_does_not(self) -> None:
        policies = [
            policy(APPROVE, budget=Budget(5)),
            policy(APPROVE, budget=Budget(9, 2.0)),
            policy(APPROVE, budget=Budget(1), units_to=0),
        ]
        assert verdict(policies, figures()).budget == Budget(5, 2.0)
        assert verdict([policy(APPROVE)], figures()).budget == UNLIMITED

    def test_where_nobody_may_be_spared_approve_says_nothing(self) -> None:
        found = verdict([policy(APPROVE, REFUSE)], figures(), spares=False)
        assert (found.approval, found.skip_refused) == (ASK, True)
        assert found.demand(1.0, asked=False).by[0].effects == (REFUSE,)

    def test_a_record_says_which_policy_in_which_wording_and_why(self) -> None:
        closed = policy(TWO, REFUSE, name="closed", data_before=date(2026, 7, 1))
        demand = verdict([closed, policy(ASK, name="other", units_to=0)], figures()).demand(7.0, asked=True)
        (one,) = demand.by
        assert (one.name, one.digest, one.effects) == ("closed", closed.digest, (TWO, REFUSE))
        assert demand.text == f"two people must approve; it may not be skipped; demanded by closed ({closed.digest})"
        assert one.why == "data of 2026-06-30, before 2026-07-01"

    def test_a_record_of_who_is_asked_already_spares_nobody(self) -> None:
        found = verdict([policy(APPROVE)], figures())
        assert found.demand(1.0, asked=False).approval is APPROVE
        assert found.demand(1.0, asked=True).approval is ASK

    def test_another_wording_has_another_digest(self) -> None:
        one, other = policy(ASK, units_to=3), policy(ASK, units_to=4)
        assert one.digest == policy(ASK, units_to=3).digest
        assert len({one.digest, other.digest, policy(TWO, units_to=3).digest}) == 3
        record = verdict([one], figures()).demand(1.0, asked=True)
        assert not record.says_the_same(verdict([other], figures()).demand(1.0, asked=True))
        assert record.says_the_same(verdict([one], figures()).demand(2.0, asked=True))


CALM = settings(deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
NUMBERS = st.none() | st.integers(0, 6)
DAYS = st.none() | st.integers(0, 6).map(lambda days: TODAY - timedelta(days))
POLICIES = st.builds(
    Policy,
    name=st.just("p"),
    effects=st.lists(st.sampled_from(Effect), min_size=1, max_size=3).map(tuple),
    events=st.sampled_from([(), ("a*",), ("b",)]),
    branches=st.sampled_from([(), ("master",), ("b?",)]),
    units_from=NUMBERS, units_to=NUMBERS, rows_from=NUMBERS, rows_to=NUMBERS, data_before=DAYS, data_from=DAYS,
    older_than_days=NUMBERS, within_days=NUMBERS,
    budget=st.sampled_from([UNLIMITED, Budget(3), Budget(5, 1.0)]),
)  # fmt: skip
FIGURES = st.builds(
    Known,
    event=st.sampled_from([None, "a", "b"]),
    branch=st.sampled_from(["master", "b1"]),
    units=st.integers(0, 6),
    rows=NUMBERS,
    origin=DAYS.map(lambda day: b"" if day is None else event(reference_date=day.isoformat())),
    today=st.just(TODAY),
)
GIVEN = st.sets(st.sampled_from([APPROVE, TWO])).map(tuple)
RANK = [APPROVE, ASK, TWO]


@CALM
@given(st.lists(POLICIES, max_size=5), FIGURES, GIVEN, st.integers(0, 4))
def test_their_order_says_nothing(policies: list[Policy], known: Known, given_: tuple[Effect, ...], turn: int) -> None:
    mixed = [*policies[turn:], *policies[:turn]][::-1]
    one, other = verdict(policies, known, *given_), verdict(mixed, known, *given_)
    assert (one.approval, one.skip_refused, one.budget) == (other.approval, other.skip_refused, other.budget)


@CALM
@given(st.lists(POLICIES, max_size=4), POLICIES, FIGURES, GIVEN)
def test_another_policy_never_lets_skip_what_may_not_be_nor_approve_what_somebody_must_be_asked_about(
    policies: list[Policy], more: Policy, known: Known, given_: tuple[Effect, ...]
) -> None:
    before, after = verdict(policies, known, *given_), verdict([*policies, more], known, *given_)
    assert after.skip_refused >= before.skip_refused
    demanded = {*given_, *(effect for one in before.weighed for effect in one.effects)} & {*RANK}
    if demanded or APPROVE not in weigh(more, known).effects:
        assert RANK.index(after.approval) >= RANK.index(before.approval)


@CALM
@given(st.lists(POLICIES, max_size=4), FIGURES)
def test_two_approvers_of_the_settings_are_never_weakened(policies: list[Policy], known: Known) -> None:
    assert verdict(policies, known, TWO).approval is TWO


@CALM
@given(POLICIES, FIGURES, NUMBERS, DAYS, st.sampled_from(["a", "b"]))
def test_what_is_not_known_demands_at_least_what_any_value_would(
    one: Policy, known: Known, rows: int | None, day: date | None, name: str
) -> None:
    """A figure that is found out later never shows that a person should have been asked, and was not."""
    if rows is None or day is None:
        return
    blind = Known(None, known.branch, known.units, None, b"", TODAY)
    seen = Known(name, known.branch, known.units, rows, event(reference_date=day.isoformat()), TODAY)
    careful, exact = verdict([one], blind), verdict([one], seen)
    assert careful.skip_refused >= exact.skip_refused
    strict = {ASK, TWO}
    assert {*careful.weighed[0].effects} & strict >= {*exact.weighed[0].effects} & strict
    if careful.approval is APPROVE:
        assert not any(check.holds is None for check in careful.weighed[0].checks)
