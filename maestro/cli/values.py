"""Values before and after, as a table shows them; and what was overwritten, with both."""

from collections.abc import Iterable
from typing import Final

import msgspec

from maestro.cli.output import Output
from maestro.client.shapes.stale import Stale
from maestro.client.shapes.values import Value
from maestro.language import figure, t, tn, told

#: Characters of a value that are shown.
_WIDE: Final = 40


def text_of(value: object) -> str:
    """Return a value as text, cut where it is long."""
    if isinstance(value, float):
        return figure(value, ".10g")
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text if len(text) <= _WIDE else f"{text[: _WIDE - 1]}…"


def difference(value: float | None) -> str:
    """Return by how much a number changed, with its sign."""
    return "-" if value is None else figure(value, "+.6g")


def percent(value: float | None) -> str:
    """Return a change in per cent with its sign: one decimal, more of a small one."""
    if value is None:
        return "-"
    return f"{figure(value, '+,.1f' if abs(value) >= 1 or value == 0 else '+.3g')} %"


def print_overwrites(out: Output, found: Iterable[Stale]) -> None:
    """Print for each overwrite a table of its values, and what is not known of it."""
    for one in found:
        values = one.overwrite
        if values is None:
            continue
        out.say()
        out.say(t("{instance} on {branch} replaced what it had not seen:", instance=one.instance_id, branch=one.branch))
        if values.values:
            columns = ("TYPE", "WHICH", "FIELD", ">REPLACED", ">STANDS", ">DIFFERENCE", ">PER CENT", "REPLACED OF")
            out.table(columns, map(_cells, values.values), "")
        if values.more:
            out.say(tn("and {n} more value", "and {n} more values", values.more))
        if values.same:
            out.say(tn("{n} row with the same values", "{n} rows with the same values", values.same))
        if values.problem:
            out.say(t("not known: {problem}", problem=told(values.problem)))


def _cells(value: Value) -> tuple[str, ...]:
    return (
        value.type,
        value.about or value.id,
        value.field,
        text_of(value.before),
        t("destroyed") if value.change == "destroyed" else text_of(value.after),
        difference(value.difference),
        percent(value.percent),
        value.by,
    )
