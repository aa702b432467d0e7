"""What must be true in the end (I8): every average and rate, computed from scratch over the corrected inputs.

Deliberately shares nothing with the processes: it starts from the quotes alone, in one go, without reading the domain.
Both divide an exactly rounded sum (`math.fsum`), so equal means equal to the last bit.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from maestro.events import MASTER
from maestro.sandbox.demo.plan import Correction, Plan

#: currency -> period (month or year) or name -> value
Table = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Results:
    """All that one branch sees of what was computed."""

    averages: Table
    rates: Table
    conversions: Table = field(default_factory=dict)
    #: One a currency, by the name `total`.
    totals: Table = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Difference:
    """One value that is not what it should be; None: there is none."""

    branch: str
    kind: str
    currency: str
    period: str
    expected: float | None
    found: float | None


def expected(plan: Plan, branch: str) -> Results:
    """Compute what `branch` must see: the quotes, the trunk's approved corrections, and the branch's own over them."""
    quotes = {(quote.currency, quote.day): quote.rate for quote in plan.quotes}
    for correction in _in_force(plan.corrections, branch):
        quotes[correction.quote.currency, correction.quote.day] = correction.new
    by_month: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
    for (currency, day), rate in quotes.items():
        by_month[currency, day[:7]].append(rate)
    averages: dict[str, dict[str, float]] = {currency: {} for currency in plan.currencies}
    for (currency, month), of_month in sorted(by_month.items()):
        averages[currency][month] = math.fsum(of_month) / len(of_month)
    rates = {currency: _yearly(averages[currency], plan.years) for currency in plan.currencies}
    conversions: defaultdict[str, dict[str, float]] = defaultdict(dict)
    for one in plan.conversions:
        conversions[one.quote.currency][one.name] = one.amount * quotes[one.quote.currency, one.quote.day]
    totals: defaultdict[str, dict[str, float]] = defaultdict(lambda: {"total": 0.0})
    for correction in plan.corrections:
        for amount in correction.amounts or ():
            totals[correction.quote.currency]["total"] += amount
    return Results(averages, rates, conversions, totals)


def differences(branch: str, wanted: Results, found: Results) -> list[Difference]:
    """Compare value by value, with `==`; values missing or too many count too."""
    return [
        *_differences(branch, "average", wanted.averages, found.averages),
        *_differences(branch, "rate", wanted.rates, found.rates),
        *_differences(branch, "conversion", wanted.conversions, found.conversions),
        *_differences(branch, "total", wanted.totals, found.totals),
    ]


def _in_force(corrections: Iterable[Correction], branch: str) -> list[Correction]:
    approved = [correction for correction in corrections if correction.approved]
    trunk = [correction for correction in approved if correction.branch == MASTER]
    own = [correction for correction in approved if correction.branch == branch != MASTER]
    return trunk + own


def _yearly(averages: Mapping[str, float], years: Iterable[int]) -> dict[str, float]:
    rates = {}
    for year in years:
        window = [value for month, value in averages.items() if year - 2 <= int(month[:4]) <= year]
        if window:
            rates[str(year)] = math.fsum(window) / len(window)
    return rates


def _differences(branch: str, kind: str, wanted: Table, found: Table) -> list[Difference]:
    names = sorted(
        {(currency, period) for table in (wanted, found) for currency in table for period in table[currency]}
    )
    pairs = [
        Difference(
            branch, kind, currency, period, wanted.get(currency, {}).get(period), found.get(currency, {}).get(period)
        )
        for currency, period in names
    ]
    return [pair for pair in pairs if pair.expected != pair.found]
