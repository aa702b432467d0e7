"""docs/http.md names every operation of the gateway with its query, and none that there is not."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from msgspec import structs

from maestro.http.middleware import unmatched
from maestro.http.routes import operations

PAGE = Path(__file__).parents[3] / "docs" / "http.md"
OPERATIONS = [one for one in operations(unmatched, unmatched) if not one.hidden]
#: The page about the API is an operation, too, and hidden in its own description.
REFERENCE = ("GET", "/docs")


class Call(NamedTuple):
    """A call as the page names it."""

    method: str
    path: str
    query: tuple[str, ...]


def documented() -> Iterator[Call]:
    """Yield the calls of the table: `/x` stands for another end of the call before, `…/x` for a later part of it."""
    for line in PAGE.read_text("utf-8").splitlines():
        if line.startswith("| `"):
            method = path = ""
            for span in re.findall(r"`([^`]+)`", line.split(" | ")[0]):
                found = re.fullmatch(r"(?:(GET|POST) )?(…?)(/[^?]*)(?:\?(.*))?", span)
                if found is not None:
                    method = found[1] or method
                    path = found[3] if found[1] and not found[2] else _joined(path, found[3])
                    yield Call(method, path, tuple(re.findall(r"(\w+)=", found[4] or "")))


def _joined(path: str, end: str) -> str:
    parts, first = path.split("/"), end.split("/")[1]
    cut = parts.index(first) if first in parts else len(parts) - 1
    return "/".join(parts[:cut]) + end


def test_every_operation_is_documented_and_no_other() -> None:
    named = {call[:2] for call in documented()} - {REFERENCE}
    there = {(one.method, one.path) for one in OPERATIONS}
    assert there - named == set(), "docs/http.md does not name these"
    assert named - there == set(), "docs/http.md names these, and the gateway does not have them"


def test_what_may_be_asked_is_documented_with_each() -> None:
    queries = {
        (one.method, one.path): [field.encode_name for field in structs.fields(one.query)] if one.query else []
        for one in OPERATIONS
    }
    wrong = {
        call: queries[call[:2]]
        for call in documented()
        if call[:2] in queries and sorted(call.query) != sorted(queries[call[:2]])
    }
    assert wrong == {}
