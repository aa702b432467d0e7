"""`maestro systems | pending | show | waiting | history | skipped | stale`: what there is, changing nothing."""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Annotated, Final

import msgspec
import typer

from maestro.cli.commit_page import print_commit
from maestro.cli.document_page import UNITS, print_document
from maestro.cli.exits import EXIT_UNREACHABLE
from maestro.cli.naming import late_or, named, said_of
from maestro.cli.pages import Pages, none_known, pages_of, printed
from maestro.cli.plain import age, local, span
from maestro.cli.session import AnySystem, DocumentId, Session, command
from maestro.cli.unusual_page import print_unusual
from maestro.cli.values import print_overwrites
from maestro.client.api import Maestro
from maestro.client.errors import ClientError
from maestro.client.finding import find
from maestro.client.shapes.documents import Document
from maestro.client.shapes.lists import Record
from maestro.client.shapes.systems import System
from maestro.language import figure, t, told
from maestro.statuses import Status

#: Digits of an id in a table: enough to tell it from the others, by itself or with a few more.
_SHORT: Final = 8
#: Systems that are asked at once.
_AT_ONCE: Final = 16
#: Records asked for at once.
_PAGE: Final = 500
#: The state of a system that does not answer, and the kind of what the to-do list says of one.
UNAVAILABLE: Final = "unavailable"
#: Columns of the systems' table that the system itself must answer.
_ASKED: Final = 7

After = Annotated[int, typer.Option(min=0, metavar="NUMBER", help="Begin behind this one.")]
PositionAfter = Annotated[int, typer.Option("--after", min=0, metavar="N", help="Leave out the first so many.")]
Limit = Annotated[int, typer.Option(min=1, max=1000, metavar="N", help="Show at most so many.")]


@command
def systems(session: Session) -> int:
    """List the systems: state, lock, what is pending or runs, what waits."""
    reply = session.maestro.systems()
    unanswered = [one for one in reply.value if one.state == UNAVAILABLE]
    for one in unanswered:
        session.out.note(f"{one.id}: {told(one.message)}")
    code = EXIT_UNREACHABLE if unanswered else 0
    if session.out.json:
        session.out.raw(reply.raw)
        return code
    columns = (
        "SYSTEM",
        "STATE",
        "LOCKED",
        ">PENDING",
        ">IN LINE",
        "RUNNING",
        ">WAITING",
        ">IN HAND",
        ">ERRORS",
        "PROBLEM",
    )
    session.out.table(columns, map(_system_row, _measured(session.maestro, reply.value)), t("no system is served"))
    return code


def _measured(maestro: Maestro, listed: Sequence[System]) -> list[System]:
    """Return the systems with their queues measured now, for the list tells an older measure; else without."""

    def measured(one: System) -> System:
        with suppress(ClientError):
            if one.state != UNAVAILABLE:
                return maestro.system(one.id).value
        return msgspec.structs.replace(one, queues=None)

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(measured, listed))


def _system_row(one: System) -> tuple[object, ...]:
    if one.state == UNAVAILABLE:
        unknown = t("not known")
        return (one.id, told(one.state), *[unknown] * _ASKED, told(one.message) or "-")
    locked = t("since {age}", age=age(one.lock.since)) if one.lock else "-"
    running = "-"
    if one.running:
        progress = one.running.progress
        done, total = progress.replayed, progress.replayed + progress.outstanding
        running = f"{one.running.id[:_SHORT]} {figure(done)}/{figure(total)}"
    failed = "-" if one.failed is None else one.failed
    pending, line = len(one.pending), len(one.approved)
    stall = f"{one.stalled.sibling}: {told(one.stalled.cause)}" if one.stalled else ""
    wrong = one.message or stall or (t("broker: {problem}", problem=told(one.broker)) if one.broker else "-")
    return (one.id, told(one.state), locked, pending, line, running, one.waiting, one.inbox, failed, wrong)


@command
def pending(session: Session, system: AnySystem = "") -> int:
    """List what waits for a decision, oldest first."""
    pages = _documents(session, system, Status.PENDING)
    found = [raw for _, page in pages for raw in page]
    if session.out.json:
        session.out.raw(msgspec.json.encode(found))
        return pages.code
    docs = sorted(map(_document, found), key=lambda doc: doc.history[0].timestamp if doc.history else "")
    waiting = _waiting(session.maestro) if docs else {}
    short = shortened([doc.id for doc in docs])
    columns = ("ID", "SYSTEM", "BRANCH", "WHAT", "INSTANCE", ">REPLAYS", ">WAITING", "HELD FOR", "TAKES ABOUT")
    rows = (
        (
            short[doc.id],
            doc.system_id,
            doc.branch,
            named(doc),
            doc.pending_event.instance_id or "-",
            doc.progress.outstanding,
            waiting.get(doc.system_id, "-"),
            age(doc.history[0].timestamp) if doc.history else "-",
            span(doc.estimate.seconds) if doc.estimate else "-",
        )
        for doc in docs
    )
    session.out.table(columns, rows, pages.empty(t("nothing waits for a decision")))
    return pages.code


def _waiting(maestro: Maestro) -> dict[str, int]:
    return {one.id: one.waiting for one in maestro.systems().value}


@command
def show(session: Session, document: DocumentId) -> None:
    """Show one reprocessing: what it replays and how far that is, who decided what; of a pending one the commit."""
    reply = find(session.maestro, document)
    if session.out.json:
        session.out.raw(reply.raw)
    else:
        units = session.maestro.units(reply.value.id, 0, UNITS).value.units if reply.value.units else ()
        print_document(session.out, reply.value, units)
        if reply.value.status == Status.PENDING and not reply.value.late:
            print_commit(session.out, session.maestro, reply.value)
            print_unusual(session.out, session.maestro, reply.value)


@command
def waiting(session: Session, system: AnySystem = "", *, after: After = 0, limit: Limit = 100) -> int:
    """List the events that wait, of a system or of all, oldest first."""
    pages = pages_of(session, system, lambda one: session.maestro.waiting(one, after, limit))
    if printed(session, system, pages):
        return pages.code
    columns = ("SYSTEM", ">NUMBER", "EVENT", "INSTANCE", "BRANCH", "TAG", "SINCE", "WAITING FOR")
    rows = (
        (
            id_,
            one.number,
            said_of(one.process or one.name, one.about),
            one.instance_id,
            one.branch,
            one.tag,
            local(one.since),
            span(one.waiting_for),
        )
        for id_, page in pages
        for one in page.value.events
    )
    session.out.table(columns, rows, pages.empty(t("nothing waits")))
    for id_, page in pages:
        more(session, page.value.next, page.value.total, "" if system else id_)
    return pages.code


@command
def skipped(session: Session, system: AnySystem = "", *, after: After = 0, limit: Limit = 100) -> int:
    """List what was skipped and so never reached the domain, in a system or in all, oldest first."""
    pages = pages_of(session, system, lambda one: session.maestro.skipped(one, after, limit))
    if printed(session, system, pages):
        return pages.code
    short = shortened([one.id for _, page in pages for one in page.value.skipped])
    columns = (
        "SYSTEM", ">NUMBER", "ID", "WHAT", "INSTANCE", "BRANCH", ">UNITS", "SKIPPED", "BY", "REASON", "RECONSIDERED"
    )  # fmt: skip
    rows = (
        (
            id_,
            one.number,
            short[one.id],
            said_of(one.event, one.about),
            one.instance_id,
            one.branch,
            one.units,
            local(one.skipped.timestamp),
            one.skipped.user,
            one.skipped.reason or "-",
            t("as event {number}", number=str(one.reconsidered)) if one.reconsidered else "-",
        )
        for id_, page in pages
        for one in page.value.skipped
    )
    session.out.table(columns, rows, pages.empty(t("nothing was skipped")))
    for id_, page in pages:
        more(session, page.value.next, page.value.total, "" if system else id_)
    return pages.code


@command
def stale(
    session: Session,
    system: AnySystem = "",
    *,
    state: Annotated[str, typer.Option(help="Only this state: stale, unverified, …; default: all.")] = "",
    after: After = 0,
    limit: Limit = 100,
    values: Annotated[
        bool, typer.Option("--values", help="With both values of what was overwritten; at most 20 results then.")
    ] = False,
) -> int:
    """List the results that are not known to be fresh, and the commits that they missed, oldest note first."""
    pages = pages_of(session, system, lambda one: session.maestro.stale(one, state, after, limit, values=values))
    if printed(session, system, pages):
        return pages.code
    columns = ("SYSTEM", ">NUMBER", "WHAT", "INSTANCE", "BRANCH", "STATE", "SINCE", "MISSED", "REPROCESSING", "WHY")
    rows = (
        (
            id_,
            one.number,
            said_of(one.event, one.about),
            one.instance_id,
            one.branch,
            told(one.state),
            local(one.timestamp),
            ", ".join(one.missed[:3]) or "-",
            one.reprocessing or "-",
            f"{one.user}: {one.reason}" if one.user else told(one.cause) or "-",
        )
        for id_, page in pages
        for one in page.value.stale
    )
    session.out.table(columns, rows, pages.empty(t("nothing is known to be stale")))
    for id_, page in pages:
        if values:
            print_overwrites(session.out, page.value.stale)
        more(session, page.value.next, page.value.total, "" if system else id_)
    return pages.code


@command
def history(
    session: Session,
    system: AnySystem = "",
    *,
    status: Annotated[str, typer.Option(metavar="STATUS", help="Only those of this status.")] = "",
    limit: Annotated[int, typer.Option(min=1, metavar="N", help="Show only the newest so many.")] = 50,
) -> int:
    """List reprocessings, the newest last: what it was, who decided what, when and why."""
    if session.out.json:
        pages = _documents(session, system, status)
        session.out.raw(msgspec.json.encode([raw for _, page in pages for raw in page]))
        return pages.code
    found, there_is_more, unanswered = _records(session, system, status, limit)
    short = shortened([one.id for one in found])
    columns = ("ID", "SYSTEM", "WHAT", "BRANCH", "HELD", "STATUS", "DECIDED BY", "WHY", ">REPLAYED", ">UNITS", "CAUSE")
    rows = (
        (
            short[one.id],
            one.system,
            late_or(said_of(one.event, one.about), late=one.late),
            one.branch,
            local(one.since),
            told(one.status),
            _decided(one),
            (one.decision and one.decision.reason) or "-",
            one.replayed,
            one.units,
            told(one.cause) or "-",
        )
        for one in found
    )
    session.out.table(columns, rows, none_known(unanswered) if unanswered else t("there are no reprocessings"))
    if there_is_more:
        session.out.say(t("the newest {n}; --limit shows more", n=len(found)))
    return EXIT_UNREACHABLE if unanswered else 0


def _decided(one: Record) -> str:
    if not one.decision:
        return "-"
    user, status, at = one.decision.user, told(one.decision.status), local(one.decision.at)
    return t("{user} ({status}) at {time}", user=user, status=status, time=at)


def _records(session: Session, system: str, status: str, limit: int) -> tuple[list[Record], bool, list[str]]:
    """Return the newest records, the newest last; whether there are more; and the systems that do not answer."""
    found: list[Record] = []
    unanswered: list[str] = []
    before: str | None = ""
    while before is not None and len(found) < limit:
        page = session.maestro.history(system, status, before, min(limit - len(found), _PAGE)).value
        found += [msgspec.json.decode(raw, type=Record) for raw in page.records]
        for one in page.unanswered:
            if one in unanswered:
                continue
            unanswered.append(one)
            session.out.note(t("{system}: no answer; its reprocessings are missing", system=one))
        before = page.next
    return found[::-1], before is not None, unanswered


def _documents(session: Session, system: str, status: str) -> Pages[list[msgspec.Raw]]:
    """Return the documents of a system, or of all. Raises `Rejected`: the system is not known.

    Maestro answers with no documents then, too: so it is asked for the system itself.
    """
    pages = pages_of(session, system, lambda one: list(session.maestro.documents(one, status)))
    if system and not any(page for _, page in pages):
        session.maestro.system(system)
    return pages


def _document(raw: msgspec.Raw) -> Document:
    return msgspec.json.decode(raw, type=Document)


def more(session: Session, following: int | None, total: int, system: str = "") -> None:
    """Say that there is more, and how to see it."""
    if following is not None:
        values = {"total": total, "after": str(following), "system": system}
        said = t("{system} of {total}; more: {system} --after {after}", **values) if system else ""
        session.out.say(said or t("of {total}; more: --after {after}", **values))


def shortened(ids: Sequence[str]) -> dict[str, str]:
    """Return the beginning of each id that tells it from the others."""
    return {id_: id_[: _length(id_, ids)] for id_ in ids}


def _length(id_: str, ids: Iterable[str]) -> int:
    same = max((_common(id_, other) for other in ids if other != id_), default=0)
    return max(_SHORT, same + 1)


def _common(one: str, other: str) -> int:
    return next((index for index, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]), len(one))
