"""`maestro todo`: everything that waits for a person, in all systems, the most urgent first."""

from collections.abc import Mapping
from typing import Final

from maestro.cli.exits import EXIT_UNREACHABLE
from maestro.cli.looking import UNAVAILABLE, Limit, PositionAfter, more, shortened
from maestro.cli.plain import age
from maestro.cli.session import AnySystem, Session, command
from maestro.client.shapes.lists import TodoItem
from maestro.language import figure, t, tn, told

#: The command that says more about a thing, or does something about it; filled in with what the thing names.
_NEXT: Final = {
    "pending": "maestro approve {id}",
    "late": "maestro approve {id}",
    "paused": "maestro resume {id}",
    "unreplayable": "maestro leave-out {id}",
    "failed": "maestro retry {id}",
    "cancelled": "maestro retry {id}",
    "doubt": "maestro doubts resolve {system} {key}",
    "stalled": "maestro set-aside {system}",
    "errors": "maestro errors groups {system}",
    UNAVAILABLE: "maestro doctor",
}


@command
def todo(session: Session, system: AnySystem = "", *, after: PositionAfter = 0, limit: Limit = 100) -> int:
    """List everything that waits for a person: what holds a lock first, then what events wait behind; oldest first."""
    reply = session.maestro.todo(system, after, limit)
    page = reply.value
    for one in page.items:
        if one.kind == UNAVAILABLE:
            session.out.note(f"{one.system}: {told(one.cause or one.says)}")
    unanswered = page.counts.get(UNAVAILABLE, 0) or any(one.kind == UNAVAILABLE for one in page.items)
    code = EXIT_UNREACHABLE if unanswered else 0
    if session.out.json:
        session.out.raw(reply.raw)
        return code
    short = shortened([one.reprocessing for one in page.items if one.reprocessing])
    columns = ("KIND", "SYSTEM", "FOR", "HOLDS UP", "WHAT", "NEXT")
    rows = (
        (told(one.kind), one.system, age(one.since), _held_up(one), _what(one), _next(one, short)) for one in page.items
    )
    session.out.table(columns, rows, t("nothing waits for a person"))
    if page.total:
        session.out.say(", ".join(f"{figure(number)} {told(kind)}" for kind, number in sorted(page.counts.items())))
    more(session, page.next, page.total)
    return code


def _held_up(one: TodoItem) -> str:
    held = [t("the lock")] if one.locked else []
    if one.waiting:
        held.append(tn("{n} event", "{n} events", one.waiting))
    return t(" and ").join(held) or "-"


def _what(one: TodoItem) -> str:
    named = "" if one.kind == "late" else " ".join(part for part in (one.event, one.about) if part)
    cause = "" if one.cause in one.says else f" ({told(one.cause)})"
    says = f"{told(one.says)}{cause}"
    return f"{named}: {says}" if named else says


def _next(one: TodoItem, short: Mapping[str, str]) -> str:
    return _NEXT.get(one.kind, "-").format(id=short.get(one.reprocessing, ""), system=one.system, key=one.key)
