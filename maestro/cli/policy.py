"""`maestro policy list | explain`: the policies of a running Maestro, and what they say of a reprocessing.

`dry-run` is in `dry_run.py`.
"""

from collections.abc import Sequence
from typing import Final

import msgspec
import typer

from maestro.cli.dry_run import dry_run
from maestro.cli.pages import pages_of
from maestro.cli.plain import local
from maestro.cli.session import AnySystem, DocumentId, Session, command
from maestro.client.finding import find
from maestro.client.shapes.policies import Explained, Policy, WeighedPolicy
from maestro.language import mark, t, told
from maestro.statuses import Status

app = typer.Typer(
    help="Policies: list them, explain what they say, try them on the history.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

app.command("dry-run")(dry_run)

#: What becomes of a decision, in words.
_APPROVALS: Final = {
    "approve": mark("nobody is asked"),
    "ask": mark("a person is asked"),
    "two_approvers": mark("two people must approve"),
}
_APPLIES: Final = {True: mark("yes"), False: mark("no"), None: mark("not known")}
_HOLDS: Final = {True: mark("yes"), False: mark("no"), None: "?"}


@app.command("list")
@command
def list_(session: Session, system: AnySystem = "") -> int:
    """List the policies that a running Maestro has, by system, in the order of its configuration."""
    replies = pages_of(session, system, session.maestro.policies)
    if session.out.json:
        session.out.raw(msgspec.json.encode({one: msgspec.Raw(reply.raw) for one, reply in replies}))
        return replies.code
    rows = [(one, *_cells(policy)) for one, reply in replies for policy in reply.value.policies]
    columns = ("SYSTEM", "POLICY", "DIGEST", "SAYS", "WHERE")
    session.out.table(columns, rows, replies.empty(t("no policy is configured")))
    for one, reply in replies:
        if reply.value.two_approvers:
            said = t("{system}: access.two_approvers asks for two approvers, whatever the policies say", system=one)
            session.out.say(said)
        if reply.value.auto_approve:
            said = t("{system}: reprocessing.auto_approve approves where no policy asks for a person", system=one)
            session.out.say(said)
    return replies.code


def _cells(policy: Policy) -> Sequence[str]:
    where = ", ".join(f"{setting} = {wanted}" for setting, wanted in policy.conditions.items())
    return (policy.name, policy.digest, ", ".join(map(told, policy.effects)), where or t("always"))


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
    session.out.say(t("{id} of {system}, {status}", id=found.id, system=found.system_id, status=told(found.status)))
    if found.forking:
        session.out.say(t("it opens a branch: it was approved at once, whatever the policies say"))
    demanded = _demanded(found)
    said = t("now: {demanded}", demanded=demanded) if pending else ""
    session.out.say(said or t("if it were decided now: {demanded}", demanded=demanded))
    if found.recorded and not pending:
        says = told(found.recorded.says)
        session.out.say(t("recorded at {time}: {says}", time=local(found.recorded.at), says=says))
        for by in found.recorded.by:
            values = {"effects": ", ".join(map(told, by.effects)), "why": told(by.why)}
            session.out.say("  " + t("{name}: {effects}, for: {why}", name=f"{by.name} ({by.digest})", **values))
    for one in found.policies:
        session.out.say()
        applies = t("applies: {applies}", applies=t(_APPLIES[one.applies]))
        session.out.say(f"{one.name} ({one.digest}): {applies}{_effects(one)}")
        cells = ((it.setting, it.wanted, it.found or t("not known"), t(_HOLDS[it.holds])) for it in one.conditions)
        columns = ("CONDITION", "WANTED", "FOUND", "HOLDS")
        session.out.table(columns, cells, t("no condition: it applies to every commit"))


def _demanded(found: Explained) -> str:
    beside = [
        name
        for name, given in (
            ("access.two_approvers", found.two_approvers),
            ("reprocessing.auto_approve", found.auto_approve),
        )
        if given
    ]
    skip = t("it may not be skipped") if found.skip_refused else t("it may be skipped")
    settings = t(" (with {settings})", settings=", ".join(beside)) if beside else ""
    return f"{t(_APPROVALS.get(found.approval, found.approval))}; {skip}{settings}"


def _effects(one: WeighedPolicy) -> str:
    if one.applies is False:
        return t("; it would say {effects}", effects=", ".join(map(told, one.configured)))
    said = t("; it says {effects}", effects=", ".join(map(told, one.effects)) or t("nothing"))
    spared = [effect for effect in one.configured if effect not in one.effects]
    return said + (t(", and not {effects}", effects=", ".join(map(told, spared))) if spared else "")
