import math
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maestro.sandbox.installed import PROCESSES
from maestro.sandbox.processes import BadPayload, Fields, ProcessFailed, Write, days_of

Table = dict[tuple[str, str], Fields]


def run(name: str, rows: Table, /, **payload: Any) -> tuple[list[Write], list[tuple[str, str]]]:
    process = PROCESSES[name]
    asked = []

    def read(entity: str, key: str) -> Fields | None:
        asked.append((entity, key))
        return rows.get((entity, key))

    writes = process.run(process.checked(payload), read)
    return writes, asked


def test_a_pushed_quote_reads_nothing() -> None:
    [write], asked = run("push.quote.request", {}, currency="USD", date="2008-01-02", rate=1.5)
    assert (write.entity, write.key, write.fields["rate"]) == ("quote", "USD:2008-01-02", 1.5)
    assert asked == []


def test_an_average_looks_at_every_day_of_its_month() -> None:
    rows = {("quote", "USD:2008-02-01"): {"rate": 1.0}, ("quote", "USD:2008-02-29"): {"rate": 2.0}}
    [write], asked = run("monthly.average.request", rows, currency="USD", month="2008-02")
    assert (write.key, write.fields["value"]) == ("USD:2008-02", 1.5)
    assert len(asked) == 29


def test_a_rate_looks_at_three_years_of_averages() -> None:
    rows = {("average", "USD:2006-01"): {"value": 1.0}, ("average", "USD:2008-12"): {"value": 4.0}}
    [write], asked = run("yearly.rate.request", rows, currency="USD", year=2008)
    assert (write.key, write.fields["value"]) == ("USD:2008", 2.5)
    assert len(asked) == 36
    assert asked[0] == ("average", "USD:2006-01")


@pytest.mark.parametrize(
    ("name", "payload"),
    [
        ("monthly.average.request", {"currency": "USD", "month": "2008-02"}),
        ("yearly.rate.request", {"currency": "USD", "year": 2008}),
        ("rectify.quote.request", {"currency": "USD", "date": "2008-02-01", "rate": 1.0}),
        ("hourly.total.request", {"meter": "a", "hour": "2024-03-01T00"}),
        ("daily.total.request", {"meter": "a", "day": "2024-03-01"}),
        ("settle.month.request", {"site": "north", "month": "2024-03", "meters": ["a"], "price": 1.0}),
        ("rectify.reading.request", {"meter": "a", "at": "2024-03-01T00:15", "kwh": 1.0}),
        ("bill.reading.request", {"meter": "a", "at": "2024-03-01T00:15", "price": 1.0, "name": "b"}),
    ],
)
def test_a_process_without_its_inputs_fails(name: str, payload: dict[str, Any]) -> None:
    with pytest.raises(ProcessFailed):
        run(name, {}, **payload)


@given(st.lists(st.floats(min_value=1e-6, max_value=1e6), min_size=1, max_size=28))
def test_a_mean_is_the_exact_sum_divided_once_whatever_the_order(rates: list[float]) -> None:
    rows = {("quote", f"USD:{day}"): {"rate": rate} for day, rate in zip(days_of("2009-02"), rates, strict=False)}
    [write], _ = run("monthly.average.request", rows, currency="USD", month="2009-02")
    assert write.fields["value"] == float(sum(map(Fraction, rates))) / len(rates)
    assert write.fields["value"] == math.fsum(reversed(rates)) / len(rates)


def test_meter_totals_look_at_every_quarter_hour_and_day_and_the_settlement_at_every_meter() -> None:
    reading = {("reading", "a:2024-03-01T00:15"): {"kwh": 1.5}, ("reading", "a:2024-03-01T00:45"): {"kwh": 0.25}}
    [write], asked = run("hourly.total.request", reading, meter="a", hour="2024-03-01T00")
    assert (write.entity, write.key, write.fields["value"], len(asked)) == ("hourly", "a:2024-03-01T00", 1.75, 4)
    hourly = {("hourly", "a:2024-03-01T00"): {"value": 1.75}, ("hourly", "a:2024-03-01T23"): {"value": 1.0}}
    [write], asked = run("daily.total.request", hourly, meter="a", day="2024-03-01")
    assert (write.entity, write.key, write.fields["value"], len(asked)) == ("daily", "a:2024-03-01", 2.75, 24)
    daily = {("daily", "a:2024-03-01"): {"value": 2.75}, ("daily", "b:2024-03-31"): {"value": 1.25}}
    [write], asked = run("settle.month.request", daily, site="north", month="2024-03", meters=["a", "b"], price=0.5)
    assert (write.entity, write.key, write.fields["value"], len(asked)) == ("settlement", "north:2024-03", 2.0, 62)


QUOTE = {"currency": "USD", "date": "2008-01-02", "rate": 1.0}
READING = {"meter": "a", "at": "2024-03-01T00:15", "kwh": 1.0}
SETTLEMENT = {"site": "n", "month": "2024-03", "meters": ["a"], "price": 1.0}


@pytest.mark.parametrize(
    ("name", "payload", "told"),
    [
        ("push.quote", None, "payload: Expected `object`, got `null`"),
        ("push.quote", {"currency": "USD", "rate": 1.0}, "payload: Object missing required field `date`"),
        ("push.quote", {**QUOTE, "rate": "1"}, "payload.rate: Expected `float`, got `str`"),
        ("push.quote", {**QUOTE, "rate": -1}, "payload.rate: Expected `float` >= 0.0"),
        ("push.quote", {**QUOTE, "currency": ""}, "payload.currency: Expected `str` of length >= 1"),
        ("push.quote", {**QUOTE, "date": "2008-1-2"}, "payload.date: '2008-1-2' is no day, such as 2024-01-31"),
        ("push.quote", {**QUOTE, "date": 20080102}, "payload.date: 20080102 is no day, such as 2024-01-31"),
        ("rectify.quote", {**QUOTE, "brnch": "b"}, "payload: Object contains unknown field `brnch`"),
        (
            "monthly.average",
            {"currency": "USD", "month": "2008-13"},
            "payload.month: '2008-13' is no month, such as 2024-01",
        ),
        ("yearly.rate", {"currency": "USD", "year": 8}, "payload.year: Expected `int` >= 1000"),
        (
            "push.reading",
            {**READING, "at": "2024-03-01"},
            "payload.at: '2024-03-01' is no minute, such as 2024-01-31T13:15",
        ),
        ("push.reading", {**READING, "kwh": -1}, "payload.kwh: Expected `float` >= 0.0"),
        (
            "hourly.total",
            {"meter": "a", "hour": "2024-03-01T24"},
            "payload.hour: '2024-03-01T24' is no hour, such as 2024-01-31T13",
        ),
        ("settle.month", {**SETTLEMENT, "meters": ["a", 1]}, "payload.meters[1]: Expected `str`, got `int`"),
        ("settle.month", {**SETTLEMENT, "meters": []}, "payload.meters: Expected `array` of length >= 1"),
    ],
)
def test_a_wrong_payload_names_its_field(name: str, payload: Any, told: str) -> None:
    with pytest.raises(BadPayload) as refused:
        PROCESSES[f"{name}.request"].checked(payload)
    assert str(refused.value) == f"{told} ({name}.request)"
