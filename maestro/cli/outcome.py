"""`maestro outcome`: what a reprocessing changed, in numbers."""

import sys
import time
from collections.abc import Callable, Sequence
from typing import Annotated, Final

import typer

from maestro.cli.exits import EXIT_USAGE, fail
from maestro.cli.looking import PositionAfter, more, shortened
from maestro.cli.numbers import Reader, reader_of
from maestro.cli.output import Output
from maestro.cli.session import DocumentId, Session, command
from maestro.cli.values import difference, percent
from maestro.client.finding import find
from maestro.client.shapes.values import OutcomePage, OutcomeSummary, UnitOutcome, Value
from maestro.client.transport import Reply
from maestro.language import mark, t, tn, told

#: Values of one unit that are shown.
_SHOWN: Final = 5
#: Seconds that a summary may take to be complete, and between two looks.
_TIMEOUT: Final = 60.0
_LOOK: Final = 0.5


#: States of a unit that has no replay, and of which there is something to say.
_SETTLED: Final = ("done", "left_out")


@command
def outcome(
    session: Session,
    document: DocumentId,
    *,
    after: PositionAfter = 0,
    limit: Annotated[int, typer.Option(min=1, max=50, metavar="N", help="Show at most so many units.")] = 20,
    csv: Annotated[bool, typer.Option("--csv", help="Print all of it as CSV, a line for each value.")] = False,
) -> None:
    """Show what a reprocessing changed: each value that its replays computed again, before and after, largest first."""
    if csv and session.out.json:
        fail(t("--csv and --json: choose one"), EXIT_USAGE)
    doc = find(session.maestro, document).value
    id_ = doc.id
    if csv:
        with session.maestro.outcome_csv(id_) as parts:
            for part in parts:
                sys.stdout.buffer.write(part)
        sys.stdout.buffer.flush()
        return
    reply = complete(lambda: session.maestro.outcome(id_, after, limit))
    if session.out.json:
        session.out.raw(reply.raw)
        return
    _print(session.out, reply.value, reader_of(session.maestro, doc.system_id))
    if reply.value.summary.replayed:
        more(session, reply.value.next, reply.value.total)


def complete(ask: Callable[[], Reply[OutcomePage]], timeout: float = _TIMEOUT) -> Reply[OutcomePage]:
    """Ask until nothing of a summary is still to come, or `timeout` (seconds) is over."""
    until = time.monotonic() + timeout
    reply = ask()
    while reply.value.summary.pending and time.monotonic() < until:
        time.sleep(_LOOK)
        reply = ask()
    return reply


def _print(out: Output, page: OutcomePage, reader: Reader) -> None:
    out.say(told(page.summary.says))  # in the language that the gateway was asked for
    for line in _remarks(page.summary):
        out.say(line)
    if page.biggest:
        out.say()
        out.say(t("the biggest changes:"))
        short = shortened(sorted({one.instance_id for one in page.biggest}))
        out.table(("UNIT", *_COLUMNS), ((short[one.instance_id], *_cells(one, reader)) for one in page.biggest), "")
    for unit in page.units:
        if not page.summary.replayed and unit.state not in _SETTLED:
            continue  # the first line says it of all of them
        out.say()
        said = told(unit.problem) or t("nothing changed")
        where = t("{instance} on {branch}", instance=unit.instance_id, branch=unit.branch)
        out.say(f"{where}: {_counted(unit) if _has_values(unit) else said}")
        if unit.values:
            out.table(_COLUMNS, (_cells(one, reader) for one in unit.values[:_SHOWN]), "")
        if len(unit.values) > _SHOWN:
            out.say("  " + t("more of them: --csv has all"))


def _has_values(unit: UnitOutcome) -> bool:
    return bool(unit.changed + unit.added + unit.destroyed + unit.unread)


_COLUMNS: Final = ("TYPE", "WHICH", "FIELD", ">BEFORE", ">AFTER", ">DIFFERENCE", ">PER CENT", "")
_MARKS: Final = {
    "added": mark("added, replaces nothing"),
    "destroyed": mark("destroyed"),
    "unread": mark("what it was is not known"),
}


def _cells(value: Value, reader: Reader) -> Sequence[str]:
    def shown(one: object, other: object) -> str:
        return reader.value(value.type, value.field, one, others=(other,))

    return (
        reader.type_name(value.type),
        value.about or value.id,
        reader.field_name(value.type, value.field),
        shown(value.before, value.after) if value.change in ("changed", "destroyed") else "-",
        shown(value.after, value.before) if value.change != "destroyed" else "-",
        difference(value.difference),
        percent(value.percent),
        t(_MARKS.get(value.change, "")),
    )


def _remarks(found: OutcomeSummary) -> list[str]:
    said = []
    if found.unchanged:
        said.append(tn("{n} result stayed as before", "{n} results stayed as before", found.unchanged))
    if found.failed:
        failed = tn("{n} result cannot be compared", "{n} results cannot be compared", found.failed)
        said.append(f"{failed}: {told(found.problem)}")
    if found.pending:
        said.append(
            tn(
                "{n} result still to be asked for: look again",
                "{n} results still to be asked for: look again",
                found.pending,
            )
        )
    if found.looked < found.units:
        values = {"looked": found.looked, "n": found.units}
        said.append(t("about the first {looked} of {n} units; --csv has all", **values))
    return said


def _counted(unit: UnitOutcome) -> str:
    counted = (
        (unit.changed, tn("{n} value changed", "{n} values changed", unit.changed)),
        (unit.added, tn("{n} row added", "{n} rows added", unit.added)),
        (unit.destroyed, tn("{n} row destroyed", "{n} rows destroyed", unit.destroyed)),
        (unit.unread, tn("{n} row unread", "{n} rows unread", unit.unread)),
    )
    return ", ".join(text for number, text in counted if number)
