"""`maestro approve | skip | retry | cancel | pause | resume | recheck | reconsider`: shown first, then done."""

from collections.abc import Callable, Collection, Iterable
from typing import Annotated, Final

import typer

from maestro.cli import consequences
from maestro.cli.document_page import becoming
from maestro.cli.exits import EXIT_USAGE, fail
from maestro.cli.plain import local
from maestro.cli.session import DocumentId, Reason, Session, User, Yes, command
from maestro.client.api import Decision
from maestro.client.errors import refused
from maestro.client.finding import find, least_of
from maestro.client.shapes.documents import Document
from maestro.language import t, tn, told
from maestro.statuses import GIVEN_UP, RUNNING, Status, ordered

_CONFLICT: Final = 409
_PENDING: Final = (Status.PENDING,)
_RUNNING: Final = ordered(RUNNING)
_PAUSED: Final = (Status.PAUSED,)
_GIVEN_UP: Final = ordered(GIVEN_UP)
_SKIPPED: Final = (Status.SKIPPED,)

Replays = Annotated[
    int | None, typer.Option("--max-replays", min=1, metavar="N", help="Pause for another decision after N replays.")
]
Minutes = Annotated[float | None, typer.Option("--max-minutes", min=0.01, metavar="M", help="Pause after M minutes.")]
Digest = Annotated[
    str,
    typer.Option(metavar="HEX", help="The preview that was seen, from `show --json`; by default the one shown now."),
]
CoversTag = Annotated[
    bool,
    typer.Option("--covers-tag", help="Decide what else becomes pending of the same tag, soon, likewise."),
]
CoversLimit = Annotated[
    int | None,
    typer.Option("--covers-limit", min=1, metavar="N", help="… up to N units each; else as many as this one has."),
]


@command
def approve(
    session: Session,
    document: DocumentId,
    *,
    yes: Yes = False,
    reason: Reason = "",
    user: User = "",
    max_replays: Replays = None,
    max_minutes: Minutes = None,
    digest: Digest = "",
    covers_tag: CoversTag = False,
    covers_limit: CoversLimit = None,
) -> None:
    """Commit what is held and replay what it impacts; exactly what is shown, or nothing."""
    doc = _target(session, document, _PENDING, unasked=yes)
    budget = _budget(max_replays, max_minutes)
    session.out.confirm(
        consequences.title(t("Approve"), doc),
        [*consequences.of_approval(session.maestro, doc, budget), *_covering(doc, covers_tag, covers_limit)],
        _approve_question(doc),
        yes=yes,
    )
    covers = "tag" if covers_tag else None
    decision = Decision(session.user(user), reason, digest or doc.digest or "", budget, covers, covers_limit)
    _decide(session, "approve", doc, decision, _approved)


def _approve_question(doc: Document) -> str:
    units = doc.progress.units
    return tn("Approve and replay {n}?", "Approve and replay {n}?", units) if units else t("Approve and commit?")


def _covering(doc: Document, covers_tag: bool, limit: int | None) -> Iterable[str]:  # noqa: FBT001 - an option's value
    """Say what else a decision will be taken for."""
    if not covers_tag and limit is not None:
        fail(t("--covers-limit is for a decision with --covers-tag"), EXIT_USAGE)
    if covers_tag:
        most = doc.progress.units if limit is None else limit
        yield tn(
            "covers tag {tag}: what else becomes pending of it, soon, up to {n} replay each",
            "covers tag {tag}: what else becomes pending of it, soon, up to {n} replays each",
            most,
            tag=doc.tag,
        )


@command
def skip(
    session: Session,
    document: DocumentId,
    *,
    yes: Yes = False,
    reason: Reason = "",
    user: User = "",
    digest: Digest = "",
    covers_tag: CoversTag = False,
    covers_limit: CoversLimit = None,
) -> None:
    """Discard the held commit: its rows never reach the domain; exactly what is shown, or nothing."""
    doc = _target(session, document, _PENDING, unasked=yes)
    lines = [*consequences.of_skip(session.maestro, doc), *_covering(doc, covers_tag, covers_limit)]
    question = t("Leave them as they are?") if doc.late else t("Skip and discard the commit?")
    session.out.confirm(consequences.title(t("Skip"), doc), lines, question, yes=yes)
    covers = "tag" if covers_tag else None
    decision = Decision(session.user(user), reason, digest or doc.digest or "", None, covers, covers_limit)
    _decide(session, "skip", doc, decision, _skipped)


@command
def retry(
    session: Session,
    document: DocumentId,
    *,
    yes: Yes = False,
    reason: Reason = "",
    user: User = "",
    max_replays: Replays = None,
    max_minutes: Minutes = None,
) -> None:
    """Go on with what failed, was aborted or cancelled: only what is not done yet."""
    doc = _target(session, document, _GIVEN_UP, unasked=yes)
    _go_on(session, "retry", doc, Decision(session.user(user), reason, "", _budget(max_replays, max_minutes)), yes=yes)


@command
def resume(
    session: Session,
    document: DocumentId,
    *,
    yes: Yes = False,
    reason: Reason = "",
    user: User = "",
    max_replays: Replays = None,
    max_minutes: Minutes = None,
) -> None:
    """Let a paused reprocessing go on, to the end or with a new budget."""
    doc = _target(session, document, _PAUSED, unasked=yes)
    _go_on(session, "resume", doc, Decision(session.user(user), reason, "", _budget(max_replays, max_minutes)), yes=yes)


def _go_on(session: Session, action: str, doc: Document, decision: Decision, *, yes: bool) -> None:
    lines = consequences.of_going_on(session.maestro, doc, decision.budget)
    left = doc.progress.outstanding
    verb, question = (
        (t("Retry"), tn("Retry and replay {n}?", "Retry and replay {n}?", left))
        if action == "retry"
        else (t("Resume"), tn("Resume and replay {n}?", "Resume and replay {n}?", left))
    )
    session.out.confirm(consequences.title(verb, doc), lines, question, yes=yes)
    _decide(session, action, doc, decision, _went_on)


@command
def cancel(session: Session, document: DocumentId, *, yes: Yes = False, reason: Reason = "", user: User = "") -> None:
    """Give up what is approved, running or paused; what runs stops after its current replay."""
    doc = _target(session, document, (Status.APPROVED, *_RUNNING, *_PAUSED), unasked=yes)
    lines = consequences.of_cancel(session.maestro, doc)
    session.out.confirm(consequences.title(t("Cancel"), doc), lines, t("Cancel the reprocessing?"), yes=yes)
    _decide(session, "cancel", doc, Decision(session.user(user), reason), _cancelled)


@command
def pause(session: Session, document: DocumentId, *, reason: Reason = "", user: User = "") -> None:
    """Pause a running reprocessing after its current replay. Its lock stays."""
    doc = _target(session, document, _RUNNING, unasked=True)
    _decide(session, "pause", doc, Decision(session.user(user), reason), _paused)


@command
def recheck(session: Session, document: DocumentId, *, user: User = "") -> None:
    """Ask Discovery again what a pending reprocessing would impact, and show what changed."""
    doc = _target(session, document, _PENDING, unasked=True)
    _decide(session, "recheck", doc, Decision(session.user(user)), _checked)


@command
def reconsider(
    session: Session, document: DocumentId, *, yes: Yes = False, reason: Reason = "", user: User = ""
) -> None:
    """Have the event of a skipped reprocessing judged again."""
    doc = _target(session, document, _SKIPPED, unasked=yes)
    if doc.reconsidered:
        raise refused(_CONFLICT, _reconsidered(doc))
    lines = consequences.of_reconsideration(session.maestro, doc)
    session.out.confirm(consequences.title(t("Reconsider"), doc), lines, t("Judge it again?"), yes=yes)
    reply = session.maestro.reconsider(doc.id, Decision(session.user(user), reason))
    if session.out.json:
        session.out.raw(reply.raw)
        return
    match reply.value.status:
        case "commited":
            session.out.say(t("it impacts nothing now: committed"))
        case "approval_noted":
            session.out.say(t("{id}: your approval is noted; another user must reconsider it, too", id=doc.id))
        case "reprocessing_request" if reply.value.reprocessing is not None:
            new = reply.value.reprocessing
            session.out.say(
                tn(
                    "held again as {id}: it impacts {n} instance",
                    "held again as {id}: it impacts {n} instances",
                    new.progress.units,
                    id=new.id,
                )
            )
        case _:
            values = {"system": doc.system_id, "position": reply.value.position}
            session.out.say(t("{system} is not open: it waits at position {position}", **values))


def _reconsidered(doc: Document) -> str:
    """Say who had its event judged again, and when, as far as its history tells."""
    number = doc.reconsidered
    entry = next((one for one in doc.history if one.cause == f"reconsidered as event {number}"), None)
    if entry is None:
        return f"reprocessing {doc.id} was already reconsidered as event {number}"
    at = local(entry.timestamp)
    return f"reprocessing {doc.id} was already reconsidered by {entry.user} at {at} as event {number}"


def _target(session: Session, text: str, statuses: Iterable[str], *, unasked: bool) -> Document:
    """Return the document that is meant. Raises `TooShort`, `Rejected`: its status does not allow the action."""
    wanted = tuple(statuses)
    doc = find(session.maestro, text, wanted, least_of(unasked=unasked)).value
    if doc.status not in wanted:
        raise refused(_CONFLICT, f"reprocessing {doc.id} is {_since(doc)}; {_needed(wanted)}")
    return doc


def _since(doc: Document) -> str:
    """Say what it is since when, and who decided so, as the gateway does; in the reader's time."""
    taken, decided = doc.taken, doc.decided
    if taken is None:
        return doc.status
    at = local(taken.timestamp)
    if decided is None or decided is taken:
        return f"{doc.status} since {at}, by {taken.user}"
    when = local(decided.timestamp)
    return f"{doc.status} since {at}, {decided.status} by {decided.user} at {when}"


def _needed(wanted: Collection[str]) -> str:
    """Say in words what an action is for."""
    if Status.PENDING in wanted:
        return "only what waits for a decision can be decided"
    if Status.APPROVED in wanted:
        return "only what is approved, running or paused can be cancelled"
    if Status.PAUSED in wanted:
        return "only what is paused can be resumed"
    if Status.SKIPPED in wanted:
        return "only what was skipped can be reconsidered"
    return "only what runs can be paused" if Status.RUNNING in wanted else "only what was given up can be retried"


def _decide(
    session: Session, action: str, doc: Document, decision: Decision, done: Callable[[Document], Iterable[str]]
) -> None:
    reply = session.maestro.decide(action, doc.id, decision)
    if session.out.json:
        session.out.raw(reply.raw)
    for line in done(reply.value):
        session.out.say(line)


def _approved(now: Document) -> Iterable[str]:
    if now.status in _PENDING:
        yield t("{id}: your approval is noted; another user must approve it, too", id=now.id)
    else:
        yield from _watch(now)


def _went_on(now: Document) -> Iterable[str]:
    if now.status in (*_PAUSED, *_GIVEN_UP) and now.first_approval and not now.first_approval.decided:
        yield (
            t("{id}: your approval is noted; another user must retry it, too", id=now.id)
            if now.first_approval.decision == "retry"
            else t("{id}: your approval is noted; another user must resume it, too", id=now.id)
        )
    else:
        yield from _watch(now)


def _watch(now: Document) -> Iterable[str]:
    yield f"{_now(now)}; " + t("`maestro watch {id}` shows how it runs", id=now.id[:8])


def _skipped(now: Document) -> Iterable[str]:
    if now.late:
        yield f"{_now(now)}; " + t("`maestro stale {system}` lists what was accepted", system=now.system_id)
    else:
        yield f"{_now(now)}; " + t("`maestro reconsider {id}` has its event judged again", id=now.id[:8])


def _cancelled(now: Document) -> Iterable[str]:
    soon = becoming(now)
    yield _now(now) + (f"; {soon}" if soon else "")


def _paused(now: Document) -> Iterable[str]:
    yield f"{_now(now)}; " + t("it pauses after the current replay, and keeps its lock")


def _checked(now: Document) -> Iterable[str]:
    units = now.progress.units
    yield tn("{id}: it impacts {n} instance", "{id}: it impacts {n} instances", units, id=now.id)
    for sign, changed in (("+", now.added), ("-", now.removed)):
        for unit in changed:
            on = t("{instance} on {branch}", instance=unit.instance_id, branch=unit.branch)
            yield f"  {sign} {on}"


def _now(now: Document) -> str:
    return f"{now.id}: {told(now.status)}"


def _budget(replays: int | None, minutes: float | None) -> dict[str, float] | None:
    given = {"replays": replays, "minutes": minutes}
    return {name: value for name, value in given.items() if value is not None} or None
