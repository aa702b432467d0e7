"""What was out over a lost connection comes before what is younger, whatever the broker brings first."""

from collections.abc import Iterable
from itertools import islice
from random import Random

import pytest

from maestro.broker.base import Delivery
from maestro.broker.rabbitmq_returning import Returning, mark_of


def message(name: str, *, again: bool = False, body: bytes = b"{}") -> Delivery:
    return Delivery("q", body, name, {}, redelivered=again, tag=object())


def waiting_for(names: Iterable[str]) -> Returning:
    return Returning().next(mark_of(message(name)) for name in names)


def taken(returning: Returning, comes: str) -> str:
    """Return what is handed over when these come: a large letter is flagged as redelivered."""
    return "".join(
        found.message_id
        for name in comes
        for found in returning.take(message(name.lower(), again=name.isupper()))
    )  # fmt: skip


@pytest.mark.parametrize(
    ("out", "comes", "handed_over"),
    [
        ("ab", "AB", "ab"),
        ("ab", "cABd", "abcd"),
        ("ab", "cdeABf", "abcdef"),
        ("ab", "cBAd", "abcd"),  # also where the broker has them in another order
        ("ab", "eABCDf", "abcdef"),  # c and d were on their way to the lost connection
        ("ab", "AcBd", "abcd"),
        ("aab", "cAABd", "aabcd"),  # two messages with the same id and bytes are two
        ("ab", "cEABd", "abecd"),  # e was acknowledged, and the broker did not hear of it
    ],
)
def test_what_was_out_is_first(out: str, comes: str, handed_over: str) -> None:
    returning = waiting_for(out)
    assert taken(returning, comes) == handed_over
    assert returning.complete
    assert not returning.held


def test_nothing_is_handed_over_before_its_turn() -> None:
    returning = waiting_for("abc")
    assert taken(returning, "dBe") == ""
    assert (returning.missing, returning.coming) == (2, False)
    assert taken(returning, "A") == "ab"
    assert (returning.missing, returning.coming) == (1, True)


def test_what_does_not_come_again_is_not_waited_for_for_ever() -> None:
    returning = waiting_for("abc")
    assert taken(returning, "dCeF") == ""
    assert returning.missing == 2
    assert "".join(each.message_id for each in returning.give_up()) == "cfde"
    assert returning.complete
    assert not returning.held


def test_a_second_loss_expects_what_was_held_back_as_well() -> None:
    returning = waiting_for("ab")
    assert taken(returning, "Bc") == ""
    again = returning.next()
    assert taken(again, "CdABE") == "abe"  # e was on its way to the connection that was lost first
    assert again.complete
    assert taken(again, "f") == "cdf"


def test_what_was_handed_over_before_a_second_loss_is_first() -> None:
    returning = waiting_for("abc")
    assert taken(returning, "AeD") == "a"
    again = returning.next([mark_of(message("a"))])
    assert taken(again, "EABCDf") == "abcdef"


def test_what_nobody_knew_of_goes_behind_the_known_one_that_it_came_behind() -> None:
    """b was on its way to the connection that was lost first, e to the second one, which had brought c and d."""
    returning = waiting_for("a")
    assert taken(returning, "cd") == ""
    again = returning.next()
    assert taken(again, "ABfCDE") == "ab"
    assert again.complete
    third = again.next([mark_of(message("a")), mark_of(message("b"))])
    assert taken(third, "ABCDEFg") == "abcdefg"
    assert taken(again, "g") == "cdefg"


def test_what_comes_before_all_known_ones_was_not_given_to_the_first_connection() -> None:
    """c was on its way to the first one, x to the second one, which had brought nothing yet."""
    again = waiting_for("ab").next()
    assert taken(again, "XABC") == "abc"
    assert again.complete
    assert taken(again, "y") == "xy"


def test_what_comes_before_all_known_ones_may_be_of_the_first_connection_once_that_has_begun_to_come() -> None:
    """The second one had brought d, a and b. By then c was back in the queue, which was on its way to the first one."""
    returning = waiting_for("ab")
    assert taken(returning, "dAB") == "ab"
    again = returning.next([mark_of(message("a"))])
    assert taken(again, "CAD") == "ac"
    assert again.complete
    assert "".join(each.message_id for each in again.give_up()) == "d"


def test_what_was_given_back_before_the_loss_is_younger_than_what_was_on_its_way() -> None:
    """x stood in the queue as redelivered, never given to the connection that was lost; c was on its way to it."""
    returning = waiting_for("ab")
    assert taken(returning, "XABC") == "abc"
    assert taken(returning, "d") == "xd"


def test_each_loss_is_waited_for_by_itself() -> None:
    returning = waiting_for("abc")
    assert taken(returning, "dA") == "a"
    again = returning.next([mark_of(message("a"))])
    assert taken(again, "Ce") == ""
    assert again.give_up_on(1) == (1, []), "b: a was lost with the second one"
    assert taken(again, "A") == "ac"
    missing, found = again.give_up_on(2)
    assert (missing, [each.message_id for each in found]) == (1, ["e"])
    assert again.complete
    assert not again.held


def test_what_had_come_and_was_lost_again_is_waited_for_from_then_on() -> None:
    returning = waiting_for("ab")
    assert taken(returning, "B") == ""
    again = returning.next()
    assert again.give_up_on(1) == (1, [])
    assert again.missing == 1
    assert taken(again, "B") == "b"


def test_the_same_id_with_other_bytes_is_another_message() -> None:
    returning = waiting_for("a")
    assert returning.take(message("a", body=b"other")) == []
    assert not returning.complete


@pytest.mark.parametrize("seed", range(50))
def test_whatever_came_before_the_rest_the_order_is_that_of_the_queue(seed: int) -> None:
    """Some of a queue were out, known or not, when the connection was lost; younger ones come until they are back."""
    dice = Random(seed)
    queue = [f"m{n}" for n in range(40)]
    known = dice.randint(1, 10)
    unknown = dice.randint(0, 5)
    early = dice.randint(0, 10)
    lost, rest = queue[: known + unknown], queue[known + unknown :]
    comes = [message(name) for name in rest[:early]]
    comes += [message(name, again=True) for name in lost] + [message(name) for name in rest[early:]]
    returning = waiting_for(queue[:known])
    handed = [found.message_id for each in comes for found in returning.take(each)]
    assert handed == queue


@pytest.mark.parametrize("seed", range(50))
def test_also_after_a_second_loss_the_order_is_that_of_the_queue(seed: int) -> None:
    """Of both lost connections some were known and some were not; they come back in the order of either connection."""
    dice = Random(seed)
    queue = iter(f"m{n}" for n in range(40))
    first = list(islice(queue, dice.randint(1, 8)))
    unseen_first = list(islice(queue, dice.randint(0, 4)))
    second = list(islice(queue, dice.randint(0, 8)))
    unseen_second = list(islice(queue, dice.randint(0, 4)))
    rest = list(queue)
    returning = waiting_for(first)
    for name in second:
        assert returning.take(message(name)) == []
    returning = returning.next()
    back = [first + unseen_first, second + unseen_second]
    dice.shuffle(back)
    early = dice.randint(0, 10)
    comes = [message(name) for name in rest[:early]]
    comes += [message(name, again=True) for names in back for name in names]
    comes += [message(name) for name in rest[early:]]
    handed = [found.message_id for each in comes for found in returning.take(each)]
    handed += [found.message_id for found in returning.give_up()]
    assert handed == first + unseen_first + second + unseen_second + rest
