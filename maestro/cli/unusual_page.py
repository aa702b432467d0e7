"""What is unusual about a held correction, as people read it: new numbers against old ones and against their past."""

from typing import Final

from maestro.cli.numbers import Reader, number, reader_of
from maestro.cli.output import Output
from maestro.cli.values import percent
from maestro.client.api import Maestro
from maestro.client.errors import ClientError
from maestro.client.shapes.documents import Document
from maestro.client.shapes.values import UnusualPage, UnusualValue
from maestro.language import t, tn, told

#: Values shown.
_SHOWN: Final = 10


def print_unusual(out: Output, maestro: Maestro, doc: Document) -> None:
    """Print the numbers that a document's commit changes most, and what their past says; or why that is not known."""
    out.say()
    try:
        page = maestro.unusual(doc.id).value
    except ClientError as problem:
        out.say(t("whether its numbers are unusual is not known: {problem}", problem=told(str(problem))))
        return
    out.say(summary(page))
    if not page.values:
        return
    reader = reader_of(maestro, doc.system_id)
    columns = ("TYPE", "WHICH", "FIELD", ">BEFORE", ">AFTER", ">PER CENT", "")
    out.table(columns, (_cells(one, page, reader) for one in page.values[:_SHOWN]), "")
    if len(page.values) > _SHOWN:
        out.say(tn("and {n} more value", "and {n} more values", len(page.values) - _SHOWN))


def summary(page: UnusualPage) -> str:
    """Say in one line how many new numbers stand out, and what is not known."""
    if page.unusual:
        said = tn("{n} new number stands out", "{n} new numbers stand out", page.unusual)
    elif page.values:
        compared = len(page.values) - uncompared(page)
        if compared == len(page.values):
            said = t("no new number stands out")
        elif compared:
            said = tn(
                "no new number stands out of the {n} that can be compared with its past",
                "no new number stands out of the {n} that can be compared with their past",
                compared,
            )
        elif page.pending:
            said = t("whether its new numbers are as usual is not known yet")
        else:
            said = t("whether its new numbers are as usual cannot be said: too short a past to compare them with")
    else:
        said = t("no number is changed that was read")
    parts = [said]
    if page.pending:
        parts.append(t("past values are still being asked for: look again"))
    if page.problem:
        parts.append(t("not known: {problem}", problem=told(page.problem)))
    return "; ".join(parts)


def uncompared(page: UnusualPage) -> int:
    """Return how many of the shown numbers have no past, or none yet, to be compared with."""
    return sum(one.verdict in ("too_few", "pending") and not one.slipped for one in page.values)


def _cells(one: UnusualValue, page: UnusualPage, reader: Reader) -> tuple[str, ...]:
    return (
        reader.type_name(one.type),
        one.about or one.id,
        reader.field_name(one.type, one.field),
        reader.value(one.type, one.field, one.before, others=(one.after,)),
        reader.value(one.type, one.field, one.after, others=(one.before,)),
        percent(one.percent),
        "; ".join(part for part in (_slip(one.slipped), said_of_past(one, page, reader)) if part),
    )


def _slip(places: int) -> str:
    times = 10 ** abs(places)
    if places > 0:
        return t("LOOKS LIKE A SLIP, about {times} times the old value", times=times)
    return t("LOOKS LIKE A SLIP, the old value is about {times} times it", times=times) if places else ""


def said_of_past(one: UnusualValue, page: UnusualPage, reader: Reader) -> str:
    """Say what the past values of a field say of its new one."""
    past = one.past

    def shown(value: float | None) -> str:
        return "-" if value is None else reader.value(one.type, one.field, value, unit=False)

    if one.verdict == "pending":
        return t("its past is being asked for")
    if one.verdict == "constant":
        return t("UNLIKE BEFORE, all {count} past values were {median}", count=past.count, median=shown(past.median))
    if one.verdict in ("unusual", "usual"):
        values = {"count": past.count, "median": shown(past.median), "low": shown(past.low), "high": shown(past.high)}
        around = t("{count} past values, median {median}, from {low} to {high}", **values)
        if one.verdict == "usual":
            return t("as usual: {around}", around=around)
        return t(
            "UNUSUAL, {score} spreads from the median: {around}", score=number(past.score or 0.0, 1), around=around
        )
    few = tn(
        "{n} past value: too few to compare with, {enough} are needed",
        "{n} past values: too few to compare with, {enough} are needed",
        past.count,
        enough=page.enough,
    )
    return f"{few} ({told(past.ends)})" if past.ends else few
