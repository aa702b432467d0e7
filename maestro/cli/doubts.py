"""`maestro doubts list | resolve`: commits of which nothing proves what became of them, and a person's word on them."""

from typing import Annotated

import typer

from maestro.cli.exits import EXIT_USAGE, fail
from maestro.cli.filled import filled
from maestro.cli.pages import pages_of, printed
from maestro.cli.plain import age
from maestro.cli.session import AnySystem, Session, SystemId, User, Yes, command
from maestro.language import mark, t, told

app = typer.Typer(
    help="Commits in doubt: list them, say what became of them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

_MADE = (
    mark("the commit counts as made: it is never made again"),
    mark("if its rows are not in the domain, they never will be"),
)
_AGAIN = (
    mark("the commit may be made again: its event may be given back from the error queue, its reprocessing retried"),
    mark("if its rows are in the domain already, they will be there twice"),
)


@app.command("list")
@command
def list_(session: Session, system: AnySystem = "") -> int:
    """List the commits in doubt of a system, or of all, oldest first."""
    pages = pages_of(session, system, session.maestro.doubts)
    if printed(session, system, pages):
        return pages.code
    columns = ("SYSTEM", "KEY", "OF", "INSTANCE", "REPROCESSING", "STATE", "FOR", "CAUSE")
    rows = (
        (
            id_,
            one.key,
            one.use,
            one.instance_id,
            one.reprocessing or "-",
            told(one.state),
            age(one.since),
            told(one.cause),
        )
        for id_, page in pages
        for one in page.value.doubts
    )
    session.out.table(columns, rows, pages.empty(t("no commit is in doubt")))
    return pages.code


@app.command()
@command
def resolve(
    session: Session,
    system: SystemId,
    key: Annotated[str, typer.Argument(metavar="KEY", help="The key of the commit in doubt.", callback=filled)],
    *,
    made: Annotated[bool, typer.Option("--made", help="Its rows are in the domain.")] = False,
    make_again: Annotated[bool, typer.Option("--make-again", help="Its rows are not in the domain.")] = False,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="How you know. Required.")] = "",
    user: User = "",
    yes: Yes = False,
) -> None:
    """Say what became of a commit in doubt, after a look into the domain."""
    if made == make_again:
        fail(t("give either --made or --make-again"), EXIT_USAGE)
    if not reason:
        fail(t("give --reason"), EXIT_USAGE)
    session.out.confirm(
        t("Commit in doubt {key} of {system}: it was made", key=key, system=system)
        if made
        else t("Commit in doubt {key} of {system}: make it again", key=key, system=system),
        map(t, _MADE if made else _AGAIN),
        t("Say so?"),
        yes=yes,
    )
    verdict = "made" if made else "make_again"
    reply = session.maestro.resolve_doubt(system, key, verdict, reason, session.user(user))
    if session.out.json:
        session.out.raw(reply.raw)
        return
    doubt = reply.value
    values = {"key": doubt.key, "instance": doubt.instance_id, "verdict": told(doubt.verdict), "user": doubt.user}
    session.out.say(t("{key} of {instance}: {verdict}, by {user}", **values))
    if doubt.reprocessing:
        session.out.say(t("next: {command}", command=f"maestro retry {doubt.reprocessing}"))
    elif make_again:
        session.out.say(t("next: {command}", command=f"maestro errors redrive {system} {doubt.delivery}"))
