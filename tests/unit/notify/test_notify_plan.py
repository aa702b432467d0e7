"""What is due, by each way: first notices, reminders, escalations, quiet hours, over restarts."""

from typing import Any

import msgspec
import pytest

from maestro.messages.todo import TodoItem, Waits
from maestro.notify import plan
from maestro.notify.plan import Book, Known, Step, is_quiet, key_of
from maestro.settings.notify import NotifySettings

#: 2026-11-29 12:00 UTC, a Sunday.
NOON = 1795953600.0
SERVED = ("sysA", "sysB")


def item(kind: Waits = Waits.PENDING, **more: Any) -> TodoItem:
    return TodoItem(**{"kind": kind, "system": "sysA", "reprocessing": "r1", "since": "2026-11-29T11:50:00Z"} | more)


def settings(**more: Any) -> NotifySettings:
    return NotifySettings.model_validate({"remind_after": 60, "escalate_after": 240} | more)


def steps(book: Book, now: float, way: str = "slack") -> list[Step]:
    """Tell what is due, and return as what."""
    due = book.due(way, now)
    book.told(way, due, now)
    return [one.step for one in due]


def test_each_step_is_told_once_and_by_each_way() -> None:
    book = Book(settings())
    assert book.seen([item()], SERVED, NOON)
    assert not book.seen([item()], SERVED, NOON + 15), "nothing new is to be kept"
    assert steps(book, NOON + 15) == [Step.FIRST]
    assert steps(book, NOON + 3600) == []
    assert steps(book, NOON + 3615) == [Step.REMINDER]
    assert steps(book, NOON + 4 * 3600) == []
    assert steps(book, NOON + 4 * 3600 + 15) == [Step.ESCALATION]
    assert steps(book, NOON + 40 * 3600) == []
    assert steps(book, NOON + 40 * 3600, "email") == [Step.FIRST]


def test_what_is_due_says_how_long_it_waits() -> None:
    book = Book(settings())
    book.seen([item(), item(Waits.ERRORS, since="", reprocessing="", cause="x")], SERVED, NOON)
    assert [one.waited for one in book.due("slack", NOON + 60)] == [660.0, 60.0]


@pytest.mark.parametrize(("remind", "escalate", "told"), [(0, 240, []), (60, 0, [Step.REMINDER]), (0, 0, [])])
def test_a_step_can_be_left_out(remind: float, escalate: float, told: list[Step]) -> None:
    book = Book(settings(remind_after=remind, escalate_after=escalate))
    book.seen([item()], SERVED, NOON)
    steps(book, NOON)
    assert steps(book, NOON + 3700) == told


def test_after_a_long_pause_only_the_last_step_is_told() -> None:
    book = Book(settings())
    book.seen([item()], SERVED, NOON)
    steps(book, NOON)
    assert steps(book, NOON + 9 * 3600) == [Step.ESCALATION]
    assert steps(book, NOON + 18 * 3600) == []


def test_a_restart_tells_nothing_again_and_forgets_no_time() -> None:
    book = Book(settings())
    book.seen([item()], SERVED, NOON)
    steps(book, NOON)
    kept = msgspec.json.decode(msgspec.json.encode(book.known), type=dict[str, Known])
    again = Book(settings(), kept)
    assert again.due("slack", NOON + 30) == [], "nothing was seen yet"
    again.seen([item()], SERVED, NOON + 30)
    assert steps(again, NOON + 30) == []
    assert steps(again, NOON + 3600) == [Step.REMINDER]


def test_a_system_that_is_silent_after_a_restart_loses_nothing() -> None:
    book = Book(settings(kinds=["pending", "unavailable"]))
    book.seen([item()], SERVED, NOON)
    steps(book, NOON)
    silent = item(Waits.UNAVAILABLE, reprocessing="", since="")
    for second in (10, 60, 119):
        book.seen([silent], SERVED, NOON + second)
        assert steps(book, NOON + second) == [], "systems are silent for a moment when they start"
    book.seen([silent], SERVED, NOON + 140)
    assert steps(book, NOON + 140) == [Step.FIRST], "silent for long"
    book.seen([item()], SERVED, NOON + 200)
    assert steps(book, NOON + 200) == []
    assert steps(book, NOON + 3600) == [Step.REMINDER]


def test_what_is_gone_for_a_while_is_forgotten_and_what_comes_back_is_new() -> None:
    book = Book(settings())
    book.seen([item()], SERVED, NOON)
    steps(book, NOON)
    book.seen([], SERVED, NOON + 10)
    book.seen([item()], SERVED, NOON + 30)
    assert steps(book, NOON + 30) == [], "it was gone for a moment"
    book.seen([], SERVED, NOON + 40)
    assert book.due("slack", NOON + 4000) == [], "what is gone is told to nobody"
    book.seen([], SERVED, NOON + 40 + plan.FORGET_AFTER)
    assert book.known == {}
    book.seen([item()], SERVED, NOON + 300)
    assert steps(book, NOON + 300) == [Step.FIRST]


def test_a_system_that_is_not_served_is_remembered_for_a_day() -> None:
    book = Book(settings())
    book.seen([item()], SERVED, NOON)
    book.seen([], (), NOON + 10)
    book.seen([], (), NOON + 3600)
    assert book.known
    book.seen([], (), NOON + 10 + plan.DAY)
    assert book.known == {}


def test_other_kinds_are_not_told() -> None:
    book = Book(settings(kinds=["doubt"]))
    book.seen([item(), item(Waits.DOUBT, key="7", reprocessing="")], SERVED, NOON)
    assert [one.item.kind for one in book.due("slack", NOON)] == [Waits.DOUBT]


def test_things_are_bounded_and_the_others_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "MOST", 2)
    book = Book(settings())
    book.seen([item(reprocessing=f"r{n}") for n in range(5)], SERVED, NOON)
    assert (len(book.known), len(book.due("slack", NOON)), book.left_out) == (2, 2, 3)


def test_what_fails_alike_is_one_thing() -> None:
    one = item(Waits.ERRORS, reprocessing="", cause="discovery: 400 for i1, try 3", instance_id="i1", count=1)
    other = item(Waits.ERRORS, reprocessing="", cause="discovery: 400 for i2, try 5", instance_id="i2", count=9)
    third = item(Waits.ERRORS, reprocessing="", cause="domain: refused", instance_id="i2")
    assert key_of(one) == key_of(other) != key_of(third)
    assert key_of(item()) != key_of(item(Waits.PAUSED)), "a run that pauses is another thing to do"


@pytest.mark.parametrize(
    ("quiet", "zone", "hours"),
    [
        ("22:00-07:00", "UTC", {22, 23, 0, 1, 2, 3, 4, 5, 6}),
        ("12:00-14:00", "UTC", {12, 13}),
        ("22:00-07:00", "America/Sao_Paulo", {1, 2, 3, 4, 5, 6, 7, 8, 9}),
        ("", "UTC", set()),
    ],
)
def test_quiet_hours_are_those_of_their_clock(quiet: str, zone: str, hours: set[int]) -> None:
    chosen = settings(quiet=quiet, quiet_zone=zone)
    midnight = NOON - 12 * 3600
    assert {hour for hour in range(24) if is_quiet(chosen, midnight + hour * 3600 + 59)} == hours


def test_in_quiet_hours_only_what_is_excepted_is_told_and_the_rest_afterwards() -> None:
    book = Book(settings(quiet="12:00-14:00", quiet_except=["doubt"]))
    book.seen([item(), item(Waits.DOUBT, key="7", reprocessing="")], SERVED, NOON)
    assert [one.item.kind for one in book.due("slack", NOON)] == [Waits.DOUBT]
    assert steps(book, NOON) == [Step.FIRST]
    assert steps(book, NOON + 2 * 3600) == [Step.FIRST, Step.REMINDER]
