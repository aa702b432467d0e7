"""The quote story: what the demo plays on the European Central Bank's reference rates."""

import math
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Final

from maestro.sandbox.demo.plan import CannotPlan, assemble
from maestro.sandbox.demo.story import Entity, Input, Level, Payloads, Plan, Story, Tables, Use, Values
from maestro.sandbox.options import SYSTEM
from maestro.sandbox.quotes.history import History
from maestro.sandbox.quotes.processes import AVERAGE, CONVERSION, QUOTE, RATE, TOTAL

_FIRST_DAY, _LAST_DAY = "0000-00-00", "9999-99-99"


def from_scratch(quotes: Values, payloads: Payloads) -> Tables:
    """Compute every average and rate from the quotes alone, in one go."""
    by_month: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
    for (currency, day), rate in quotes.items():
        by_month[currency, day[:7]].append(rate)
    averages = {}
    for one in payloads[AVERAGE]:
        of_month = by_month[one["currency"], one["month"]]
        averages[one["currency"], one["month"]] = math.fsum(of_month) / len(of_month)
    rates = {}
    for one in payloads[RATE]:
        currency, year = one["currency"], one["year"]
        window = [
            value for (of, month), value in averages.items() if of == currency and year - 2 <= int(month[:4]) <= year
        ]
        rates[currency, str(year)] = math.fsum(window) / len(window)
    return {AVERAGE: averages, RATE: rates}


STORY: Final = Story(
    name="quotes",
    system=SYSTEM,
    input=Entity(QUOTE, "quotes", "currency", "date", "rate"),
    push="push.quote.request",
    correct="rectify.quote.request",
    levels=(
        Level(Entity(AVERAGE, "averages", "currency", "month"), "monthly.average.request"),
        Level(Entity(RATE, "rates", "currency", "year"), "yearly.rate.request"),
    ),
    use=Use(Entity(CONVERSION, "conversions", "currency", "name"), "convert.amount.request", "amount"),
    total=Use(Entity(TOTAL, "totals", "currency", ""), "running.total.request", "amount"),
    period=len("2008-01"),
    span=len("2008"),
    from_scratch=from_scratch,
)


def parse_years(text: str) -> tuple[int, ...]:
    """Parse `2008-2010` or `2008`. Raises `CannotPlan`."""
    match = re.fullmatch(r"(\d{4})(?:-(\d{4}))?", text.strip())
    if match is None:
        raise CannotPlan(f"years: {text!r} is neither a year nor a range like 2008-2010")
    first, last = int(match[1]), int(match[2] or match[1])
    if first > last:
        raise CannotPlan(f"years: {text!r} ends before it begins")
    return tuple(range(first, last + 1))


def parse_currencies(text: str) -> tuple[str, ...]:
    """Parse `BRL,USD`, in this order, each once. Raises `CannotPlan`."""
    currencies = tuple(dict.fromkeys(part.strip().upper() for part in text.split(",") if part.strip()))
    if not currencies:
        raise CannotPlan("currencies: none given")
    return currencies


def make_plan(history: History, currencies: Sequence[str], years: Sequence[int], impact: int = 0) -> Plan:
    """Decide the story. Raises `CannotPlan` when a currency has no quote in these years."""
    quotes: list[Input] = []
    for currency in currencies:
        own = history.quotes(currency, f"{years[0]:04d}-01-01", f"{years[-1]:04d}-12-31")
        if not own:
            raise CannotPlan(f"currencies: there is no quote of {currency} in {years[0]}-{years[-1]}")
        quotes += own
    quotes.sort(key=lambda quote: (quote.at, quote.subject))
    months = sorted({(quote.subject, quote.at[:7]) for quote in quotes})
    quoted = {(currency, int(month[:4])) for currency, month in months}
    # A rate rests on the averages of its year and of the two before.
    rates = sorted(
        (currency, year)
        for currency in currencies
        for year in years
        if any((currency, before) in quoted for before in range(year - 2, year + 1))
    )
    payloads: Payloads = {
        AVERAGE: tuple({"currency": currency, "month": month} for currency, month in months),
        RATE: tuple({"currency": currency, "year": year} for currency, year in rates),
    }
    return assemble(
        STORY, currencies, quotes, payloads,
        late=_late(history, currencies, years),
        about={"currencies": list(currencies), "years": list(years)},
        impact=impact,
    )  # fmt: skip


def _late(history: History, currencies: Sequence[str], years: Sequence[int]) -> Iterator[Input]:
    """Yield the next trading days after the range; where the history ends, those before it, then other currencies."""
    first, last = f"{years[0]:04d}-01-01", f"{years[-1]:04d}-12-31"
    outside = [one for currency in currencies for one in history.quotes(currency, _FIRST_DAY, _LAST_DAY)]
    yield from sorted((one for one in outside if one.at > last), key=lambda one: one.at)
    yield from sorted((one for one in outside if one.at < first), key=lambda one: one.at, reverse=True)
    for currency in sorted(set(history.rates) - set(currencies)):
        yield from history.quotes(currency, _FIRST_DAY, _LAST_DAY)
