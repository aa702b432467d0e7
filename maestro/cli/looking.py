"""`maestro systems | pending | show | waiting | history | skipped | stale`: what there is, changing nothing."""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Annotated, Final

import msgspec
import typer

from maestro.cli.commit_page import print_commit
from maestro.cli.document_page import print_document
from maestro.cli.plain import age, count, local, span
from maestro.cli.session import AnySystem, DocumentId, Session, SystemId, command
from maestro.client.api import Maestro
from maestro.client.errors import ClientError
from maestro.client.finding import documents, find, systems_of
from maestro.client.shapes import Document, System
from maestro.statuses import Status

#: Digits of an id in a table: enough to tell it from the others, by itself or with a few more.
_SHORT: Final = 8
#: Systems that are asked at once.
_AT_ONCE: Final = 16
_UNAVAILABLE: Final = "unavailable"

After = Annotated[int, typer.Option(min=0, metavar="NUMBER", help="Begin behind this one.")]
PositionAfter = Annotated[int, typer.Option("--after", min=0, metavar="N", help="Leave out the first so many.")]
Limit = Annotated[int, typer.Option(min=1, max=1000, metavar="N", help="Show at most so many.")]


@command
def systems(session: Session) -> None:
    """List the systems: state, lock, what is pending or runs, what waits."""
    reply = session.maestro.systems()
    if session.out.json:
        session.out.raw(reply.raw)
        return
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
    session.out.table(columns, map(_system_row, _measured(session.maestro, reply.value)), "no system is served")


def _measured(maestro: Maestro, listed: Sequence[System]) -> list[System]:
    """Return the systems with their queues measured now, for the list tells an older measure; else without."""

    def measured(one: System) -> System:
        with suppress(ClientError):
            if one.state != _UNAVAILABLE:
                return maestro.system(one.id).value
        return msgspec.structs.replace(one, queues=None)

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(measured, listed))


def _system_row(one: System) -> tuple[object, ...]:
    locked = f"since {age(one.lock.since)}" if one.lock else "-"
    running = "-"
    if one.running:
        progress = one.running.progress
        running = f"{one.running.id[:_SHORT]} {progress.replayed}/{progress.replayed + progress.outstanding}"
    failed = "-" if one.failed is None else one.failed
    pending, line = len(one.pending), len(one.approved)
    wrong = one.message or (f"{one.stalled.sibling}: {one.stalled.cause}" if one.stalled else "-")
    return (one.id, one.state, locked, pending, line, running, one.waiting, one.inbox, failed, wrong)


@command
def pending(session: Session, system: AnySystem = "") -> None:
    """List what waits for a decision, oldest first."""
    found = _documents(session, system, Status.PENDING)
    if session.out.json:
        session.out.raw(msgspec.json.encode(found))
        return
    docs = sorted(map(_document, found), key=lambda doc: doc.history[0].timestamp if doc.history else "")
    waiting = _waiting(session.maestro) if docs else {}
    short = shortened([doc.id for doc in docs])
    columns = ("ID", "SYSTEM", "BRANCH", "EVENT", "INSTANCE", ">REPLAYS", ">WAITING", "HELD FOR", "ABOUT")
    rows = (
        (
            short[doc.id],
            doc.system_id,
            doc.branch,
            doc.pending_event.name,
            doc.pending_event.instance_id,
            doc.progress.outstanding,
            waiting.get(doc.system_id, "-"),
            age(doc.history[0].timestamp) if doc.history else "-",
            span(doc.estimate.seconds) if doc.estimate else "-",
        )
        for doc in docs
    )
    session.out.table(columns, rows, "nothing waits for a decision")


def _waiting(maestro: Maestro) -> dict[str, int]:
    return {one.id: one.waiting for one in maestro.systems().value}


@command
def show(session: Session, document: DocumentId) -> None:
    """Show one reprocessing: what it replays and how far that is, who decided what; of a pending one the commit."""
    reply = find(session.maestro, document)
    if session.out.json:
        session.out.raw(reply.raw)
    else:
        print_document(session.out, reply.value)
        if reply.value.status == Status.PENDING:
            print_commit(session.out, session.maestro, reply.value)


@command
def waiting(session: Session, system: SystemId, *, after: After = 0, limit: Limit = 100) -> None:
    """List the events of a system that wait, oldest first."""
    reply = session.maestro.waiting(system, after, limit)
    if session.out.json:
        session.out.raw(reply.raw)
        return
    columns = (">NUMBER", "EVENT", "INSTANCE", "BRANCH", "TAG", "SINCE", "WAITING FOR")
    rows = (
        (one.number, one.name, one.instance_id, one.branch, one.tag, local(one.since), span(one.waiting_for))
        for one in reply.value.events
    )
    session.out.table(columns, rows, "nothing waits")
    more(session, reply.value.next, reply.value.total)


@command
def skipped(session: Session, system: SystemId, *, after: After = 0, limit: Limit = 100) -> None:
    """List what was skipped and so never reached the domain, oldest first."""
    reply = session.maestro.skipped(system, after, limit)
    if session.out.json:
        session.out.raw(reply.raw)
        return
    short = shortened([one.id for one in reply.value.skipped])
    columns = (">NUMBER", "ID", "INSTANCE", "BRANCH", ">UNITS", "SKIPPED", "BY", "REASON", "RECONSIDERED")
    rows = (
        (
            one.number,
            short[one.id],
            one.instance_id,
            one.branch,
            one.units,
            local(one.skipped.timestamp),
            one.skipped.user,
            one.skipped.reason or "-",
            f"as event {one.reconsidered}" if one.reconsidered else "-",
        )
        for one in reply.value.skipped
    )
    session.out.table(columns, rows, "nothing was skipped")
    more(session, reply.value.next, reply.value.total)


@command
def stale(
    session: Session,
    system: SystemId,
    *,
    state: Annotated[str, typer.Option(help="Only this state: stale, unverified, …; default: all.")] = "",
    after: After = 0,
    limit: Limit = 100,
) -> None:
    """List the results that are not known to be fresh, and the commits that they missed, oldest note first."""
    reply = session.maestro.stale(system, state, after, limit)
    if session.out.json:
        session.out.raw(reply.raw)
        return
    columns = (">NUMBER", "INSTANCE", "BRANCH", "STATE", "SINCE", "MISSED", "REPROCESSING", "WHY")
    rows = (
        (
            one.number,
            one.instance_id,
            one.branch,
            one.state,
            local(one.timestamp),
            ", ".join(one.missed[:3]) or "-",
            one.reprocessing or "-",
            f"{one.user}: {one.reason}" if one.user else one.cause or "-",
        )
        for one in reply.value.stale
    )
    session.out.table(columns, rows, "nothing is known to be stale")
    more(session, reply.value.next, reply.value.total)


@command
def history(
    session: Session,
    system: AnySystem = "",
    *,
    status: Annotated[str, typer.Option(metavar="STATUS", help="Only those of this status.")] = "",
    limit: Annotated[int, typer.Option(min=1, metavar="N", help="Show only the newest so many.")] = 50,
) -> None:
    """List reprocessings, the newest last."""
    found = _documents(session, system, status)
    if session.out.json:
        session.out.raw(msgspec.json.encode(found))
        return
    docs = sorted(map(_document, found), key=lambda doc: doc.history[0].timestamp if doc.history else "")
    shown = docs[-limit:]
    short = shortened([doc.id for doc in docs])
    columns = ("ID", "SYSTEM", "INSTANCE", "BRANCH", "HELD", "STATUS", "SINCE", "BY", "WHY", ">REPLAYED", ">LEFT")
    session.out.table(columns, (_history_row(doc, short[doc.id]) for doc in shown), "there are no reprocessings")
    if len(shown) < len(docs):
        session.out.say(f"the newest {len(shown)} of {count(len(docs), 'reprocessing')}; --limit shows more")


def _history_row(doc: Document, short: str) -> tuple[object, ...]:
    last = doc.history[-1] if doc.history else None
    return (
        short,
        doc.system_id,
        doc.pending_event.instance_id,
        doc.branch,
        local(doc.history[0].timestamp) if doc.history else "-",
        doc.status,
        local(last.timestamp) if last else "-",
        last.user if last else "-",
        (last.reason or last.cause or "-") if last else "-",
        doc.progress.replayed,
        doc.progress.outstanding if doc.live else "-",
    )


def _documents(session: Session, system: str, status: str) -> list[msgspec.Raw]:
    """Return the documents of a system, or of all. Raises `Rejected`: the system is not known.

    Maestro answers with no documents then, too: so it is asked for the system itself.
    """
    found = list(documents(session.maestro, systems_of(session.maestro, system), (status,)))
    if system and not found:
        session.maestro.system(system)
    return found


def _document(raw: msgspec.Raw) -> Document:
    return msgspec.json.decode(raw, type=Document)


def more(session: Session, following: int | None, total: int) -> None:
    """Say that there is more, and how to see it."""
    if following is not None:
        session.out.say(f"of {total:,}; more: --after {following}")


def shortened(ids: Sequence[str]) -> dict[str, str]:
    """Return the beginning of each id that tells it from the others."""
    return {id_: id_[: _length(id_, ids)] for id_ in ids}


def _length(id_: str, ids: Iterable[str]) -> int:
    same = max((_common(id_, other) for other in ids if other != id_), default=0)
    return max(_SHORT, same + 1)


def _common(one: str, other: str) -> int:
    return next((index for index, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]), len(one))
