"""`maestro outcome`: what a reprocessing changed, in numbers."""

import sys
import time
from collections.abc import Callable, Sequence
from typing import Annotated, Final

import typer

from maestro.cli.exits import EXIT_USAGE, fail
from maestro.cli.looking import PositionAfter, more, shortened
from maestro.cli.output import Output
from maestro.cli.plain import count
from maestro.cli.session import DocumentId, Session, command
from maestro.cli.values import difference, percent, text_of
from maestro.client.finding import find
from maestro.client.shapes import OutcomePage, OutcomeSummary, Value
from maestro.client.transport import Reply

#: Values of one unit that are shown.
_SHOWN: Final = 5
#: Seconds that a summary may take to be complete, and between two looks.
_TIMEOUT: Final = 60.0
_LOOK: Final = 0.5


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
        fail("--csv and --json: choose one", EXIT_USAGE)
    id_ = find(session.maestro, document).value.id
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
    _print(session.out, reply.value)
    more(session, reply.value.next, reply.value.total)


def complete(ask: Callable[[], Reply[OutcomePage]], timeout: float = _TIMEOUT) -> Reply[OutcomePage]:
    """Ask until nothing of a summary is still to come, or `timeout` (seconds) is over."""
    until = time.monotonic() + timeout
    reply = ask()
    while reply.value.summary.pending and time.monotonic() < until:
        time.sleep(_LOOK)
        reply = ask()
    return reply


def _print(out: Output, page: OutcomePage) -> None:
    out.say(page.summary.says)
    for line in _remarks(page.summary):
        out.say(line)
    if page.biggest:
        out.say()
        out.say("the biggest changes:")
        short = shortened(sorted({one.instance_id for one in page.biggest}))
        out.table(("UNIT", *_COLUMNS), ((short[one.instance_id], *_cells(one)) for one in page.biggest), "")
    for unit in page.units:
        out.say()
        said = unit.problem or "nothing changed"
        shown = unit.changed + unit.added + unit.destroyed + unit.unread
        out.say(f"{unit.instance_id} on {unit.branch}: {_counted(unit) if shown else said}")
        if unit.values:
            out.table(_COLUMNS, map(_cells, unit.values[:_SHOWN]), "")
        if len(unit.values) > _SHOWN:
            out.say("  more of them: --csv has all")


_COLUMNS: Final = ("TYPE", "WHICH", "FIELD", ">BEFORE", ">AFTER", ">DIFFERENCE", ">PER CENT", "")
_MARKS: Final = {
    "added": "added, replaces nothing",
    "destroyed": "destroyed",
    "unread": "what it was is not known",
}


def _cells(value: Value) -> Sequence[str]:
    return (
        value.type,
        value.about or value.id,
        value.field,
        text_of(value.before) if value.change in ("changed", "destroyed") else "-",
        text_of(value.after) if value.change != "destroyed" else "-",
        difference(value.difference),
        percent(value.percent),
        _MARKS.get(value.change, ""),
    )


def _remarks(found: OutcomeSummary) -> list[str]:
    said = []
    if found.unchanged:
        said.append(f"{count(found.unchanged, 'result')} stayed as before")
    if found.failed:
        said.append(f"{count(found.failed, 'result')} cannot be compared: {found.problem}")
    if found.pending:
        said.append(f"{count(found.pending, 'result')} still to be asked for: look again")
    if found.looked < found.units:
        said.append(f"about the first {found.looked:,} of {count(found.units, 'unit')}; --csv has all")
    return said


def _counted(unit: object) -> str:
    names = (("changed", "value"), ("added", "row"), ("destroyed", "row"), ("unread", "row"))
    told = [(getattr(unit, name), name, noun) for name, noun in names]
    return ", ".join(f"{count(number, noun)} {name}" for number, name, noun in told if number)
