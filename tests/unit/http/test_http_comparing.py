"""What a computation changed, value by value."""

import json
from typing import Any

import msgspec
import pytest

from maestro.http.comparing import Compared, Comparison, difference, size


def row(id_: object, track: str | None = None, rid: str = "", **fields: Any) -> dict[str, Any]:
    return {**fields, "id": id_, "_metadata": {"rid": rid, "branch": "master", "changeTrack": track}}


def raw(*rows: Any) -> dict[str, list[msgspec.Raw]]:
    return {"conta": [msgspec.Raw(one if isinstance(one, bytes) else json.dumps(one).encode()) for one in rows]}


def compared(read: Any, computed: Any, keep: int = 30, earlier: Any = None) -> Compared:
    comparison = Comparison(read, computed, "master", keep=keep, earlier=earlier)
    for _ in comparison.steps():
        pass
    return comparison.result


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (10, 15, (5.0, 50.0)),
        (1.1, 1.2, (0.1, 9.090909091)),  # decimal digits: not 0.09999999999999987
        (-10, -5, (5.0, 50.0)),  # it grew, although it is negative
        (-10, 5, (15.0, 150.0)),
        (0, 3, (3.0, None)),
        (0.0, 0, (0.0, None)),
        (3, 0, (-3.0, -100.0)),
        (None, 3, (None, None)),
        (3, None, (None, None)),
        ("3", 4, (None, None)),
        (True, 2, (None, None)),
        (float("nan"), 1, (None, None)),
        (1, float("inf"), (None, None)),
        (-1e308, 1e308, (None, 200.0)),  # the difference is no number that fits
        (5e-324, 1e308, (1e308, None)),
        (10**250, 10**250 + 10**249, (1e249, 10.0)),
        ([1], [2], (None, None)),
    ],
)
def test_a_difference_and_its_per_cent(before: object, after: object, expected: tuple[object, object]) -> None:
    assert difference(before, after) == expected


def test_rows_are_matched_by_type_and_id_and_only_what_is_written_counts() -> None:
    read = raw(row("a", valor=10, nome="Juros", mes="2018-07"), row("b", valor=1), row("c", valor=7))
    found = compared(
        read,
        raw(row("c", "update", valor=7), row("a", "update", valor=15, nome="Juros", mes="2018-07"), row("b", valor=9)),
    )

    [value] = found.values
    assert (value.type, value.id, value.branch, value.field) == ("conta", "a", "master", "valor")
    assert (value.before, value.after, value.difference, value.percent) == (10, 15, 5.0, 50.0)
    assert value.about == "Juros 2018-07"
    assert (found.changed, found.added, found.destroyed, found.unread, found.same) == (1, 0, 0, 0, 1)


def test_what_is_added_destroyed_or_not_read_is_marked() -> None:
    found = compared(
        raw(row("gone", valor=2)),
        raw(row("new", "create", valor=1), row("gone", "destroy", valor=2), row("blind", "update", valor=3)),
    )

    assert [(one.change, one.id, one.before, one.after) for one in found.values] == [
        ("added", "new", None, 1),
        ("destroyed", "gone", 2, None),
        ("unread", "blind", None, 3),
    ]
    assert (found.changed, found.added, found.destroyed, found.unread) == (0, 1, 1, 1)
    assert all(one.difference is None and one.percent is None for one in found.values)


def test_the_largest_change_comes_first_and_the_others_are_counted() -> None:
    read = raw(*(row(str(number), valor=100, texto="x") for number in range(500)), row("zero", valor=0))
    written = [row(str(number), "update", valor=100 - number, texto=f"y{number}") for number in range(500)]
    found = compared(read, raw(*written, row("zero", "update", valor=5)), keep=3)

    assert [(one.id, one.percent) for one in found.values] == [("499", -499.0), ("498", -498.0), ("497", -497.0)]
    assert found.changed == 499 + 500 + 1
    everything = compared(read, raw(*written, row("zero", "update", valor=5)), keep=5000)
    assert everything.values[499].id == "zero", "from 0 there is no per cent: behind those that have one"
    assert everything.values[500].field == "texto"
    assert list(everything.values) == sorted(everything.values, key=size)


def test_rows_without_an_id_go_by_rid_and_numbers_are_ids() -> None:
    assert compared(raw(row(None, rid="r1", v=1)), raw(row(None, "update", "r1", v=2))).values[0].id == "r1"
    assert compared(raw(row(17, v=1)), raw(row(17, "update", v=2))).values[0].id == "17"


def test_a_later_round_is_compared_with_what_was_there_before_the_first() -> None:
    """The first round made 15 of 10; the second only read it."""
    first_read, first = raw(row("a", v=10)), raw(row("a", "update", v=15))
    found = compared(first_read, raw(row("a", v=15), row("b", "update", v=1)), earlier=first)

    assert [(one.id, one.change, one.before, one.after) for one in found.values] == [
        ("a", "changed", 10, 15),
        ("b", "added", None, 1),
    ]


@pytest.mark.parametrize(
    ("before", "after", "shown"),
    [
        (b"1", b"true", (1, True)),
        (b"null", b'"x"', (None, "x")),
        (b"1e400", b"1", ("inf", 1)),
        (b"1" * 40, b"2", ("1" * 40, 2)),
        (b'{"a":[1]}', b"[]", ('{"a": [1]}', "[]")),
        (rb'"\ud83d"', b'"x"', ("?", "x")),
        (b'"' + b"x" * 5000 + b'"', b"1", ("x" * 199 + "…", 1)),
    ],
)
def test_any_value_is_shown_so_that_every_reader_takes_it(
    before: bytes, after: bytes, shown: tuple[object, object]
) -> None:
    text = b'{"id":"a","v":%b,"_metadata":{"changeTrack":"update"}}'
    [value] = compared(raw(text % before), raw(text % after)).values

    assert (value.before, value.after) == shown
    assert msgspec.json.decode(msgspec.json.encode(value), type=type(value)) == value


@pytest.mark.parametrize("wrong", [b"1", b"[]", b"null", b'"x"'])
def test_what_is_no_row_is_refused(wrong: bytes) -> None:
    with pytest.raises(ValueError, match="no object"):
        compared(raw(), raw(wrong))


def test_metadata_of_any_kind_is_taken() -> None:
    assert compared(raw(), raw(b'{"id":"a","_metadata":7}', b'{"_metadata":{"changeTrack":[]}}')).values == ()


def test_a_row_is_named_by_the_texts_and_whole_numbers_that_stay() -> None:
    same = {"moeda": "USD", "ano": 2008, "fechado": True, "nota": "x" * 100}
    [value] = compared(raw(row("a", v=1.5, **same)), raw(row("a", "update", v=2.5, **same))).values
    assert value.about == "USD 2008"
