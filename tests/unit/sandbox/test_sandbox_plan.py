import pytest

from maestro.sandbox.demo.plan import LATE_PER_DECISION, CannotPlan, make_plan, parse_currencies, parse_years
from maestro.sandbox.quotes import load_history

HISTORY = load_history()


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


@pytest.mark.parametrize("currencies", [("USD",), ("BRL", "USD"), ("BRL", "USD", "CHF"), tuple(HISTORY.rates)[:3]])
@pytest.mark.parametrize("years", [(2000,), (2008,), (2005, 2006)])
def test_every_plan_has_all_kinds_of_corrections_and_one_quote_is_corrected_twice(
    currencies: tuple[str, ...], years: tuple[int, ...]
) -> None:
    currencies = tuple(one for one in currencies if HISTORY.quotes(one, f"{years[0]}-01-01", f"{years[-1]}-12-31"))
    plan = make_plan(HISTORY, currencies, years)
    trunk = [one for one in plan.corrections if not one.is_fork]
    assert {one.quote.currency for one in trunk} == set(currencies)
    assert sum(not one.approved for one in trunk) == 1
    assert any(one.approved for one in trunk)
    assert sum(one.is_fork for one in plan.corrections) == 1
    first, *others, second = plan.corrections
    assert first.quote == second.quote
    assert len({one.quote for one in (*others, first)}) == len(plan.corrections) - 1
    assert (first.old, second.old, second.approved) == (first.quote.rate, first.new, True)
    assert min(len(first.just_before), len(first.meanwhile)) >= 3
    assert {one.quote for one in plan.conversions} == {first.quote}
    assert len({one.name for one in plan.conversions}) == len(plan.conversions)
    assert all(one.new != one.old and one.quote.day[:4] == str(years[0]) for one in plan.corrections)


def test_late_quotes_are_the_next_days_outside_every_averaged_month() -> None:
    plan = make_plan(HISTORY, ("USD", "CHF"), (2008,))
    assert len(plan.late) == 4 * LATE_PER_DECISION
    assert plan.late[0].day == "2009-01-02"
    assert not {(one.currency, one.day[:7]) for one in plan.late} & set(plan.months)


def test_late_quotes_come_from_before_where_the_history_ends() -> None:
    last = int(max(HISTORY.rates["USD"])[:4])
    plan = make_plan(HISTORY, ("USD",), (last,))
    assert plan.late[0].day.startswith(str(last - 1))
    everything = make_plan(HISTORY, ("USD",), tuple(range(1999, last + 1)))
    assert {one.currency for one in everything.late} != {"USD"}


def test_a_currency_without_quotes_is_named() -> None:
    with pytest.raises(CannotPlan, match="XXX"):
        make_plan(HISTORY, ("USD", "XXX"), (2008,))
    with pytest.raises(CannotPlan, match="BRL"):
        make_plan(HISTORY, ("BRL",), (1950,))


def test_rates_are_those_with_something_to_read() -> None:
    plan = make_plan(HISTORY, ("CYP",), (2006, 2007, 2008, 2009, 2010, 2011))
    assert plan.rates == [("CYP", year) for year in (2006, 2007, 2008, 2009)]
