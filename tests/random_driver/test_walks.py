"""A bounded number of walks with every test run; more by `python -m tests.random_driver --seeds A..B`."""

import pytest

from tests.random_driver.walk import walk

#: Less than a minute of one core.
SEEDS, A_TEST = 800, 100


@pytest.mark.timeout(300)
@pytest.mark.parametrize("begin", range(0, SEEDS, A_TEST))
def test_the_rules_hold_whatever_happens_next(begin: int) -> None:
    for seed in range(begin, begin + A_TEST):
        try:
            walk(seed)
        except Exception as problem:  # noqa: BLE001 - whatever breaks, the seed is the finding
            pytest.fail(f"seed {seed} (python -m tests.random_driver --seeds {seed}): {problem!r}")


def test_the_same_seed_is_the_same_walk() -> None:
    assert walk(3) == walk(3)
