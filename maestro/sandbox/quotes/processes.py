"""The processes of the quote story.

Arithmetic is exact to the last bit: a mean is `math.fsum` over the values, divided once, so that any computation from
scratch over the same values gives the very same float.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Final

import msgspec

from maestro.sandbox.processes import (
    Day,
    Fields,
    Month,
    Name,
    Payload,
    Persists,
    Process,
    ProcessFailed,
    Read,
    Write,
    added,
    days_of,
    exact_sum,
    key_of,
)

QUOTE: Final = "quote"
AVERAGE: Final = "average"
RATE: Final = "rate"
CONVERSION: Final = "conversion"
TOTAL: Final = "total"
NOTE: Final = "note"

#: Years whose monthly averages a yearly rate looks at: its own and the two before.
RATE_WINDOW: Final = 3

Rate = Annotated[float, msgspec.Meta(ge=0)]
Year = Annotated[int, msgspec.Meta(ge=1000, le=9999)]


class QuotePayload(Payload, frozen=True):
    """One currency's quote of one day."""

    currency: Name
    date: Day
    rate: Rate
    #: For a correction: the branch it opens. Empty: none.
    branch: str = ""


class MonthPayload(Payload, frozen=True):
    """One currency's month, YYYY-MM."""

    currency: Name
    month: Month


class YearPayload(Payload, frozen=True):
    """One currency's year."""

    currency: Name
    year: Year


class AmountPayload(Payload, frozen=True):
    """An amount of euros to convert at one day's quote; `name` names the result."""

    currency: Name
    date: Day
    amount: float
    name: Name


class TotalPayload(Payload, frozen=True):
    """An amount that adds to a currency's running total."""

    currency: Name
    amount: float


class DayPayload(Payload, frozen=True):
    """One currency's day. A check fails where the rate is over `limit`."""

    currency: Name
    date: Day
    limit: float = math.inf


class AveragePayload(Payload, frozen=True):
    """A month's average that another process has computed."""

    currency: Name
    month: Month
    value: float


def push_quote(payload: QuotePayload, _read: Read) -> list[Write]:
    """Write the quote; reads nothing."""
    return [_quote(payload)]


def rectify_quote(payload: QuotePayload, read: Read) -> list[Write]:
    """Write the corrected quote over the one that must be there. Raises `ProcessFailed` when there is none."""
    if read(QUOTE, key_of(payload.currency, payload.date)) is None:
        raise ProcessFailed(f"no quote of {payload.currency} on {payload.date} to correct")
    return [_quote(payload)]


def monthly_average(payload: MonthPayload, read: Read) -> list[Write]:
    """Write the mean of the month's quotes. Looks at every day, for a quote may come late.

    Raises:
        ProcessFailed: the month has no quotes.
    """
    rows = [read(QUOTE, key_of(payload.currency, day)) for day in days_of(payload.month)]
    average = _mean((row["rate"] for row in rows if row), f"quotes of {payload.currency} in {payload.month}")
    fields = {"currency": payload.currency, "month": payload.month, "value": average}
    return [Write(AVERAGE, key_of(payload.currency, payload.month), fields)]


def yearly_rate(payload: YearPayload, read: Read) -> list[Write]:
    """Write the mean of the monthly averages there are of the year and the two before; `ProcessFailed` if none."""
    months = [
        f"{year:04d}-{month:02d}"
        for year in range(payload.year - RATE_WINDOW + 1, payload.year + 1)
        for month in range(1, 13)
    ]
    rows = [read(AVERAGE, key_of(payload.currency, month)) for month in months]
    rate = _mean((row["value"] for row in rows if row), f"averages of {payload.currency} up to {payload.year}")
    fields = {"currency": payload.currency, "year": payload.year, "value": rate}
    return [Write(RATE, key_of(payload.currency, payload.year), fields)]


def convert_amount(payload: AmountPayload, read: Read) -> list[Write]:
    """Write what an amount of euros is worth at one day's quote. Raises `ProcessFailed` when there is no quote."""
    quote = _quoted(payload.currency, payload.date, read)
    fields = {"currency": payload.currency, "date": payload.date, "value": payload.amount * quote["rate"]}
    return [Write(CONVERSION, payload.name, {**fields, "name": payload.name})]


def running_total(payload: TotalPayload, read: Read) -> list[Write]:
    """Add an amount to the currency's total."""
    return added(TOTAL, "currency", payload.currency, payload.amount, read)


def note_quote(payload: DayPayload, read: Read) -> list[Write]:
    """Write a row of its own each time: a replay adds one, it replaces none."""
    quote = _quoted(payload.currency, payload.date, read)
    fields = {"currency": payload.currency, "date": payload.date, "rate": quote["rate"]}
    return [Write(NOTE, key_of(payload.currency, payload.date), fields, fresh=True)]


def look_at_quote(payload: DayPayload, read: Read) -> list[Write]:
    """Write nothing."""
    _quoted(payload.currency, payload.date, read)
    return []


def check_quote(payload: DayPayload, read: Read) -> list[Write]:
    """Write nothing. Raises `ProcessFailed` where the rate is over the limit."""
    rate = _quoted(payload.currency, payload.date, read)["rate"]
    if rate > payload.limit:
        raise ProcessFailed(f"{payload.currency} on {payload.date}: {rate} is over {payload.limit}")
    return []


def withdraw_quote(payload: DayPayload, read: Read) -> list[Write]:
    """Destroy a quote. Raises `ProcessFailed` when there is none."""
    _quoted(payload.currency, payload.date, read)
    return [Write(QUOTE, key_of(payload.currency, payload.date), None)]


def hand_average_on(payload: MonthPayload, read: Read) -> Mapping[str, Any]:
    """Return the month's average for the process that writes it. Raises as `monthly_average` does."""
    [write] = monthly_average(payload, read)
    return write.fields or {}


def write_average(payload: AveragePayload, _read: Read) -> list[Write]:
    """Write an average that was computed before."""
    fields = {"currency": payload.currency, "month": payload.month, "value": payload.value}
    return [Write(AVERAGE, key_of(payload.currency, payload.month), fields)]


QUOTES: Final = (
    Process("push.quote.request", QuotePayload, push_quote, reprocessable=False),
    Process("rectify.quote.request", QuotePayload, rectify_quote, reprocessable=False, forks=True),
    Process("monthly.average.request", MonthPayload, monthly_average, reprocessable=True),
    Process("yearly.rate.request", YearPayload, yearly_rate, reprocessable=True),
    Process("convert.amount.request", AmountPayload, convert_amount, reprocessable=True),
    Process("running.total.request", TotalPayload, running_total, reprocessable=True),
    Process("note.quote.request", DayPayload, note_quote, reprocessable=True),
    Process("look.quote.request", DayPayload, look_at_quote, reprocessable=True),
    Process("check.quote.request", DayPayload, check_quote, reprocessable=True),
    Process("withdraw.quote.request", DayPayload, withdraw_quote, reprocessable=False),
    Process("sync.average.request", MonthPayload, monthly_average, reprocessable=True, persists=Persists.SYNCHRONOUSLY),
    Process(
        "chain.average.request",
        MonthPayload,
        lambda _payload, _read: [],
        reprocessable=True,
        hands_on=hand_average_on,
    ),
    Process("chain.average.done", AveragePayload, write_average, reprocessable=True),
)


def _quoted(currency: str, day: str, read: Read) -> Fields:
    quote = read(QUOTE, key_of(currency, day))
    if quote is None:
        raise ProcessFailed(f"no quote of {currency} on {day}")
    return quote


def _quote(payload: QuotePayload) -> Write:
    fields = {"currency": payload.currency, "date": payload.date, "rate": payload.rate}
    return Write(QUOTE, key_of(payload.currency, payload.date), fields)


def _mean(values: Iterable[float], what: str) -> float:
    found = list(values)
    return exact_sum(found, what) / len(found)
