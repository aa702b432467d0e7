"""A bounded number of walks in doubt; more by `python -m tests.random_driver --doubts --seeds A..B`."""

from collections import Counter

import pytest

from tests.random_driver.doubts import walk

#: Seven seconds of one core.
SEEDS = 60
#: What the walks must have met, or they show nothing.
MET = {
    *("event: doubt", "held: doubt", "replay: doubt", "two commits without ok", "a call is put off"),
    *("an event waits for a doubt", "left, perhaps under way"),
    *("held: overtaken", "held: harmless to make again"),
}


@pytest.mark.timeout(300)
def test_the_rules_hold_while_commits_are_in_doubt() -> None:
    met = Counter[str]()
    for seed in range(SEEDS):
        try:
            walk(seed, met)
        except Exception as problem:  # noqa: BLE001 - whatever breaks, the seed is the finding
            pytest.fail(f"seed {seed} (python -m tests.random_driver --doubts --seeds {seed}): {problem!r}")
    assert set(met) >= MET
