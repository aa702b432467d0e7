"""What the demo will do, decided before anything runs: which quotes, which corrections, which late arrivals. Pure."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from maestro.events import MASTER
from maestro.sandbox.quotes import History, Quote
from maestro.statuses import Status

#: The branch that one correction opens.
SCENARIO = "scenario"
#: Late quotes that arrive while each decision is pending.
LATE_PER_DECISION = 5
#: Conversions of each kind that rest on the quote that is corrected twice.
CONVERSIONS = 3
_FIRST_DAY, _LAST_DAY = "0000-00-00", "9999-99-99"
#: What a correction multiplies the old rate by, and the digits it keeps.
_FACTOR, _DIGITS = 1.1, 6


class CannotPlan(ValueError):  # noqa: N818 - a wish that cannot be met
    """The chosen currencies and years make no story; the message says why."""


@dataclass(frozen=True, slots=True)
class Conversion:
    """An amount of euros that is converted at one day's quote."""

    name: str
    quote: Quote
    amount: float


@dataclass(frozen=True, slots=True)
class Correction:
    """One quote that turns out wrong, and what will be decided about it."""

    quote: Quote
    new: float
    approved: bool
    branch: str = MASTER
    #: Committed a moment before it: Discovery may not know of them yet.
    just_before: tuple[Conversion, ...] = ()
    #: Computed on the old rate while it is pending, and committed after it.
    meanwhile: tuple[Conversion, ...] = ()
    #: Added to the currency's running total before it, and while it is pending.
    amounts: tuple[float, float] | None = None
    #: The rate of an earlier correction of the same quote; None: this is the first.
    corrected: float | None = None

    @property
    def old(self) -> float:
        """The rate that turns out wrong."""
        return self.quote.rate if self.corrected is None else self.corrected

    @property
    def decision(self) -> str:
        """What is decided: `approved` or `skipped`."""
        return Status.APPROVED if self.approved else Status.SKIPPED

    @property
    def is_fork(self) -> bool:
        """Whether it opens a branch of its own, and so needs nobody's approval."""
        return self.branch != MASTER


@dataclass(frozen=True, slots=True)
class Plan:
    """The whole story."""

    currencies: tuple[str, ...]
    years: tuple[int, ...]
    quotes: tuple[Quote, ...]
    #: In the order they are played.
    corrections: tuple[Correction, ...]
    #: Quotes that arrive during decisions: none belongs to a month whose average is computed.
    late: tuple[Quote, ...]

    @property
    def conversions(self) -> list[Conversion]:
        """Return all conversions, in the order they are played."""
        return [one for correction in self.corrections for one in (*correction.just_before, *correction.meanwhile)]

    @property
    def months(self) -> list[tuple[str, str]]:
        """Return every (currency, month) with a quote."""
        return sorted({(quote.currency, quote.day[:7]) for quote in self.quotes})

    @property
    def rates(self) -> list[tuple[str, int]]:
        """Return every (currency, year) with a quote in the year or in the two before."""
        quoted = {(quote.currency, int(quote.day[:4])) for quote in self.quotes}
        return sorted(
            (currency, year)
            for currency in self.currencies
            for year in self.years
            if any((currency, before) in quoted for before in range(year - 2, year + 1))
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


def make_plan(history: History, currencies: Sequence[str], years: Sequence[int]) -> Plan:
    """Decide the story. Raises `CannotPlan` when a currency has no quote in these years."""
    quotes: list[Quote] = []
    for currency in currencies:
        own = history.quotes(currency, f"{years[0]:04d}-01-01", f"{years[-1]:04d}-12-31")
        if not own:
            raise CannotPlan(f"currencies: there is no quote of {currency} in {years[0]}-{years[-1]}")
        quotes += own
    quotes.sort(key=lambda quote: (quote.day, quote.currency))
    corrections = _corrections(quotes, currencies)
    late = _late(history, currencies, years, LATE_PER_DECISION * sum(not one.is_fork for one in corrections))
    return Plan(tuple(currencies), tuple(years), tuple(quotes), corrections, tuple(late))


def _corrections(quotes: Sequence[Quote], currencies: Sequence[str]) -> tuple[Correction, ...]:
    """Correct one quote of each currency, the last of them skipped, and the last but one on a branch first.

    The branch is opened before the trunk's correction of that same currency, which therefore has to reach
    the branch's copies too. A lone currency gets a second correction, so that one is approved and one skipped.
    One quote is corrected twice, first of all and last of all: what the first leaves stale is found meanwhile.
    """
    wrong = [_in_month(quotes, currency, position) for position, currency in enumerate(currencies)]
    if len(currencies) == 1:
        wrong.append(_in_month(quotes, currencies[0], 1))
    on_trunk = [
        Correction(quote, _corrected(quote.rate), approved=position < len(wrong))
        for position, quote in enumerate(wrong, 1)
    ]
    forked = _in_month(quotes, wrong[-2].currency, len(wrong) + 1)
    branched = Correction(forked, _corrected(forked.rate), approved=True, branch=SCENARIO)
    first, second = _twice(_in_month(quotes, currencies[0], len(wrong) + 2))
    return (first, *on_trunk[:-2], branched, *on_trunk[-2:], second)


def _twice(quote: Quote) -> tuple[Correction, Correction]:
    """Correct one quote twice, between results that rest on it: what Discovery alone would leave wrong.

    It does not see what was committed a moment before the first correction, nor who computed on the old rate while
    that was pending (they are replayed late); and at the second it names nobody whom the first has changed.
    """
    first = _corrected(quote.rate)
    before, meanwhile = (
        tuple(Conversion(f"{when} {number}", quote, 100.0 * number) for number in range(1, CONVERSIONS + 1))
        for when in ("before", "meanwhile")
    )
    return (
        Correction(quote, first, approved=True, just_before=before, meanwhile=meanwhile, amounts=(1.5, 2.5)),
        Correction(quote, _corrected(first), approved=True, amounts=(4.25, 8.125), corrected=first),
    )


def _in_month(quotes: Sequence[Quote], currency: str, position: int) -> Quote:
    """Return the middle quote of the `position`-th month of the currency's first year; counting round, a day later."""
    own = [quote for quote in quotes if quote.currency == currency]
    months = sorted({quote.day[:7] for quote in own if quote.day[:4] == own[0].day[:4]})
    days = [quote for quote in own if quote.day.startswith(months[position % len(months)])]
    return days[(len(days) // 2 + position // len(months)) % len(days)]


def _corrected(rate: float) -> float:
    return round(rate * _FACTOR, _DIGITS)


def _late(history: History, currencies: Sequence[str], years: Sequence[int], wanted: int) -> list[Quote]:
    """Return the next trading days after the range; where the history ends, those before it, then other currencies."""
    first, last = f"{years[0]:04d}-01-01", f"{years[-1]:04d}-12-31"

    def candidates() -> Iterator[Quote]:
        outside = [one for currency in currencies for one in history.quotes(currency, _FIRST_DAY, _LAST_DAY)]
        yield from sorted((one for one in outside if one.day > last), key=lambda one: one.day)
        yield from sorted((one for one in outside if one.day < first), key=lambda one: one.day, reverse=True)
        for currency in sorted(set(history.rates) - set(currencies)):
            yield from history.quotes(currency, _FIRST_DAY, _LAST_DAY)

    return [quote for _, quote in zip(range(wanted), candidates(), strict=False)]
