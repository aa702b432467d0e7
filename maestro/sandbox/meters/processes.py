"""The processes of the meter story. Energy is in kWh, a reading is of the quarter of an hour that begins at `at`."""

from typing import Annotated, Final

import msgspec

from maestro.sandbox.processes import (
    Day,
    Hour,
    Minute,
    Month,
    Name,
    Payload,
    Process,
    ProcessFailed,
    Read,
    Write,
    added,
    days_of,
    exact_sum,
    key_of,
)

READING: Final = "reading"
HOURLY: Final = "hourly"
DAILY: Final = "daily"
SETTLEMENT: Final = "settlement"
BILL: Final = "bill"
CREDIT: Final = "credit"

#: Minutes of an hour at which a meter is read.
QUARTERS: Final = ("00", "15", "30", "45")

Energy = Annotated[float, msgspec.Meta(ge=0)]
Price = Annotated[float, msgspec.Meta(ge=0)]


class ReadingPayload(Payload, frozen=True):
    """What one meter counted in one quarter of an hour."""

    meter: Name
    at: Minute
    kwh: Energy
    #: For a correction: the branch it opens. Empty: none.
    branch: str = ""


class HourPayload(Payload, frozen=True):
    """One meter's hour, YYYY-MM-DDThh."""

    meter: Name
    hour: Hour


class DayPayload(Payload, frozen=True):
    """One meter's day."""

    meter: Name
    day: Day


class SettlementPayload(Payload, frozen=True):
    """A site's month: the energy of its meters at a price a kWh."""

    site: Name
    month: Month
    meters: Annotated[tuple[Name, ...], msgspec.Meta(min_length=1)]
    price: Price


class BillPayload(Payload, frozen=True):
    """One reading at a price a kWh; `name` names the bill."""

    meter: Name
    at: Minute
    price: Price
    name: Name


class CreditPayload(Payload, frozen=True):
    """Energy that adds to a meter's prepaid credit."""

    meter: Name
    kwh: Energy


def push_reading(payload: ReadingPayload, _read: Read) -> list[Write]:
    """Write the reading; reads nothing."""
    return [_reading(payload)]


def rectify_reading(payload: ReadingPayload, read: Read) -> list[Write]:
    """Write the corrected reading over the one that must be there. Raises `ProcessFailed` when there is none."""
    _read_at(payload.meter, payload.at, read)
    return [_reading(payload)]


def hourly_total(payload: HourPayload, read: Read) -> list[Write]:
    """Write the sum of the hour's readings; looks at every quarter, for a reading may come late.

    Raises:
        ProcessFailed: the hour has no readings.
    """
    rows = [read(READING, key_of(payload.meter, f"{payload.hour}:{quarter}")) for quarter in QUARTERS]
    value = exact_sum((row["kwh"] for row in rows if row), f"readings of {payload.meter} at {payload.hour}")
    fields = {"meter": payload.meter, "hour": payload.hour, "value": value}
    return [Write(HOURLY, key_of(payload.meter, payload.hour), fields)]


def daily_total(payload: DayPayload, read: Read) -> list[Write]:
    """Write the sum of the day's hourly totals. Raises `ProcessFailed` when it has none."""
    rows = [read(HOURLY, key_of(payload.meter, f"{payload.day}T{hour:02d}")) for hour in range(24)]
    value = exact_sum((row["value"] for row in rows if row), f"hourly totals of {payload.meter} on {payload.day}")
    return [
        Write(DAILY, key_of(payload.meter, payload.day), {"meter": payload.meter, "day": payload.day, "value": value})
    ]


def settle_month(payload: SettlementPayload, read: Read) -> list[Write]:
    """Write what the daily totals of all meters of a site come to. Raises `ProcessFailed` when there are none."""
    rows = [read(DAILY, key_of(meter, day)) for meter in payload.meters for day in days_of(payload.month)]
    energy = exact_sum((row["value"] for row in rows if row), f"daily totals of {payload.site} in {payload.month}")
    fields = {"site": payload.site, "month": payload.month, "value": energy * payload.price}
    return [Write(SETTLEMENT, key_of(payload.site, payload.month), fields)]


def bill_reading(payload: BillPayload, read: Read) -> list[Write]:
    """Write what one reading costs. Raises `ProcessFailed` when there is none."""
    value = payload.price * _read_at(payload.meter, payload.at, read)
    return [Write(BILL, payload.name, {"meter": payload.meter, "at": payload.at, "name": payload.name, "value": value})]


def top_up(payload: CreditPayload, read: Read) -> list[Write]:
    """Add energy to the meter's credit."""
    return added(CREDIT, "meter", payload.meter, payload.kwh, read)


METERS: Final = (
    Process("push.reading.request", ReadingPayload, push_reading, reprocessable=False),
    Process("rectify.reading.request", ReadingPayload, rectify_reading, reprocessable=False, forks=True),
    Process("hourly.total.request", HourPayload, hourly_total, reprocessable=True),
    Process("daily.total.request", DayPayload, daily_total, reprocessable=True),
    Process("settle.month.request", SettlementPayload, settle_month, reprocessable=True),
    Process("bill.reading.request", BillPayload, bill_reading, reprocessable=True),
    Process("top.up.request", CreditPayload, top_up, reprocessable=True),
)


def _read_at(meter: str, at: str, read: Read) -> float:
    row = read(READING, key_of(meter, at))
    if row is None:
        raise ProcessFailed(f"no reading of {meter} at {at}")
    return float(row["kwh"])


def _reading(payload: ReadingPayload) -> Write:
    fields = {"meter": payload.meter, "at": payload.at, "kwh": payload.kwh}
    return Write(READING, key_of(payload.meter, payload.at), fields)
