"""The meter story's input: load curves, made up from a formula, the same each time.

A household, a bakery and a pumping station, in turn: a base, a morning and an evening peak, and a little noise.
"""

import math
from dataclasses import dataclass
from datetime import date, timedelta
from random import Random
from typing import Final

from maestro.sandbox.demo.story import Input
from maestro.sandbox.meters.processes import QUARTERS

#: The day of the first reading.
FIRST_DAY: Final = date(2024, 3, 1)


@dataclass(frozen=True, slots=True)
class _Curve:
    """kWh a quarter of an hour; the peaks by the hour of the day at which they are highest."""

    base: float
    peaks: tuple[tuple[float, float], ...]


_CURVES: Final = {
    "household": _Curve(0.08, ((7.5, 0.25), (20.0, 0.6))),
    "bakery": _Curve(1.1, ((3.5, 9.0), (14.0, 2.5))),
    "pumps": _Curve(6.0, ((2.0, 14.0), (23.0, 11.0))),
}


def meter_name(number: int) -> str:
    """Return the name of the so many-th meter, from 0."""
    kinds = tuple(_CURVES)
    return f"{kinds[number % len(kinds)]}-{number // len(kinds) + 1}"


def readings_of(meter: str, first: date, days: int) -> list[Input]:
    """Return a meter's readings of so many days, in order."""
    curve = _CURVES[meter.partition("-")[0]]
    found = []
    for day in (first + timedelta(days=number) for number in range(days)):
        for hour in range(24):
            for quarter in QUARTERS:
                at = f"{day.isoformat()}T{hour:02d}:{quarter}"
                time = hour + int(quarter) / 60
                peaks = sum(high * math.exp(-(((time - when) / 1.5) ** 2)) for when, high in curve.peaks)
                noise = Random(f"{meter} {at}").uniform(0.9, 1.1)  # noqa: S311 - not for secrets
                found.append(Input(meter, at, round((curve.base + peaks) * noise, 3)))
    return found
