"""The checks of this driver find what they are for: one planted mistake for each of them."""

from collections.abc import Callable
from typing import Any

import pytest

from maestro.rules import judging, leaving_out, settling, waiting
from maestro.rules.document import Document
from maestro.rules.state import System
from maestro.rules.status import Status
from tests.random_driver.walk import walk

Plant = pytest.MonkeyPatch
PATIENCE = 80


def acknowledge_what_is_to_wait(plant: Plant) -> None:
    """I1."""
    plant.setattr(waiting, "wait", lambda _system, delivery, step: settling.settle(delivery, step))


def judge_the_newest_first(plant: Plant) -> None:
    """I2."""
    judge = judging._judge_next

    def newest(system: System, step: Any) -> None:
        if system.waiting:
            system.waiting.move_to_end(next(reversed(system.waiting)), last=False)
        judge(system, step)

    plant.setattr(judging, "_judge_next", newest)


def judge_on_while_one_is_pending(plant: Plant) -> None:
    """I3."""
    plant.setattr(Document, "blocks", property(lambda doc: doc.status is Status.RUNNING))


def finish_with_units_outstanding(plant: Plant) -> None:
    """I5."""
    plant.setattr(leaving_out, "nothing_else_left", lambda *_: True)


def unlock_while_it_runs(plant: Plant) -> None:
    """I6."""
    plant.setattr(Document, "locks", property(lambda doc: doc.status is Status.RUNNING and not doc.held_committed))


def forget_that_it_was_committed(plant: Plant) -> None:
    """I7."""

    def forgetful(system: System, delivery: Any, step: Any) -> None:
        finish(system, delivery, step)
        if delivery.key in system.deliveries:
            system.finished.remove(delivery.key)
            settling.forget(system, delivery, step)

    finish = settling.finish
    plant.setattr(judging, "finish", forgetful)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "mistake",
    [
        acknowledge_what_is_to_wait,
        judge_the_newest_first,
        judge_on_while_one_is_pending,
        finish_with_units_outstanding,
        unlock_while_it_runs,
        forget_that_it_was_committed,
    ],
    ids=lambda mistake: str(mistake.__name__),
)
def test_a_planted_mistake_is_found(mistake: Callable[[Plant], None], monkeypatch: Plant) -> None:
    mistake(monkeypatch)
    for seed in range(PATIENCE):
        try:
            walk(seed)
        except AssertionError:
            return
    pytest.fail(f"not found in {PATIENCE} walks")
