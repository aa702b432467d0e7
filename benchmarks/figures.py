"""What a run of the benchmark measured: rows of figures, each beside its floor and the wanted figure."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any


@dataclass
class Row:
    """One line of the table.

    `value` is the figure in `unit`; `floor` the same work without Maestro, measured in the same run; `wanted` a bound
    on `value`: at least it, or at most it when `at_most`. `more` holds percentiles, CPU, memory.
    """

    name: str
    value: float
    unit: str
    wanted: float | None = None
    at_most: bool = False
    floor: float | None = None
    more: dict[str, Any] = field(default_factory=dict)

    @property
    def met(self) -> bool | None:
        if self.wanted is None:
            return None
        return self.value <= self.wanted if self.at_most else self.value >= self.wanted

    @property
    def ratio(self) -> float | None:
        return self.value / self.floor if self.floor else None

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"met": self.met, "ratio": self.ratio}


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """Return p50, p90 and p99 of `values` (in seconds) in milliseconds."""
    ordered = sorted(values)
    if not ordered:
        return {}
    return {
        f"p{percent} ms": round(1000 * ordered[min(len(ordered) - 1, len(ordered) * percent // 100)], 3)
        for percent in (50, 90, 99)
    }


def middle(runs: Sequence[Row]) -> Row:
    """Return the run whose value is the median one, with the spread of all."""
    ordered = sorted(runs, key=lambda row: row.value)
    chosen = ordered[(len(ordered) - 1) // 2]
    if len(runs) > 1:
        chosen.more["runs"] = [round(row.value, 2) for row in runs]
        chosen.more["median"] = round(median(row.value for row in runs), 2)
    return chosen
