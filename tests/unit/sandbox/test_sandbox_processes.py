import math
from fractions import Fraction
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maestro.sandbox.processes import PROCESSES, Fields, ProcessFailed, Write, days_of

Table = dict[tuple[str, str], Fields]


def run(name: str, rows: Table, **payload: Any) -> tuple[list[Write], list[tuple[str, str]]]:
    process = PROCESSES[name]
    asked = []

    def read(entity: str, key: str) -> Fields | None:
        asked.append((entity, key))
        return rows.get((entity, key))

    writes = process.run(msgspec.convert(payload, process.payload), read)
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
        ("monthly.average.request", {"currency": "USD", "month": "2008-13"}),
        ("monthly.average.request", {"currency": "USD", "month": "soon"}),
        ("yearly.rate.request", {"currency": "USD", "year": 2008}),
        ("rectify.quote.request", {"currency": "USD", "date": "2008-02-01", "rate": 1.0}),
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
