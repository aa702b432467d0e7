"""`maestro set-aside SYSTEM`: the event that a stalled system has in hand goes to its error queue."""

from typing import Annotated, Final

import typer

from maestro.cli.session import Session, SystemId, User, Yes, command
from maestro.client.api import Decision
from maestro.client.errors import refused

_CONFLICT: Final = 409

Why = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; kept with the event.")]


@command
def set_aside(session: Session, system: SystemId, *, reason: Why, yes: Yes = False, user: User = "") -> None:
    """Put the event that a stalled system has in hand on its error queue; the next one takes its turn."""
    stall = session.maestro.system(system).value.stalled
    if stall is None:
        raise refused(_CONFLICT, f"system {system} is not stalled")
    lines = (
        f"it waits for {stall.sibling} since {stall.since} UTC: {stall.cause}",
        "the event in hand goes to the error queue, its `.error` event is emitted",
        "while the sibling is away the next event stalls as well",
        f"`maestro errors redrive {system}` has it judged again",
    )
    session.out.confirm(f"Set aside what {system} has in hand", lines, "Set it aside?", yes=yes)
    reply = session.maestro.set_aside(system, Decision(session.user(user), reason))
    if session.out.json:
        session.out.raw(reply.raw)
    session.out.say(f"event {reply.value.number} of {reply.value.instance_id} is on the error queue of {system}")
