"""The platform's processes: one pure function each, from a payload and what it reads to what it writes.

No I/O, no clock: a function sees the world through the `Read` it is given, which is how its reads get recorded.

Arithmetic is exact to the last bit: a mean is `math.fsum` over the sorted values, divided once, so that any
computation from scratch over the same values gives the very same float.
"""

import math
from calendar import monthrange
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import msgspec

Fields = Mapping[str, Any]
#: (entity, key) -> the row's fields as the instance's branch sees them; None when there is no such row.
Read = Callable[[str, str], Fields | None]

QUOTE: Final = "quote"
AVERAGE: Final = "average"
RATE: Final = "rate"
CONVERSION: Final = "conversion"
TOTAL: Final = "total"
NOTE: Final = "note"

#: Years whose monthly averages a yearly rate looks at: its own and the two before.
RATE_WINDOW: Final = 3


class ProcessFailed(Exception):  # noqa: N818 - the platform's word for it
    """The process cannot do its work; the message says why. It ends in an `.error` event."""


@dataclass(frozen=True, slots=True)
class Write:
    """One row a process writes, on the branch it runs on: the one it found there, else a new one."""

    entity: str
    key: str
    #: None: the row is destroyed.
    fields: Fields | None
    #: A new row each time, whatever is there.
    fresh: bool = False


class QuotePayload(msgspec.Struct, frozen=True):
    """One currency's quote of one day."""

    currency: str
    date: str
    rate: float
    #: For a correction: the branch it opens. Empty: none.
    branch: str = ""


class MonthPayload(msgspec.Struct, frozen=True):
    """One currency's month, YYYY-MM."""

    currency: str
    month: str


class YearPayload(msgspec.Struct, frozen=True):
    """One currency's year."""

    currency: str
    year: int


class AmountPayload(msgspec.Struct, frozen=True):
    """An amount of euros to convert at one day's quote; `name` names the result."""

    currency: str
    date: str
    amount: float
    name: str


class TotalPayload(msgspec.Struct, frozen=True):
    """An amount that adds to a currency's running total."""

    currency: str
    amount: float


class DayPayload(msgspec.Struct, frozen=True):
    """One currency's day. A check fails where the rate is over `limit`."""

    currency: str
    date: str
    limit: float = math.inf


class AveragePayload(msgspec.Struct, frozen=True):
    """A month's average that another process has computed."""

    currency: str
    month: str
    value: float


class Persists(StrEnum):
    """How a process asks for its data to be persisted, if it wrote any."""

    QUEUED = "queued"
    #: It calls Maestro, and ends only once that has answered; when it is replayed, too.
    SYNCHRONOUSLY = "synchronously"


@dataclass(frozen=True, slots=True)
class Process:
    """A process as the platform knows it."""

    #: The event that starts an instance of it.
    name: str
    payload: type[msgspec.Struct]
    run: Callable[[Any, Read], list[Write]]
    #: Whether Discovery may ask for it to be run again.
    reprocessable: bool
    #: Whether a `branch` in its payload opens that branch: the instance is a fork.
    forks: bool = False
    persists: Persists = Persists.QUEUED
    #: What it hands on in its `.done` event, in place of its own payload: another process is started by that.
    hands_on: Callable[[Any, Read], Mapping[str, Any]] | None = None

    @property
    def image(self) -> str:
        """The image that its operation runs."""
        return f"sandbox/{self.name.rpartition('.')[0]}:1"


def key_of(currency: str, period: str | int) -> str:
    """Return the key of a quote (period: day), an average (month) or a rate (year)."""
    return f"{currency}:{period}"


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
        ProcessFailed: the month is none, or has no quotes.
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
    """Add an amount to the currency's total: reads what it writes, so a replay of it would count the amount twice."""
    before = read(TOTAL, payload.currency)
    value = (before["value"] if before else 0.0) + payload.amount
    return [Write(TOTAL, payload.currency, {"currency": payload.currency, "value": value})]


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


def days_of(month: str) -> list[str]:
    """Return every calendar day (YYYY-MM-DD) of a month (YYYY-MM). Raises `ProcessFailed` when it is no month."""
    try:
        year, number = (int(part) for part in month.split("-"))
        last = monthrange(year, number)[1]
    except ValueError as problem:
        raise ProcessFailed(f"{month!r} is no month: YYYY-MM") from problem
    return [f"{year:04d}-{number:02d}-{day:02d}" for day in range(1, last + 1)]


PROCESSES: Final[Mapping[str, Process]] = {
    process.name: process
    for process in (
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
        Process(
            "sync.average.request", MonthPayload, monthly_average, reprocessable=True, persists=Persists.SYNCHRONOUSLY
        ),
        Process(
            "chain.average.request",
            MonthPayload,
            lambda _payload, _read: [],
            reprocessable=True,
            hands_on=hand_average_on,
        ),
        Process("chain.average.done", AveragePayload, write_average, reprocessable=True),
    )
}


def _quoted(currency: str, day: str, read: Read) -> Fields:
    quote = read(QUOTE, key_of(currency, day))
    if quote is None:
        raise ProcessFailed(f"no quote of {currency} on {day}")
    return quote


def _quote(payload: QuotePayload) -> Write:
    fields = {"currency": payload.currency, "date": payload.date, "rate": payload.rate}
    return Write(QUOTE, key_of(payload.currency, payload.date), fields)


def _mean(values: Iterable[float], what: str) -> float:
    ordered = sorted(values)
    if not ordered:
        raise ProcessFailed(f"no {what}")
    return math.fsum(ordered) / len(ordered)
