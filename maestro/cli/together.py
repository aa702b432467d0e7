"""`maestro decide approve | skip ID…`: several pending reprocessings together, each exactly as it is shown."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Final

import typer

from maestro.cli.exits import EXIT_FAILED, EXIT_UNREACHABLE, EXIT_USAGE, fail
from maestro.cli.filled import filled
from maestro.cli.looking import UNAVAILABLE, shortened
from maestro.cli.naming import late_or, said_of
from maestro.cli.pages import none_known
from maestro.cli.session import Session, User, Yes, command
from maestro.client.errors import refused
from maestro.client.finding import check_length, least_of
from maestro.client.shapes.lists import DecidedMany, TodoItem
from maestro.client.transport import Reply
from maestro.language import t, tn, told

_PAGE: Final = 500
#: What one request decides at most.
_AT_ONCE: Final = 200
_NOT_FOUND: Final = 404
_BAD: Final = 400
_AWAY: Final = 503


class Action(StrEnum):
    """What is decided."""

    APPROVE = "approve"
    SKIP = "skip"


@command
def decide(
    session: Session,
    action: Annotated[Action, typer.Argument(metavar="ACTION", help="approve or skip.")],
    documents: Annotated[
        list[str] | None,
        typer.Argument(metavar="ID", help="Pending ones, by id or how no other's begins.", callback=filled),
    ] = None,
    *,
    system: Annotated[
        str, typer.Option(metavar="SYSTEM", help="All that are pending in this system.", callback=filled)
    ] = "",
    everything: Annotated[bool, typer.Option("--all", help="All that are pending.")] = False,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why: of each, in its history. Needed.")] = "",
    yes: Yes = False,
    user: User = "",
) -> int:
    """Approve or skip several pending reprocessings for one reason; each if it is still what is shown, else not."""
    if bool(documents) + bool(system) + everything != 1:
        fail(t("give either ids, --system or --all"), EXIT_USAGE)
    if not reason.strip():
        fail(t("give a --reason: it stands in the history of each"), EXIT_USAGE)
    known, unanswered = _pending(session, system)
    least = least_of(unasked=yes)
    chosen = [_meant(known, text, least, unanswered) for text in dict.fromkeys(documents)] if documents else known
    chosen = list({one.reprocessing: one for one in chosen}.values())
    code = EXIT_UNREACHABLE if unanswered and not documents else 0
    for one in unanswered if code else ():
        session.out.note(t("{system}: no answer; its reprocessings are missing", system=one))
    if not chosen:
        session.out.say(none_known(unanswered) if unanswered else t("nothing waits for a decision"))
        return code
    if len(chosen) > _AT_ONCE:
        fail(t("at most {most} are decided together: choose by id or --system", most=_AT_ONCE), EXIT_USAGE)
    short = shortened([one.reprocessing for one in known])
    n = len(chosen)
    if action is Action.APPROVE:
        title = tn("Approve {n} reprocessing: {reason}", "Approve {n} reprocessings: {reason}", n, reason=reason)
        question = t("Approve {n}?", n=n)
    else:
        title = tn("Skip {n} reprocessing: {reason}", "Skip {n} reprocessings: {reason}", n, reason=reason)
        question = t("Skip {n}?", n=n)
    lines = [*(_told(one, short) for one in chosen), t("each is decided only if it is still what is shown here")]
    session.out.confirm(title, lines, question, yes=yes)
    digests = {one.reprocessing: one.digest for one in chosen}
    reply = session.maestro.decide_many(action, digests, session.user(user), reason)
    done = reply.value
    _show(session, reply, short)
    session.out.say(t("{n} of {total} decided", n=done.decided, total=len(done.items)))
    if done.noted:
        said = tn(
            "{n} approval is noted: a second person must, too",
            "{n} approvals are noted: a second person must, too",
            done.noted,
        )
        session.out.say(said)
    return EXIT_FAILED if done.refused or done.unknown else code


def _show(session: Session, reply: Reply[DecidedMany], short: Mapping[str, str]) -> None:
    if session.out.json:
        session.out.raw(reply.raw)
        return
    items = reply.value.items
    rows = ((short.get(one.id, one.id), one.system, told(one.outcome), told(one.message) or "-") for one in items)
    session.out.table(("ID", "SYSTEM", "OUTCOME", "WHY"), rows, t("nothing was decided"))


def _pending(session: Session, system: str) -> tuple[list[TodoItem], list[str]]:
    """Return what is pending, with the digest of each; and the systems that do not answer."""
    found: list[TodoItem] = []
    unanswered: list[str] = []
    after: int | None = 0
    while after is not None:
        page = session.maestro.todo(system, after, _PAGE).value
        found += [one for one in page.items if one.digest]
        unanswered += [one.system for one in page.items if one.kind == UNAVAILABLE]
        after = page.next
    return found, unanswered


def _meant(known: Sequence[TodoItem], text: str, least: int, unanswered: Sequence[str] = ()) -> TodoItem:
    """Return the one that is named. Raises `TooShort`, `Rejected`: none is, several are, or it is not known."""
    exact = [one for one in known if one.reprocessing == text]
    if not exact:
        check_length(text, least)
    found = exact or [one for one in known if one.reprocessing.startswith(text)]
    if len(found) > 1:
        raise refused(_BAD, t("{text}: several ids begin so", text=text))
    if not found and unanswered:
        away = ", ".join(unanswered)
        raise refused(_AWAY, f"no pending reprocessing {text} in the systems that answer; not known: {away}")
    if not found:
        raise refused(_NOT_FOUND, t("no pending reprocessing {text}", text=text))
    return found[0]


def _told(one: TodoItem, short: dict[str, str]) -> str:
    named = late_or(said_of(one.event, one.about), late=one.kind == "late")
    return f"{short[one.reprocessing]} {one.system}: {named}, {tn('{n} replay', '{n} replays', one.units)}"
