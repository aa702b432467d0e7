"""Texts, times and short ids as people read them."""

from datetime import UTC, datetime, timedelta

import pytest

from maestro.cli.looking import shortened
from maestro.cli.plain import age, count, local, plain, span


def test_nothing_from_outside_steers_a_terminal() -> None:
    assert plain("a\x1b]0;x\x07b\nc\u202ed") == "a ]0;x b c d"
    assert plain("x" * 20, limit=10) == "xxxxxxxxx…"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(-3, "0 s"), (59.4, "59 s"), (61, "1 min 1 s"), (3660, "1 h 1 min"), (90000, "1 d 1 h")],
)
def test_spans(seconds: float, shown: str) -> None:
    assert span(seconds) == shown


def test_times() -> None:
    at = (datetime.now(UTC) - timedelta(seconds=100)).replace(tzinfo=None).isoformat()
    assert age(at) in ("1 min 40 s", "1 min 41 s")
    assert (age(None), local(""), local("no time")) == ("-", "-", "no time")


def test_counts() -> None:
    assert [count(n, "row") for n in (0, 1, 2000)] == ["0 rows", "1 row", "2,000 rows"]


def test_ids_are_as_long_as_it_takes() -> None:
    ids = ["0123456789", "0123456799", "abcdefghijkl"]
    assert list(shortened(ids).values()) == ["012345678", "012345679", "abcdefgh"]
