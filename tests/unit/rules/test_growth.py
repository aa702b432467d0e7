"""What past runs of a kind became says what the next one will become."""

import pytest
from msgspec import json

from maestro.events import MASTER
from maestro.rules.growth import REMEMBERED, Growth, Likely, Run
from maestro.rules.impact import Impacted
from maestro.rules.pace import ALL, ENOUGH, MAX_NAMES, Pace
from maestro.rules.unit import UnitState, name_of
from maestro.system.views import document_brief
from tests.unit.rules.driver import P1, Driver

NAME = "rectify.quote"


def unit(instance: str) -> Impacted:
    return Impacted(instance, MASTER)


def past(*runs: tuple[int, int], name: str = NAME) -> Growth:
    return Growth({name: tuple(Run(*run) for run in runs)})


def pending(it: Driver, *units: Impacted) -> None:
    it.hold("i1", *(units or (P1,)))
    it.doc.origin = json.encode({"name": NAME})


@pytest.mark.parametrize(
    ("runs", "now", "wanted"),
    [
        ([(4, 14)] * 3, 4, (14, 14, 14)),
        ([(4, 9), (4, 14), (4, 20)], 4, (14, 9, 20)),
        ([(2, 2), (2, 2), (2, 14)], 2, (2, 2, 14)),
        ([(4, 2), (4, 2), (4, 2)], 4, (4, 4, 4)),  # left out in the past: what is shown now is the least
        ([(1, 4), (1, 4), (7, 10)], 7, (10, 10, 28)),  # by three, or four times: both are told
    ],
)
def test_it_grows_as_its_like_did(runs: list[tuple[int, int]], now: int, wanted: tuple[int, int, int]) -> None:
    it = Driver()
    pending(it, *(unit(f"p{number}") for number in range(now)))
    found = past(*runs).likely(it.doc)
    assert found is not None
    assert (found.units, found.least, found.most) == wanted
    assert (found.runs, found.name) == (len(runs), NAME)


@pytest.mark.parametrize(("now", "told"), [(61, False), (8, False), (7, True), (1, True)])
def test_nothing_is_said_of_more_than_any_past_run_showed(now: int, *, told: bool) -> None:
    """As the demo had it: runs of one to seven units became four to seven, and 61 were said to become 244."""
    it = Driver()
    pending(it, *(unit(f"p{number}") for number in range(now)))
    assert (past((1, 4), (1, 7), (1, 4), (7, 10)).likely(it.doc) is not None) == told


def test_nothing_is_said_of_less_than_any_past_run_showed() -> None:
    it = Driver()
    pending(it)
    assert past(*[(10, 40)] * ENOUGH).likely(it.doc) is None


def test_nothing_is_said_without_enough_runs_of_its_kind() -> None:
    it = Driver()
    pending(it)
    assert past(*[(1, 2)] * (ENOUGH - 1)).likely(it.doc) is None
    assert past(*[(1, 2)] * ENOUGH, name="another").likely(it.doc) is None
    it.doc.origin = b""
    assert past(*[(1, 2)] * ENOUGH).likely(it.doc) is None


def test_the_run_that_grew_most_is_named() -> None:
    it = Driver()
    pending(it)
    found = past((1, 2), (2, 30), (10, 40)).likely(it.doc)
    assert found is not None
    assert found.surprise == Run(2, 30)


def test_memory_is_bounded() -> None:
    it = Driver()
    pending(it)
    for one in it.doc.order:
        one.state = UnitState.DONE
    growth = Growth()
    for _ in range(REMEMBERED + 5):
        assert growth.finished(it.doc) == NAME
    assert len(growth.by_name[NAME]) == REMEMBERED
    growth.by_name |= {f"name{number}": () for number in range(MAX_NAMES)}
    it.doc.origin = b'{"name":"one more"}'
    assert growth.finished(it.doc) == ""


def test_a_run_that_finished_is_remembered_over_a_restart_and_shown_before_the_next_decision() -> None:
    it = Driver()
    pending(it, P1)
    it.approve()
    it.start()
    it.held_committed()
    it.replay("a", "p1", unit("p2"))
    it.replay("b", "p2")
    it.end()
    it.restart()
    assert it.system.growth.by_name == {NAME: (Run(1, 2),)}
    it.system.growth.by_name[NAME] = (Run(2, 4),) * ENOUGH
    it.hold("next", P1, unit("p9"), id_="next")
    doc = it.system.documents["next"]
    doc.origin = json.encode({"name": NAME})
    assert it.system.growth.likely(doc) == Likely(4, 4, 4, ENOUGH, NAME, Run(2, 4))
    shown = document_brief(it.system, doc, it.repository)["likely"]
    assert (shown["units"], shown["surprise"]) == (4, {"shown": 2, "made": 4})
    it.system.paces.by_name = {ALL: Pace(50, 1.0), name_of(doc.order[0].origin): Pace(50, 30.0)}
    brief = document_brief(it.system, doc, it.repository)
    assert brief["likely"]["seconds"] == brief["estimate"]["seconds"] + 2.0, "two more than are shown, at any pace"
    assert brief["estimate"]["seconds"] >= 30.0
    it.approve("next")
    assert document_brief(it.system, doc, it.repository)["likely"] is None, "its own run tells from here on"


def test_further_rounds_are_replays_and_no_units_that_were_shown() -> None:
    it = Driver()
    pending(it, P1, unit("p2"))
    it.approve()
    it.start()
    it.held_committed()
    it.replay("a", "p1")
    it.replay("b", "p2", P1)
    it.replay("c", "p1")
    it.end()
    assert it.system.growth.by_name == {NAME: (Run(2, 3),)}


def test_a_run_that_was_ended_by_hand_says_nothing() -> None:
    it = Driver()
    pending(it, P1)
    it.approve()
    it.start()
    it.held_committed()
    it.sent()
    it.override("finished")
    it.end()
    assert not it.system.growth.by_name
