"""Values before and after, as a table shows them; and what was overwritten, with both."""

from collections.abc import Iterable
from typing import Final

import msgspec

from maestro.cli.output import Output
from maestro.cli.plain import count
from maestro.client.shapes import Stale, Value

#: Characters of a value that are shown.
_WIDE: Final = 40


def text_of(value: object) -> str:
    """Return a value as text, cut where it is long."""
    if isinstance(value, float):
        return f"{value:.10g}"
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text if len(text) <= _WIDE else f"{text[: _WIDE - 1]}…"


def difference(value: float | None) -> str:
    """Return by how much a number changed, with its sign."""
    return "-" if value is None else f"{value:+.6g}"


def percent(value: float | None) -> str:
    """Return a change in per cent with its sign: one decimal, more of a small one."""
    if value is None:
        return "-"
    return f"{value:+,.1f} %" if abs(value) >= 1 or value == 0 else f"{value:+.3g} %"


def print_overwrites(out: Output, found: Iterable[Stale]) -> None:
    """Print for each overwrite a table of its values, and what is not known of it."""
    for one in found:
        told = one.overwrite
        if told is None:
            continue
        out.say()
        out.say(f"{one.instance_id} on {one.branch} replaced what it had not seen:")
        if told.values:
            columns = ("TYPE", "WHICH", "FIELD", ">REPLACED", ">STANDS", ">DIFFERENCE", ">PER CENT", "REPLACED OF")
            out.table(columns, map(_cells, told.values), "")
        if told.more:
            out.say(f"and {count(told.more, 'more value')}")
        if told.same:
            out.say(f"{count(told.same, 'row')} with the same values")
        if told.problem:
            out.say(f"not known: {told.problem}")


def _cells(value: Value) -> tuple[str, ...]:
    return (
        value.type,
        value.about or value.id,
        value.field,
        text_of(value.before),
        "destroyed" if value.change == "destroyed" else text_of(value.after),
        difference(value.difference),
        percent(value.percent),
        value.by,
    )
