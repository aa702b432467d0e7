"""The walk that lives in doubt finds what it is for: planted mistakes in what may be made again, and when."""

from collections.abc import Callable
from typing import Any

import pytest

from maestro.rules import committing, kept, resolving
from maestro.rules.doubt import Doubt, Use
from maestro.rules.state import System
from maestro.rules.step import Save, SaveDoubt, Step
from tests.random_driver.doubts import walk

Plant = pytest.MonkeyPatch
#: These walks pass without a mistake (`test_doubts`).
PATIENCE = 60


def repeat_beside_a_run_without_lock(plant: Plant) -> None:
    def stays_harmless(system: System, doubt: Doubt) -> bool:
        return doubt.use is not Use.HELD or not (doubt.overtaken or any(True for _ in committing.under_way(system)))

    plant.setattr(resolving, "_stays_harmless", stays_harmless)


def repeat_over_what_was_made_since(plant: Plant) -> None:
    plant.setattr(resolving, "_stays_harmless", lambda system, doubt: not system.documents[doubt.document].forking)


def keep_what_was_permitted_before(plant: Plant) -> None:
    """A held commit that may be made again stays so, whatever is made before it is called."""
    plant.setattr(kept, "_is_yet_to_be_made_again", lambda _system, _doubt: False)


def note_nothing_as_overtaken(plant: Plant) -> None:
    outdate = kept.outdate

    def forgetful(system: System, committed: Any, step: Step) -> None:
        doubts, system.doubts = system.doubts, {}
        outdate(system, committed, step)
        system.doubts = doubts

    plant.setattr(kept, "outdate", forgetful)


def call_beside_a_doubt(plant: Plant) -> None:
    plant.setattr(committing, "put_off", lambda *_: False)


def wait_for_no_end(plant: Plant) -> None:
    plant.setattr(committing, "has_ended", lambda *_: True)


def take_what_is_stored_for_the_last_call(plant: Plant) -> None:
    plant.setattr(committing, "_is_over", lambda *_: True)


def note_nothing_made_beside(plant: Plant) -> None:
    plant.setattr(committing, "_note_beside", lambda *_args, **_more: None)


def retry_without_a_proof(plant: Plant) -> None:
    plant.setattr(resolving, "holds_up", lambda *_: False)


def store_no_doubt(plant: Plant) -> None:
    save = Step.save

    def forgetful(step: Step, *saves: Save) -> None:
        save(step, *(one for one in saves if not isinstance(one, SaveDoubt)))

    plant.setattr(Step, "save", forgetful)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("mistake", "shown_by"),
    [
        (repeat_beside_a_run_without_lock, 522),
        (repeat_over_what_was_made_since, 57),
        (keep_what_was_permitted_before, 175),
        (note_nothing_as_overtaken, 57),
        (call_beside_a_doubt, 18),
        (wait_for_no_end, 4),
        (take_what_is_stored_for_the_last_call, 94),
        (note_nothing_made_beside, 731),
        (retry_without_a_proof, 17),
        (store_no_doubt, 0),
    ],
    ids=lambda value: str(getattr(value, "__name__", "")),
)
def test_a_planted_mistake_is_found(mistake: Callable[[Plant], None], shown_by: int, monkeypatch: Plant) -> None:
    """The seed that showed it when this was written comes first: others take their time."""
    mistake(monkeypatch)
    for seed in (shown_by, *range(PATIENCE)):
        try:
            walk(seed)
        except AssertionError:
            return
    pytest.fail(f"not found in {PATIENCE} walks")
