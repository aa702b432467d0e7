"""What was out over a lost connection comes before what is younger, whatever the broker brings first."""

from itertools import islice
from random import Random

import pytest

from maestro.broker.base import Delivery
from maestro.broker.rabbitmq_returning import Returning, mark_of


def message(name: str, *, again: bool = False, body: bytes = b"{}") -> Delivery:
    return Delivery("q", body, name, {}, redelivered=again, tag=object())


def waiting_for(names: str) -> Returning:
    return Returning(mark_of(message(name)) for name in names)


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
    returning = Returning(mark_of(message(name)) for name in queue[:known])
    handed = [found.message_id for each in comes for found in returning.take(each)]
    assert handed == queue


@pytest.mark.parametrize("seed", range(50))
def test_also_after_a_second_loss_the_order_is_that_of_the_queue(seed: int) -> None:
    """Of both lost connections some were known and some were not; they come back in the order of either connection."""
    dice = Random(seed)
    queue = iter(f"m{n}" for n in range(40))
    first = list(islice(queue, dice.randint(1, 8)))
    unseen_first = list(islice(queue, dice.randint(0, 4)))
    second = list(islice(queue, dice.randint(1, 8)))
    unseen_second = list(islice(queue, dice.randint(0, 4)))
    rest = list(queue)
    returning = Returning(mark_of(message(name)) for name in first)
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
