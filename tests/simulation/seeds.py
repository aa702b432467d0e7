"""Seeds as tests. A worker of the test run takes a whole file, so small files let the workers share the seeds."""

from collections.abc import Callable

import pytest

from tests.simulation.world import run

A_FILE = 200
A_TEST = 50


def worlds_from(first: int) -> Callable[[int], None]:
    """Return the tests of the `A_FILE` seeds from `first` on."""

    @pytest.mark.parametrize("begin", range(first, first + A_FILE, A_TEST))
    def rules_hold(begin: int) -> None:
        for seed in range(begin, begin + A_TEST):
            try:
                run(seed)
            except Exception as problem:  # noqa: BLE001 - whatever breaks, the seed is the finding
                pytest.fail(f"seed {seed} (python -m tests.simulation --seeds {seed}): {problem!r}")

    return rules_hold
