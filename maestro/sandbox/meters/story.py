"""The meter story: what the demo plays on load curves."""

import math
from collections import defaultdict
from typing import Final

from maestro.sandbox.demo.plan import CannotPlan, assemble
from maestro.sandbox.demo.story import Entity, Level, Payloads, Plan, Story, Tables, Use, Values
from maestro.sandbox.meters.processes import BILL, CREDIT, DAILY, HOURLY, READING, SETTLEMENT
from maestro.sandbox.meters.readings import FIRST_DAY, meter_name, readings_of
from maestro.sandbox.options import METERS_SYSTEM

#: The site whose meters are settled together, and the price of a kWh.
SITE: Final = "north"
PRICE: Final = 0.31
#: Most meters, and most days of readings: more is a load test, not a story.
MOST_METERS: Final = 50
MOST_DAYS: Final = 60


def from_scratch(readings: Values, payloads: Payloads) -> Tables:
    """Compute every total and settlement from the readings alone, in one go."""
    by_hour: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
    for (meter, at), kwh in readings.items():
        by_hour[meter, at[:13]].append(kwh)
    hourly = {(one["meter"], one["hour"]): math.fsum(by_hour[one["meter"], one["hour"]]) for one in payloads[HOURLY]}
    by_day: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
    for (meter, hour), total in hourly.items():
        by_day[meter, hour[:10]].append(total)
    daily = {(one["meter"], one["day"]): math.fsum(by_day[one["meter"], one["day"]]) for one in payloads[DAILY]}
    settled = {
        (one["site"], one["month"]): one["price"]
        * math.fsum(value for (_, day), value in daily.items() if day.startswith(one["month"]))
        for one in payloads[SETTLEMENT]
    }
    return {HOURLY: hourly, DAILY: daily, SETTLEMENT: settled}


STORY: Final = Story(
    name="meters",
    system=METERS_SYSTEM,
    input=Entity(READING, "readings", "meter", "at", "kwh"),
    push="push.reading.request",
    correct="rectify.reading.request",
    levels=(
        Level(Entity(HOURLY, "hourly_totals", "meter", "hour"), "hourly.total.request"),
        Level(Entity(DAILY, "daily_totals", "meter", "day"), "daily.total.request"),
        Level(Entity(SETTLEMENT, "settlements", "site", "month"), "settle.month.request"),
    ),
    use=Use(Entity(BILL, "bills", "meter", "name"), "bill.reading.request", "price"),
    total=Use(Entity(CREDIT, "credits", "meter", ""), "top.up.request", "kwh"),
    period=len("2024-03-01T00"),
    span=len("2024-03-01"),
    from_scratch=from_scratch,
)


def make_plan(meters: int, days: int, impact: int = 0) -> Plan:
    """Decide the story. Raises `CannotPlan` when there are too few or too many meters, or days."""
    for name, value, most in (("meters", meters, MOST_METERS), ("days", days, MOST_DAYS)):
        if not 1 <= value <= most:
            raise CannotPlan(f"{name}: {value} is not from 1 to {most}")
    names = [meter_name(number) for number in range(meters)]
    curves = [readings_of(meter, FIRST_DAY, days + 1) for meter in names]
    inputs = sorted((one for curve in curves for one in curve[: days * 96]), key=lambda one: (one.at, one.subject))
    hours = sorted({(one.subject, one.at[:13]) for one in inputs})
    of_days = sorted({(meter, hour[:10]) for meter, hour in hours})
    payloads: Payloads = {
        HOURLY: tuple({"meter": meter, "hour": hour} for meter, hour in hours),
        DAILY: tuple({"meter": meter, "day": day} for meter, day in of_days),
        SETTLEMENT: tuple(
            {"site": SITE, "month": month, "meters": names, "price": PRICE}
            for month in sorted({day[:7] for _, day in of_days})
        ),
    }
    return assemble(
        STORY, names, inputs, payloads,
        late=(one for curve in curves for one in curve[days * 96 :]),
        about={"meters": names, "days": sorted({day for _, day in of_days})},
        impact=impact,
    )  # fmt: skip
