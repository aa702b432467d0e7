"""An outcome as CSV (RFC 4180): a line for each value; one for a unit of which nothing changed, or is known."""

import csv
import io
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Final

import msgspec

from maestro.http.actor_client import Unavailable, UnknownSystem
from maestro.http.comparing import Compared
from maestro.http.outcome import ENOUGH, Outcomes, Replays, UnitReplayed
from maestro.http.replies import Problem
from maestro.messages.answers import Answer, Code

COLUMNS: Final = (
    "instance_id", "branch", "state", "round", "replay", "type", "id", "row_branch", "about", "field", "change",
    "before", "after", "difference", "percent", "problem",
)  # fmt: skip
#: What a spreadsheet takes for a formula.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


async def exported(outcomes: Outcomes, first: Replays, ask: Callable[[int], Awaitable[Answer]]) -> AsyncIterator[bytes]:
    """Yield the lines of a document, unit by unit; `ask` returns the page of its units from a position on.

    After enough failures in a row Process Memory is not asked about the others. What goes wrong on the way ends it with
    a line that says so: the answer has begun.
    """
    yield _lines([COLUMNS])
    page: Replays | None = first
    failed, told = 0, ""
    while page is not None:
        for unit in page.units:
            if failed >= ENOUGH and unit.last:
                yield _lines(_unit(unit, Compared(()), f"not asked: {told}"))
                continue
            compared, problem = await outcomes.whole(unit)
            yield _lines(_unit(unit, compared, problem))
            if unit.last:
                failed, told = (failed + 1 if problem else 0), problem
        try:
            page = await _next(page, ask)
        except (Problem, Unavailable, UnknownSystem, TimeoutError, msgspec.DecodeError) as problem:
            rest = f"the other units are not told: {problem or 'the system does not answer'}"
            yield _lines([(*("" for _ in COLUMNS[:-1]), rest)])
            return


async def _next(page: Replays, ask: Callable[[int], Awaitable[Answer]]) -> Replays | None:
    if page.next is None:
        return None
    answer = await ask(page.next)
    if answer.code is not Code.OK:
        raise Problem(502, answer.message)
    return msgspec.json.decode(answer.body, type=Replays)


def _unit(unit: UnitReplayed, compared: Compared, problem: str) -> Iterable[tuple[object, ...]]:
    about = (_safe(unit.instance_id), _safe(unit.branch), unit.state, unit.round, _safe(unit.last))
    if not compared.values:
        yield (*about, *("" for _ in range(10)), _safe(problem))
        return
    for value in compared.values:
        yield (
            *about, _safe(value.type), _safe(value.id), _safe(value.branch), _safe(value.about), _safe(value.field),
            value.change, _cell(value.before), _cell(value.after), _cell(value.difference), _cell(value.percent), "",
        )  # fmt: skip


def _cell(value: float | str | bool | None) -> object:  # noqa: FBT001 - one kind of value of several
    if isinstance(value, bool):
        return "true" if value else "false"
    return _safe(value) if isinstance(value, str) else "" if value is None else repr(value)


def _safe(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def _lines(rows: Iterable[Iterable[object]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()
