"""`maestro notify show | test`: how people are told what waits for them, and whether that arrives."""

from typing import Annotated, Final

import typer

from maestro.cli.exits import EXIT_FAILED, fail
from maestro.cli.filled import filled
from maestro.cli.session import Session, User, command
from maestro.language import mark, t, tn

app = typer.Typer(
    help="Notices of what waits for a person: show the ways there are, test them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

_NOBODY: Final = mark("nobody is told: no way is configured (notify.slack, teams, webhook, email)")


@app.command()
@command
def show(session: Session) -> None:
    """Show the ways by which people are told, and how each does."""
    found = session.maestro.notices()
    if session.out.json:
        session.out.raw(found.raw)
        return
    columns = ("WAY", "WHERE", ">TOLD", ">GIVEN UP", "LAST TRY")
    rows = (
        (one.name, one.shown, one.delivered, one.given_up, one.problem or (t("arrived") if one.last else "-"))
        for one in found.value.ways
    )
    session.out.table(columns, rows, t(_NOBODY))


@app.command("test")
@command
def send_test(
    session: Session,
    way: Annotated[
        str, typer.Argument(metavar="WAY", help="slack, teams, webhook or email; else all.", callback=filled)
    ] = "",
    *,
    user: User = "",
) -> int:
    """Send a test message by every way that is configured, or by one, and say whether it arrived."""
    found = session.maestro.test_notice(way, session.user(user))
    if not found.value.ways and not session.out.json:
        fail(t(_NOBODY), EXIT_FAILED)
    failed = [one for one in found.value.ways if one.problem]
    if session.out.json:
        session.out.raw(found.raw)
    else:
        for one in found.value.ways:
            session.out.say(f"{one.name}: {one.problem or t('arrived')}")
        if failed:
            session.out.note(tn("{n} way failed", "{n} ways failed", len(failed)))
    return EXIT_FAILED if failed else 0
