"""Pauses between tries."""

from maestro import backoff
from maestro.backoff import Backoff


def test_a_pause_doubles_up_to_the_longest() -> None:
    assert [backoff.pause(failures, 0.5, 10.0) for failures in range(7)] == [0.5, 1, 2, 4, 8, 10, 10]
    assert backoff.pause(10_000, 0.5, 10.0) == 10.0


def test_a_loop_begins_again_after_a_success() -> None:
    pauses = Backoff(1.0, 3.0)
    assert [pauses.next() for _ in range(3)] == [1, 2, 3]
    pauses.reset()
    assert pauses.next() == 1


def test_a_first_pause_is_never_above_the_longest() -> None:
    assert Backoff(5.0, 2.0).next() == 2.0
