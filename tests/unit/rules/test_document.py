import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from maestro.rules.document import Document, UnitState
from maestro.rules.impact import Impacted
from maestro.rules.status import IllegalTransition, Status, Trigger
from tests.unit.rules.driver import P1, P2, P3, origin

CALM = settings(deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])


@pytest.fixture
def doc() -> Document:
    document = Document("d1", "s", 1, "t", "master", forking=False, held_instance="i1", pending_event=b"{}", origin=b"")
    document.add([origin(P1), origin(P2), origin(P3)])
    return document


def test_units_are_taken_in_their_turns_until_none_is_outstanding(doc: Document) -> None:
    taken = []
    while (unit := doc.take_next()) is not None:
        unit.state = UnitState.DONE
        taken.append(unit.instance_id)
    assert taken == ["p1", "p2", "p3"]
    assert doc.current is None


def test_a_new_round_is_at_the_end_of_the_line(doc: Document) -> None:
    first = doc.take_next()
    assert first is not None
    first.begin_send(0.0)
    first.state = UnitState.DONE
    doc.add_round(first)
    assert [unit.instance_id for unit in doc.not_done()] == ["p2", "p3", "p1"]
    assert (first.round, first.first_send, first.attempts) == (2, 2, 0)


def test_a_unit_put_back_keeps_its_turn(doc: Document) -> None:
    first = doc.take_next()
    assert first is not None
    first.begin_send(0.0)
    doc.put_back_current()
    assert doc.take_next() is first


@pytest.mark.parametrize("state", [UnitState.ASSESSING, UnitState.COMMITTING])
def test_an_accepted_result_is_not_put_back(doc: Document, state: UnitState) -> None:
    first = doc.take_next()
    assert first is not None
    first.state = state
    doc.put_back_current()
    assert doc.current is first


@pytest.mark.parametrize(
    ("instance", "branch", "send", "answers"),
    [
        ("p1", "master", "", True),
        ("p1", "b1", "", False),
        ("p2", "master", "", False),
        ("p1", "master", "d1.0.3", True),
        ("p1", "master", "d1.0.2", True),
        ("p1", "anything", "d1.0.2", False),
        ("p1", "master", "d1.0.1", False),
        ("p1", "master", "d1.0.4", False),
        ("p2", "master", "d1.0.3", False),
        ("p1", "master", "d2.0.3", False),
    ],
)
def test_which_answer_counts(doc: Document, instance: str, branch: str, send: str, *, answers: bool) -> None:
    unit = doc.take_next()
    assert unit is not None
    unit.begin_send(0.0)
    unit.begin_round(0)  # the first send is of a former round
    unit.begin_send(0.0)
    unit.begin_send(0.0)
    for state in UnitState:
        unit.state = state
        in_flight = state in (UnitState.SENDING, UnitState.SENT)
        assert doc.is_answer(instance, branch, send) is (answers and in_flight)


def test_a_move_is_recorded_and_an_illegal_one_changes_nothing(doc: Document) -> None:
    doc.move(Trigger.APPROVE, 5.0, "anna")
    with pytest.raises(IllegalTransition):
        doc.move(Trigger.SKIP, 6.0, "ben")
    assert doc.status is Status.APPROVED
    assert [(entry.status, entry.at, entry.user) for entry in doc.history] == [(Status.APPROVED, 5.0, "anna")]


def do(doc: Document, doing: str, number: int) -> None:
    unit = doc.current
    match doing:
        case "take" if unit is None:
            outstanding = [left for left in doc.not_done() if left.state is UnitState.OUTSTANDING]
            taken = doc.take_next()
            assert taken is (outstanding[0] if outstanding else None)
            if taken is not None:
                taken.begin_send(0.0)
        case "done" if unit is not None:
            unit.state, doc.current = UnitState.DONE, None
        case "back":
            doc.put_back_current()
        case "again" if doc.units[P1.key].state is UnitState.DONE:
            doc.add_round(doc.units[P1.key])
        case "add":
            doc.add([origin(Impacted(f"x{number}", "master"))])
        case "load":
            doc.load(list(doc.units.values()))


@CALM
@given(st.lists(st.sampled_from(("take", "done", "back", "again", "add", "load")), max_size=40))
def test_no_unit_is_lost_or_taken_twice_whatever_happens(doings: list[str]) -> None:
    doc = Document("d1", "s", 1, "t", "master", forking=False, held_instance="i1", pending_event=b"{}", origin=b"")
    doc.add([origin(P1), origin(P2)])
    for number, doing in enumerate(doings):
        do(doc, doing, number)
    left = [unit for unit in doc.not_done() if unit is not doc.current]
    if doc.current is not None:
        doc.current.state = UnitState.DONE
    for expected in left:
        assert doc.take_next() is expected
        expected.state = UnitState.DONE
    assert doc.take_next() is None
