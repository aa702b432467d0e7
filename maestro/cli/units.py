"""`maestro units`: what a reprocessing computes again, searched and counted by the server."""

from typing import Annotated

import msgspec
import typer

from maestro.cli.evidence_page import AT_ONCE, print_evidence
from maestro.cli.exits import EXIT_USAGE, fail
from maestro.cli.looking import Limit, PositionAfter, more
from maestro.cli.naming import said_of
from maestro.cli.plain import local
from maestro.cli.session import DocumentId, Session, command
from maestro.client.finding import find
from maestro.client.shapes.units import EvidencePage, FoundUnitsPage
from maestro.language import figure, t, told

#: What is counted, and what a value of it is called.
_GROUPS = (("process", "PROCESS"), ("branch", "BRANCH"), ("period", "PERIOD"), ("state", "STATE"))


@command
def units(
    session: Session,
    document: DocumentId,
    *,
    process: Annotated[str, typer.Option(metavar="NAME", help="Only of this process: the origin event's name.")] = "",
    branch: Annotated[str, typer.Option(metavar="BRANCH", help="Only on this branch.")] = "",
    period: Annotated[str, typer.Option(metavar="YYYY[-MM[-DD]]", help="Only of this year, month or day.")] = "",
    state: Annotated[str, typer.Option(metavar="STATE", help="Only in this state.")] = "",
    text: Annotated[str, typer.Option(metavar="TEXT", help="Only what has this in instance, branch or event.")] = "",
    why: Annotated[
        bool, typer.Option("--why", help="Show who named each, and the rows that it read and that change.")
    ] = False,
    counts: Annotated[bool, typer.Option("--counts", help="Show how many there are of each, not which.")] = False,
    after: PositionAfter = 0,
    limit: Limit = 100,
) -> None:
    """List the units of a reprocessing, all or those that fit; or how many of each process, branch and period."""
    if why and counts:
        fail(t("--why and --counts: choose one"), EXIT_USAGE)
    id_ = find(session.maestro, document).value.id
    most = min(limit, AT_ONCE) if why else limit
    reply = session.maestro.units(
        id_, after, most, process=process, branch=branch, period=period, state=state, text=text
    )
    page = reply.value
    if why:
        _explain(session, id_, page)
        more(session, page.next, page.matched)
        return
    if session.out.json:
        session.out.raw(reply.raw)
        return
    if counts:
        for group, title in _GROUPS:
            found = page.groups[group]
            rows = [(told(one.value) or "-", figure(one.count)) for one in found.values]
            rows += [(t("others"), figure(found.others))] if found.others else []
            session.out.table((title, ">UNITS"), rows, t("no unit fits"))
        return
    columns = (">#", "EVENT", "INSTANCE", "BRANCH", "ORIGINAL TIME", "STATE")
    rows_of_units = (
        (one.position + 1, said_of(one.name, one.about), one.instance_id, one.branch,
         local(one.timestamp), told(one.state))
        for one in page.units
    )  # fmt: skip
    session.out.table(columns, rows_of_units, t("no unit fits"))
    more(session, page.next, page.matched)


def _explain(session: Session, id_: str, page: FoundUnitsPage) -> None:
    """Show why the units of a page are in the document."""
    # Without any position the gateway would explain the first ones.
    reply = session.maestro.evidence(id_, [one.position for one in page.units]) if page.units else None
    if session.out.json:
        session.out.raw(reply.raw if reply else msgspec.json.encode(EvidencePage(page.total)))
    elif reply is None:
        session.out.say(t("no unit fits"))
    else:
        print_evidence(session.out, page.units, reply.value.units)
