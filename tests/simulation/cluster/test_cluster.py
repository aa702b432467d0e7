"""Simulated clusters as tests: a share of the worlds, the planted mistakes, and how long a take-over takes."""

from collections.abc import Callable

import pytest

from tests.simulation.cluster.mistakes import MISTAKES
from tests.simulation.cluster.take_over import take_overs
from tests.simulation.cluster.world import run
from tests.simulation.engine import Violation

PATIENCE = 400
#: Seeds that have shown a mistake which most do not show. They are tried first; when the worlds change, all are.
SHOWN_BY = {
    "delete_unguarded": 12,
    "read_the_clock_after_the_answer": 57,
    "allow_for_no_drift": 38,
    "fence_by_number_only": 37,
    "join_over_a_lease_that_is_held": 12,
    "release_whatever_claim_it_is": 974,
    "forget_a_claim_without_an_answer": 13,
    "ignore_the_lease_before_an_effect": 50,
}


@pytest.mark.parametrize("begin", range(0, 100, 25))
def test_the_rules_hold(begin: int) -> None:
    for seed in range(begin, begin + 25):
        try:
            run(seed)
        except Exception as problem:  # noqa: BLE001 - whatever breaks, the seed is the finding
            pytest.fail(f"seed {seed} (python -m tests.simulation.cluster --seeds {seed}): {problem!r}")


@pytest.mark.timeout(300)
@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: str(mistake.__name__))
def test_each_mistake_is_found(mistake: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch) -> None:
    mistake(monkeypatch)
    seeds = (SHOWN_BY.get(mistake.__name__, 0), *range(PATIENCE))
    shown = next((seed for seed in seeds if _fails(seed)), None)
    assert shown is not None
    monkeypatch.undo()
    run(shown)  # it is the mistake that fails there, and nothing else


def _fails(seed: int) -> bool:
    try:
        run(seed)
    except Violation:
        return True
    return False


def test_a_lost_nodes_systems_are_served_within_the_promise() -> None:
    """10 s are promised, of which the simulation leaves out how long loading a store takes."""
    assert max(seconds for seed in range(30) for seconds in take_overs(seed)) < 8.0
