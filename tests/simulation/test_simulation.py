from collections.abc import Callable

import pytest

from tests.simulation.mistakes import MISTAKES
from tests.simulation.world import run

SEEDS = 300
PATIENCE = 500


@pytest.mark.parametrize("first", range(0, SEEDS, 50))
def test_the_rules_hold_whatever_goes_wrong(first: int) -> None:
    for seed in range(first, first + 50):
        try:
            run(seed)
        except Exception as problem:  # noqa: BLE001 - whatever breaks, the seed is the finding
            pytest.fail(f"seed {seed} (python -m tests.simulation --seeds {seed}): {problem!r}")


def test_the_same_seed_is_the_same_history() -> None:
    assert run(7).history == run(7).history


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
        except Exception:  # noqa: BLE001 - some mistakes trip the rules' own assertions first
            return seed
    return PATIENCE
