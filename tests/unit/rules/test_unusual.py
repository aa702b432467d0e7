"""What past values say of a new one: cases with the figures they rest on."""

import math

import pytest

from maestro.rules.unusual import ENOUGH, LIMIT, Verdict, measured, slipped

#: A plant's load of some days.
LOAD = (3790.0, 3815.0, 3821.0, 3805.0, 3850.0, 3802.0, 3830.0)


@pytest.mark.parametrize(
    ("new", "past", "verdict"),
    [
        (38211.0, LOAD, Verdict.UNUSUAL),
        (3821.0, LOAD, Verdict.USUAL),
        (3870.0, LOAD, Verdict.USUAL),
        (3900.0, LOAD, Verdict.UNUSUAL),
        (382.1, LOAD, Verdict.UNUSUAL),
        (-3821.0, LOAD, Verdict.UNUSUAL),
        # One slip in the past moves neither the median nor the spread: a mean would have been fooled.
        (38211.0, (*LOAD, 38150.0), Verdict.UNUSUAL),
        (3821.0, (*LOAD, 38150.0), Verdict.USUAL),
        # More than half are equal: the mean of the distances stands in.
        (1.1, (1.0, 1.0, 1.0, 1.0, 1.5), Verdict.USUAL),
        (9.0, (1.0, 1.0, 1.0, 1.0, 1.5), Verdict.UNUSUAL),
        (2.0, (1.0,) * ENOUGH, Verdict.CONSTANT),
        (1.0, (1.0,) * ENOUGH, Verdict.USUAL),
        (0.0, (0.0,) * ENOUGH, Verdict.USUAL),
        (38211.0, LOAD[: ENOUGH - 1], Verdict.TOO_FEW),
        (1.0, (), Verdict.TOO_FEW),
        (math.inf, LOAD, Verdict.TOO_FEW),
        (5.0, (1.0, 2.0, 3.0, 4.0, math.nan), Verdict.TOO_FEW),
        (1.0, (1e308, -1e308) * 3, Verdict.TOO_FEW),
    ],
)
def test_a_new_value_against_past_ones(new: float, past: tuple[float, ...], verdict: Verdict) -> None:
    assert measured(new, past).verdict is verdict


def test_what_it_rests_on_is_told() -> None:
    measure = measured(38211.0, LOAD)
    assert (measure.count, measure.median, measure.low, measure.high) == (7, 3815.0, 3790.0, 3850.0)
    assert measure.spread == pytest.approx(1.4826 * 13)  # distances 0, 6, 10, 13, 15, 25, 35
    assert measure.score == pytest.approx((38211.0 - 3815.0) / (1.4826 * 13))


def test_the_limit_is_not_beyond_itself() -> None:
    past = (0.0, 1.0, 2.0, 3.0, 4.0)
    edge = 2.0 + LIMIT * 1.4826
    assert measured(edge, past).verdict is Verdict.USUAL
    assert measured(edge + 1e-9, past).verdict is Verdict.UNUSUAL


def test_without_enough_nothing_is_said() -> None:
    measure = measured(9.0, (1.0, 2.0))
    assert (measure.count, measure.median, measure.spread, measure.score) == (2, None, None, None)


@pytest.mark.parametrize(
    ("old", "new", "places"),
    [
        (3821, 38211, 1),
        (3821, 382.1, -1),
        (1.4674, 146.74, 2),
        (-5.0, -50.0, 1),
        (3821, 3822, 0),
        (3821, 42000, 0),
        (10.0, 99.5, 1),
        (10.0, 98.0, 0),
        (5.0, -50.0, 0),
        (0.0, 10.0, 0),
        (10.0, 0.0, 0),
        (math.inf, 1.0, 0),
        (1.0, 1e6, 6),
        (1.0, 1e7, 0),
        (1e-300, 1e300, 0),
    ],
)
def test_a_slip_of_a_digit_or_the_point(old: float, new: float, places: int) -> None:
    assert slipped(old, new) == places
