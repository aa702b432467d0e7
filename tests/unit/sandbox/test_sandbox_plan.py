import pytest

from maestro.sandbox.demo.plan import LATE_PER_DECISION, MOST_IMPACT, CannotPlan
from maestro.sandbox.demo.story import Plan
from maestro.sandbox.meters import story as meters
from maestro.sandbox.quotes.history import History, load_history
from maestro.sandbox.quotes.story import make_plan, parse_currencies, parse_years


@pytest.mark.parametrize(("text", "years"), [("2008", (2008,)), ("2008-2010", (2008, 2009, 2010))])
def test_years(text: str, years: tuple[int, ...]) -> None:
    assert parse_years(text) == years


@pytest.mark.parametrize("text", ["", "08", "2010-2008", "2008-", "2008,2009", "2008-2009-2010"])
def test_bad_years(text: str) -> None:
    with pytest.raises(CannotPlan):
        parse_years(text)


def test_currencies() -> None:
    assert parse_currencies(" brl,USD,brl ") == ("BRL", "USD")
    with pytest.raises(CannotPlan):
        parse_currencies(" , ")


CURRENCIES = [("USD",), ("BRL", "USD"), ("BRL", "USD", "CHF"), ("USD", "JPY", "BGN")]
YEARS = [(2000,), (2008,), (2005, 2006)]
METERS = [(number, days) for number in (1, 2, 3, 4) for days in (1, 2)]


@pytest.fixture(scope="module")
def history() -> History:
    return load_history()


@pytest.fixture(scope="module")
def plans(history: History) -> list[Plan]:
    """All kinds of plans; made once, when a test asks for them: to load the quotes takes a while."""
    return [
        *(quotes(history, currencies, years) for currencies in CURRENCIES for years in YEARS),
        *(meters.make_plan(number, days) for number, days in METERS),
    ]


def quotes(history: History, currencies: tuple[str, ...], years: tuple[int, ...]) -> Plan:
    known = [one for one in currencies if history.quotes(one, f"{years[0]}-01-01", f"{years[-1]}-12-31")]
    return make_plan(history, known, years)


@pytest.mark.parametrize("at", range(len(CURRENCIES) * len(YEARS) + len(METERS)))
def test_every_plan_has_all_kinds_of_corrections_and_one_input_is_corrected_twice(at: int, plans: list[Plan]) -> None:
    plan = plans[at]
    trunk = [one for one in plan.corrections if not one.is_fork]
    assert {one.input.subject for one in trunk} == {one.subject for one in plan.inputs}
    assert sum(not one.approved for one in trunk) == 1
    assert any(one.approved for one in trunk)
    assert sum(one.is_fork for one in plan.corrections) == 1
    first, *others, second = plan.corrections
    assert first.input == second.input
    assert len({one.input for one in (*others, first)}) == len(plan.corrections) - 1
    assert (first.old, second.old, second.approved) == (first.input.value, first.new, True)
    assert min(len(first.just_before), len(first.meanwhile)) >= 3
    assert {one.input for one in plan.uses} == {first.input}
    assert len({one.name for one in plan.uses}) == len(plan.uses)
    span = plan.inputs[0].at[: plan.story.span]
    assert all(one.new != one.old and one.input.at.startswith(span) for one in plan.corrections)


def test_the_skipped_correction_impacts_as_many_as_are_wished(history: History) -> None:
    for plan in (make_plan(history, ("USD",), (2008,), 300), meters.make_plan(2, 1, 300)):
        [skipped] = [one for one in plan.corrections if not one.approved]
        assert len({one.name for one in skipped.just_before}) == 300
        assert {one.input for one in skipped.just_before} == {skipped.input}


@pytest.mark.parametrize("impact", [-1, MOST_IMPACT + 1])
def test_an_impact_out_of_bounds_is_named(impact: int) -> None:
    with pytest.raises(CannotPlan, match="impact: "):
        meters.make_plan(1, 1, impact)


@pytest.mark.parametrize(("number", "days", "named"), [(0, 1, "meters: 0"), (51, 1, "meters: 51"), (1, 61, "days: 61")])
def test_meters_and_days_out_of_bounds_are_named(number: int, days: int, named: str) -> None:
    with pytest.raises(CannotPlan, match=named):
        meters.make_plan(number, days)


def test_late_inputs_belong_to_no_period_that_is_computed(history: History, plans: list[Plan]) -> None:
    plan = make_plan(history, ("USD", "CHF"), (2008,))
    assert len(plan.late) == 4 * LATE_PER_DECISION
    assert plan.late[0].at == "2009-01-02"
    plan = meters.make_plan(2, 2)
    assert len(plan.late) == 4 * LATE_PER_DECISION
    assert plan.late[0].at == "2024-03-03T00:00"
    for plan in plans:
        period = plan.story.period
        computed = {(one.subject, one.at[:period]) for one in plan.inputs}
        assert not {(one.subject, one.at[:period]) for one in plan.late} & computed


def test_late_quotes_come_from_before_where_the_history_ends(history: History) -> None:
    last = int(max(history.rates["USD"])[:4])
    plan = make_plan(history, ("USD",), (last,))
    assert plan.late[0].at.startswith(str(last - 1))
    everything = make_plan(history, ("USD",), tuple(range(1999, last + 1)))
    assert {one.subject for one in everything.late} != {"USD"}


def test_a_currency_without_quotes_is_named(history: History) -> None:
    with pytest.raises(CannotPlan, match="XXX"):
        make_plan(history, ("USD", "XXX"), (2008,))
    with pytest.raises(CannotPlan, match="BRL"):
        make_plan(history, ("BRL",), (1950,))


def test_rates_are_those_with_something_to_read(history: History) -> None:
    plan = make_plan(history, ("CYP",), (2006, 2007, 2008, 2009, 2010, 2011))
    assert plan.payloads["rate"] == tuple({"currency": "CYP", "year": year} for year in (2006, 2007, 2008, 2009))


def test_a_months_settlement_is_of_all_meters_and_a_second_month_has_its_own() -> None:
    plan = meters.make_plan(2, 40)
    names = ["household-1", "bakery-1"]
    assert plan.payloads["settlement"] == tuple(
        {"site": "north", "month": month, "meters": names, "price": 0.31} for month in ("2024-03", "2024-04")
    )
    assert len(plan.payloads["hourly"]) == 2 * 40 * 24
