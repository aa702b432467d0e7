from collections.abc import Callable

import pytest

from tests.simulation.engine import Violation
from tests.simulation.mistakes import MISTAKES
from tests.simulation.world import run

PATIENCE = 500


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: str(mistake.__name__))
def test_each_classic_mistake_is_caught(
    mistake: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    mistake(monkeypatch)
    assert _first_failing_seed() < PATIENCE


def _first_failing_seed() -> int:
    for seed in range(PATIENCE):
        try:
            run(seed)
        except (Violation, AssertionError):  # some mistakes trip the rules' own assertions first
            return seed
    return PATIENCE
