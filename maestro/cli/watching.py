"""`maestro watch ID`: how a reprocessing runs, until it ends."""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Annotated, Final

import typer
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from maestro.cli.document_page import becoming, progress
from maestro.cli.exits import EXIT_FAILED, EXIT_UNREACHABLE, fail
from maestro.cli.output import Output
from maestro.cli.plain import plain, span
from maestro.cli.session import DocumentId, Session, command
from maestro.client.api import SILENCE, Maestro
from maestro.client.errors import NotReachable, Rejected
from maestro.client.finding import find
from maestro.client.shapes.documents import Document
from maestro.client.transport import Reply
from maestro.language import t, tn, told
from maestro.statuses import Status

#: Statuses of a refusal that pass.
_PASSING: Final = frozenset({429, 502, 503, 504})
#: Seconds between two polls where there is no stream, and that Maestro may be away (it may be restarted).
_POLL: Final = 1.0
_AWAY: Final = 60.0


@command
def watch(
    session: Session,
    document: DocumentId,
    *,
    for_: Annotated[
        float | None, typer.Option("--for", min=0, metavar="SECONDS", help="Give up after so long (exit code 1).")
    ] = None,
) -> int:
    """Watch a reprocessing until it ends: exit code 0 when it finished, 1 when it ended otherwise."""
    doc = find(session.maestro, document).value
    deadline = time.monotonic() + for_ if for_ is not None else None
    with _view(session.out) as view:
        for reply in seen(session.maestro, doc, deadline):
            doc = reply.value
            view.show(reply)
    if doc.live:
        fail(t("it is still {status}", status=told(doc.status)), EXIT_FAILED)
    taken = doc.taken
    why = f": {told(taken.cause) or taken.reason}" if taken and (taken.cause or taken.reason) else ""
    done = tn("replays: {n} done", "replays: {n} done", doc.progress.replayed)
    session.out.say(f"{doc.id}: {told(doc.status)}{why}; {done}")
    return 0 if doc.status == Status.FINISHED else EXIT_FAILED


def seen(maestro: Maestro, doc: Document, deadline: float | None) -> Iterator[Reply[Document]]:
    """Yield the document whenever it changed, the last time when it has ended, or `deadline` (monotonic) has passed.

    By the stream; where there is none, or it breaks off, by asking now and then.

    Raises:
        Rejected: Maestro does not tell.
    """
    last, away_since = None, None
    while True:
        try:
            for now in _until_lost(maestro, doc, deadline):
                away_since = None
                if _essence(now.value) != last:
                    yield now
                last = _essence(now.value)
                if not now.value.live:
                    return
        except (NotReachable, Rejected) as problem:
            if isinstance(problem, Rejected) and problem.status not in _PASSING:
                raise
            away_since = away_since or time.monotonic()
            if time.monotonic() - away_since > _AWAY:
                values = {"seconds": int(_AWAY), "problem": told(plain(problem))}
                fail(t("not reachable for {seconds} s: {problem}", **values), EXIT_UNREACHABLE)
        if deadline is not None and time.monotonic() >= deadline:
            return
        time.sleep(_POLL)


def _essence(doc: Document) -> tuple[object, ...]:
    """Return what of a document is worth a line."""
    return (doc.status, doc.progress, doc.history, doc.pausing, doc.cancelling)


def _until_lost(maestro: Maestro, doc: Document, deadline: float | None) -> Iterator[Reply[Document]]:
    """Yield what is seen: once by asking, then by the stream for as long as there is one."""
    yield maestro.document(doc.id)
    try:
        with maestro.watch(doc.system_id, SILENCE, deadline) as events:
            for event in events:
                document_watched = event.value
                # Another one is at stake: ours may have ended meanwhile.
                yield (
                    Reply(event.raw, document_watched)
                    if document_watched and document_watched.id == doc.id
                    else maestro.document(doc.id)
                )
                if deadline is not None and time.monotonic() >= deadline:
                    return
    except (NotReachable, Rejected):
        return


class _Lines:
    """One line for each change; with `json` the document as JSON."""

    def __init__(self, out: Output) -> None:
        self._out = out

    def show(self, reply: Reply[Document]) -> None:
        if self._out.json:
            self._out.raw(reply.raw)
        else:
            self._out.say(f"{told(reply.value.status)}: {_text(reply.value)}")


class _Bar:
    """A bar that moves."""

    def __init__(self, bar: Progress) -> None:
        self._bar = bar
        self._task: TaskID | None = None

    def show(self, reply: Reply[Document]) -> None:
        doc = reply.value
        done = doc.progress.replayed
        total = done + doc.progress.outstanding
        if self._task is None:
            self._task = self._bar.add_task(told(doc.status), total=total, facts="")
        self._bar.update(self._task, description=told(doc.status), completed=done, total=total, facts=_text(doc))


class _BarView(AbstractContextManager[_Bar]):
    """The bar, for as long as it is looked at."""

    def __init__(self, out: Output) -> None:
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[facts]}", markup=False),
            TimeElapsedColumn(),
        )
        self._bar = Progress(*columns, console=out.console)

    def __enter__(self) -> _Bar:
        self._bar.start()
        return _Bar(self._bar)

    def __exit__(self, *_: object) -> None:
        self._bar.stop()


def _view(out: Output) -> AbstractContextManager[_Lines | _Bar]:
    return _BarView(out) if out.terminal and not out.json else nullcontext(_Lines(out))


def _text(doc: Document) -> str:
    done, left, added = doc.progress.replayed, doc.progress.outstanding, doc.progress.cascaded
    text = t("replay {done} of at least {total}", done=done, total=done + left)
    text += t(" (+{n} by cascade)", n=added) if added else ""
    if not doc.live:
        text = t("replays: {progress}", progress=progress(doc))
    if doc.status == Status.PENDING:
        text = tn(
            "waits for a decision; it impacts {n} instance", "waits for a decision; it impacts {n} instances", left
        )
    if doc.status == Status.PAUSED and not doc.cancelling:
        taken = doc.taken
        text += "; " + t("waits for a decision") + (f" ({told(taken.cause) or taken.reason})" if taken else "")
        text += f": maestro resume {doc.id[:8]}"
    soon = becoming(doc)
    if soon:
        text += f"; {soon}"
    if doc.estimate and left:
        about = t("about {time} left", time=span(doc.estimate.seconds))
        text += f"; {about} ({told(doc.estimate.basis)})"
    return plain(text)
