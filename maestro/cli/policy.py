"""`maestro policy list | explain`: the policies of a running Maestro, and what they say of a reprocessing."""

from collections.abc import Sequence
from typing import Final

import msgspec
import typer

from maestro.cli.plain import local
from maestro.cli.session import AnySystem, DocumentId, Session, command
from maestro.client.finding import find, systems_of
from maestro.client.shapes import Explained, Policy, WeighedPolicy
from maestro.statuses import Status

app = typer.Typer(
    help="Policies: list them, explain what they say, try them on the history.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

#: What becomes of a decision, in words.
_APPROVALS: Final = {
    "approve": "nobody is asked",
    "ask": "a person is asked",
    "two_approvers": "two people must approve",
}
_APPLIES: Final = {True: "yes", False: "no", None: "not known"}
_HOLDS: Final = {True: "yes", False: "no", None: "?"}


@app.command("list")
@command
def list_(session: Session, system: AnySystem = "") -> None:
    """List the policies that a running Maestro has, by system, in the order of its configuration."""
    replies = {one: session.maestro.policies(one) for one in systems_of(session.maestro, system)}
    if session.out.json:
        session.out.raw(msgspec.json.encode({one: msgspec.Raw(reply.raw) for one, reply in replies.items()}))
        return
    rows = [(one, *_cells(policy)) for one, reply in replies.items() for policy in reply.value.policies]
    session.out.table(("SYSTEM", "POLICY", "DIGEST", "SAYS", "WHERE"), rows, "no policy is configured")
    for one, reply in replies.items():
        if reply.value.two_approvers:
            session.out.say(f"{one}: access.two_approvers asks for two approvers, whatever the policies say")
        if reply.value.auto_approve:
            session.out.say(f"{one}: reprocessing.auto_approve approves where no policy asks for a person")


def _cells(policy: Policy) -> Sequence[str]:
    where = ", ".join(f"{setting} = {wanted}" for setting, wanted in policy.conditions.items())
    return (policy.name, policy.digest, ", ".join(policy.effects), where or "always")


@app.command()
@command
def explain(session: Session, document: DocumentId) -> None:
    """Show what each policy says of a reprocessing as it is now, and why; and what was recorded at its decision."""
    reply = session.maestro.explain_policies(find(session.maestro, document).value.id)
    if session.out.json:
        session.out.raw(reply.raw)
        return
    found = reply.value
    pending = found.status == Status.PENDING
    session.out.say(f"{found.id} of {found.system_id}, {found.status}")
    if found.forking:
        session.out.say("it opens a branch: it was approved at once, whatever the policies say")
    session.out.say(f"{'now' if pending else 'if it were decided now'}: {_demanded(found)}")
    if found.recorded and not pending:
        session.out.say(f"recorded at {local(found.recorded.at)}: {found.recorded.says}")
        for by in found.recorded.by:
            session.out.say(f"  {by.name} ({by.digest}): {', '.join(by.effects)}, for: {by.why}")
    for one in found.policies:
        session.out.say()
        session.out.say(f"{one.name} ({one.digest}): applies: {_APPLIES[one.applies]}{_effects(one)}")
        cells = ((it.setting, it.wanted, it.found or "not known", _HOLDS[it.holds]) for it in one.conditions)
        session.out.table(("CONDITION", "WANTED", "FOUND", "HOLDS"), cells, "no condition: it applies to every commit")


def _demanded(found: Explained) -> str:
    beside = [
        name
        for name, given in (
            ("access.two_approvers", found.two_approvers),
            ("reprocessing.auto_approve", found.auto_approve),
        )
        if given
    ]
    skip = "it may not be skipped" if found.skip_refused else "it may be skipped"
    settings = f" (with {', '.join(beside)})" if beside else ""
    return f"{_APPROVALS.get(found.approval, found.approval)}; {skip}{settings}"


def _effects(one: WeighedPolicy) -> str:
    if one.applies is False:
        return f"; it would say {', '.join(one.configured)}"
    said = f"; it says {', '.join(one.effects) or 'nothing'}"
    spared = [effect for effect in one.configured if effect not in one.effects]
    return f"{said}, and not {', '.join(spared)}" if spared else said
