import pytest
from hypothesis import given
from hypothesis import strategies as st

from maestro.cluster.lease import Terms


def test_the_terms_are_those_of_the_design() -> None:
    terms = Terms()
    assert terms.believed == pytest.approx(4.90, abs=0.005)
    assert terms.broken_after == pytest.approx(5.10, abs=0.005)
    assert terms.beat_every == 0.5


@given(
    seconds=st.floats(0.1, 60.0),
    drift=st.floats(0.0, 0.2),
    owner=st.floats(-1.0, 1.0),
    challenger=st.floats(-1.0, 1.0),
    way=st.floats(0.0, 10.0),
)
def test_nobody_believes_a_lease_that_may_be_broken(
    seconds: float, drift: float, owner: float, challenger: float, way: float
) -> None:
    """Whatever the two clocks do within the drift, and however long the beat was on its way."""
    terms = Terms(seconds, drift)
    sent, seen = 0.0, way
    believed_until = sent + terms.believed / (1 + owner * drift)
    broken_from = seen + terms.broken_after / (1 + challenger * drift)
    assert believed_until <= broken_from


@pytest.mark.parametrize(("seconds", "drift"), [(0.0, 0.01), (-1.0, 0.01), (5.0, 1.0), (5.0, -0.1)])
def test_terms_that_cannot_be_kept_are_refused(seconds: float, drift: float) -> None:
    with pytest.raises(ValueError, match="cannot be kept"):
        Terms(seconds, drift)
