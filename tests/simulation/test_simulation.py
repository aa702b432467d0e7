from tests.simulation.world import run


def test_the_same_seed_is_the_same_history() -> None:
    assert run(7).history == run(7).history
