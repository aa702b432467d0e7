"""`maestro leave-out`: units that cannot be replayed are left out of a reprocessing, shown first, then done."""

from typing import Annotated, Final

import typer

from maestro.cli import consequences
from maestro.cli.filled import filled
from maestro.cli.session import DocumentId, Reason, Session, User, Yes, command
from maestro.client.api import Decision
from maestro.client.errors import refused
from maestro.client.finding import find, least_of
from maestro.language import t, tn, told
from maestro.statuses import GIVEN_UP, Status, ordered

_STATUSES: Final = (Status.PAUSED, *ordered(GIVEN_UP))
_CONFLICT: Final = 409

Units = Annotated[
    list[str] | None,
    typer.Option(
        "--unit", metavar="INSTANCE[@BRANCH]", help="A unit; by default all that are set aside.", callback=filled
    ),
]


@command
def leave_out(
    session: Session,
    document: DocumentId,
    *,
    unit: Units = None,
    yes: Yes = False,
    reason: Reason = "",
    user: User = "",
) -> None:
    """Leave units that cannot be replayed out of a paused, failed, aborted or cancelled reprocessing."""
    doc = find(session.maestro, document, _STATUSES, least_of(unasked=yes)).value
    units = [_named(text) for text in unit] if unit else [(one.instance_id, one.branch) for one in doc.set_aside or ()]
    if not units:
        raise refused(_CONFLICT, f"reprocessing {doc.id} has no unit that is set aside; --unit names others")
    problems = {(one.instance_id, one.branch): one.problem for one in doc.set_aside or ()}
    lines = [
        t("{instance} on {branch}", instance=instance, branch=branch)
        + f": {told(problems.get((instance, branch), 'can be replayed'))}"
        for instance, branch in units
    ]
    lines.append(t("they are not replayed in this reprocessing, and stay as computed: stale"))
    title = consequences.title(t("Leave units out of"), doc)
    session.out.confirm(title, lines, tn("Leave out {n} unit?", "Leave out {n} units?", len(units)), yes=yes)
    reply = session.maestro.leave_out(doc.id, units, Decision(session.user(user), reason))
    if session.out.json:
        session.out.raw(reply.raw)
    now = reply.value
    go_on = "resume" if now.status == Status.PAUSED else "retry"
    out = tn("{n} unit left out", "{n} units left out", len(units))
    left = tn("{n} left", "{n} left", now.progress.outstanding)
    session.out.say(f"{now.id}: {out}, {left}; " + t("`{command}` goes on", command=f"maestro {go_on} {now.id[:8]}"))


def _named(text: str) -> tuple[str, str]:
    instance, _, branch = text.partition("@")
    return instance, branch or "master"
