"""`maestro set-aside SYSTEM`: the event that a stalled system has in hand goes to its error queue."""

from typing import Annotated, Final

import typer

from maestro.cli.plain import local
from maestro.cli.session import Session, SystemId, User, Yes, command
from maestro.client.api import Decision
from maestro.client.errors import refused
from maestro.language import t, told

_CONFLICT: Final = 409

Why = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; kept with the event.")]


@command
def set_aside(session: Session, system: SystemId, *, reason: Why, yes: Yes = False, user: User = "") -> None:
    """Put the event that a stalled system has in hand on its error queue; the next one takes its turn."""
    stall = session.maestro.system(system).value.stalled
    if stall is None:
        raise refused(_CONFLICT, f"system {system} is not stalled")
    lines = (
        t("it waits for {sibling} since {time}", sibling=stall.sibling, time=local(stall.since))
        + f": {told(stall.cause)}",
        t("the event in hand goes to the error queue, its `.error` event is emitted"),
        t("while the sibling is away the next event stalls as well"),
        t("`maestro errors redrive {system}` has it judged again", system=system),
    )
    session.out.confirm(t("Set aside what {system} has in hand", system=system), lines, t("Set it aside?"), yes=yes)
    reply = session.maestro.set_aside(system, Decision(session.user(user), reason))
    if session.out.json:
        session.out.raw(reply.raw)
    values = {"number": str(reply.value.number), "instance": reply.value.instance_id, "system": system}
    session.out.say(t("event {number} of {instance} is on the error queue of {system}", **values))
