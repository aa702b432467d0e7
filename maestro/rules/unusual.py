"""How unusual a new value is, measured by the past values of the same field of the same row. Pure.

The middle of the past values is their median. Their spread is the median of their distances from it (the median
absolute deviation), times 1.4826, which makes it comparable to a standard deviation. One past slip does not move them,
as it would move a mean. Where more than half of the values are equal there is no such spread: the mean of the distances
takes its place, times 1.2533. A new value further than 3.5 spreads from the median is called unusual (Iglewicz and
Hoaglin, 1993: the modified z-score). Of fewer than five past values nothing is said.

What needs no past: a value about ten, a hundred, … times the old one, or a tenth of it, looks as if a digit or the
decimal point had slipped.
"""

import math
from collections.abc import Sequence
from enum import StrEnum
from statistics import median
from typing import Final

from msgspec import Struct

#: Past values below which nothing is said.
ENOUGH: Final = 5
#: Spreads from the median beyond which a value is unusual.
LIMIT: Final = 3.5
#: They make the spread of normally distributed values their standard deviation.
_OF_MEDIAN: Final = 1.4826
_OF_MEAN: Final = 1.2533
#: How near to a power of ten the new value is to the old one, as a share, to be taken for a slip.
_NEAR: Final = 0.01
#: Places beyond which it is no slip.
_MOST_PLACES: Final = 6


class Verdict(StrEnum):
    """What the past says of a new value."""

    UNUSUAL = "unusual"
    USUAL = "usual"
    #: All past values were the same one, and the new one is another.
    CONSTANT = "constant"
    #: There are too few past values to say anything.
    TOO_FEW = "too_few"


class Measure(Struct, frozen=True):
    """A verdict and what it rests on; None: not told without enough past values."""

    verdict: Verdict
    #: Past values, the one that is replaced among them.
    count: int
    median: float | None = None
    spread: float | None = None
    low: float | None = None
    high: float | None = None
    #: Spreads between the new value and the median; None: the past has no spread.
    score: float | None = None


def measured(new: float, past: Sequence[float]) -> Measure:
    """Measure a new value by past ones. Values that are no finite numbers are not counted."""
    values = [one for one in map(float, past) if math.isfinite(one)]
    if len(values) < ENOUGH or not math.isfinite(new):
        return Measure(Verdict.TOO_FEW, len(values))
    middle = median(values)
    distances = [abs(one - middle) for one in values]
    spread = _OF_MEDIAN * median(distances) or _OF_MEAN * sum(distances) / len(distances)
    if not math.isfinite(spread):
        return Measure(Verdict.TOO_FEW, 0)  # numbers so large that they cannot be measured
    about = {"median": middle, "low": min(values), "high": max(values)}
    if not spread:
        verdict = Verdict.USUAL if new == middle else Verdict.CONSTANT
        return Measure(verdict, len(values), spread=0.0, **about)
    score = abs(new - middle) / spread
    verdict = Verdict.UNUSUAL if score > LIMIT else Verdict.USUAL
    return Measure(verdict, len(values), spread=spread, score=score, **about)


def slipped(old: float, new: float) -> int:
    """Return by how many places a digit or the decimal point seems to have slipped: 1 for ten times; 0: by none."""
    if not old or not new or not (math.isfinite(old) and math.isfinite(new)) or (old > 0) != (new > 0):
        return 0
    places = math.log10(abs(new)) - math.log10(abs(old))
    whole = round(places)
    return whole if 0 < abs(whole) <= _MOST_PLACES and abs(10 ** (places - whole) - 1) <= _NEAR else 0
