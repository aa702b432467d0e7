"""Pages of large arrays, read while they arrive."""

import json
import random
import time
import tracemalloc

import msgspec
import pytest

from maestro.platform import array, pages
from maestro.platform.errors import WrongShapeError
from maestro.platform.pages import PageReader


def fed(body: bytes, after: int, limit: int, sizes: list[int]) -> PageReader:
    reader, at = PageReader(after, limit), 0
    while at < len(body):
        size = sizes[at % len(sizes)]
        reader.feed(body[at : at + size])
        at += size
    return reader


def rows(count: int) -> list[dict]:
    """Rows with everything that could be taken for the end of one."""
    dice = random.Random(7)
    odd = ("},", "},{", '"}, {"', "[{", "]}", "\\", '\\"},', "ü€", "\ud83d", "", "a" * 300)
    return [
        {
            "id": number,
            "_metadata": {"type": "t", "x": {"y": [{"z": 1}, {}]}},
            "text": dice.choice(odd) * dice.randint(0, 9),
        }
        for number in range(count)
    ]


@pytest.mark.parametrize("compact", [True, False])
@pytest.mark.parametrize(("after", "limit"), [(0, 1), (0, 1000), (5, 10), (1990, 100), (2000, 5), (9999, 1), (0, 5000)])
def test_a_page_is_what_slicing_gives(after: int, limit: int, compact: bool, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: FBT001 - a case
    monkeypatch.setattr(array, "PART", 4096)
    all_ = rows(2000)
    separators = (",", ":") if compact else (", ", ": ")
    body = json.dumps(all_, separators=separators).encode()
    for sizes in ([100_000], [4096], [1, 70, 5000], [len(body)]):
        page = fed(body, after, limit, sizes).end()
        assert page.total == 2000
        assert [json.loads(row) for row in page.rows] == all_[after : after + limit]
        if compact:
            assert all(row in body for row in page.rows)  # byte for byte


@pytest.mark.parametrize("body", [b"[]", b" [ ] ", b"[\n]"])
def test_no_rows(body: bytes) -> None:
    page = fed(body, 0, 10, [1]).end()
    assert (page.rows, page.total) == ((), 0)


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b"7", b"null", b"[7]", b'["x"]', b'[{"a":1}', b'[{"a":1},]', b'[{"a":1}]x', b"<html>",
     b'[{"a":1}{"b":2}]', b"[" * 100_000, b'[{"a":1},7]'],
)  # fmt: skip
def test_what_is_no_array_of_objects(body: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    for part in (5, 8, 128 * 1024):
        monkeypatch.setattr(array, "PART", part)
        with pytest.raises((WrongShapeError, msgspec.DecodeError, UnicodeDecodeError, RecursionError)):
            fed(body, 0, 10, [3]).end()


def test_rows_and_pages_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(array, "PART", 1024)
    monkeypatch.setattr(array, "MAX_ROW", 10_000)
    monkeypatch.setattr(pages, "MAX_PAGE", 20_000)
    body = json.dumps([{"n": number, "x": "y" * 6000} for number in range(10)]).encode()
    first = fed(body, 0, 10, [500]).end()
    assert ([json.loads(row)["n"] for row in first.rows], first.total) == ([0, 1, 2], 10)
    assert [json.loads(row)["n"] for row in fed(body, 3, 10, [500]).end().rows] == [3, 4, 5]
    with pytest.raises(WrongShapeError, match="larger than"):
        fed(json.dumps([{"x": "y" * 50_000}]).encode(), 0, 1, [500]).end()


def test_a_large_answer_costs_little() -> None:
    """45 MB: a few megabytes at most, and no part of it holds anybody up for long. Bounds are generous."""
    row = json.dumps({"id": "x" * 36, "valor": 10.5, "_metadata": {"type": "conta", "rid": "r" * 36, "branch": "m"}})
    part = (row + ",").encode() * 2000
    tracemalloc.start()
    reader, longest, size = PageReader(0, 1), 0.0, 1
    reader.feed(b"[")
    while size < 45 * 1024 * 1024:
        for at in range(0, len(part), 65536):
            started = time.perf_counter()
            reader.feed(part[at : at + 65536])
            longest = max(longest, time.perf_counter() - started)
        size += len(part)
    reader.feed(row.encode() + b"]")
    page = reader.end()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(page.rows) == 1
    assert page.total > 200_000
    assert peak < 8 * 1024 * 1024
    assert longest < 0.25
