"""`maestro report`: the decision report of one reprocessing, a page to print or to keep."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from maestro.cli.exits import EXIT_FAILED, EXIT_NOT_FOUND, EXIT_USAGE, fail, in_words
from maestro.cli.outcome import complete
from maestro.cli.session import DocumentId, Session, SystemId, command
from maestro.client.finding import find
from maestro.language import PORTUGUESE, t
from maestro.language import language as spoken


class Language(StrEnum):
    """The languages of a report."""

    ENGLISH = "en"
    PORTUGUESE = "pt-BR"


@command
def report(
    session: Session,
    system: SystemId,
    document: DocumentId,
    *,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", dir_okay=False, help="Write to this file, not to stdout."),
    ] = None,
    language: Annotated[
        Language | None,
        typer.Option(case_sensitive=False, help="The page's language; by default that of the command line."),
    ] = None,
) -> None:
    """Make the decision report: what was asked, shown, decided, by whom and why, what ran, and what changed.

    It is an HTML page that needs nothing else; with --json it is the facts' canonical form, whose SHA-256 is the digest
    that the page shows and the audit log has.
    """
    if output is not None and session.out.json:
        fail(t("--output and --json: choose one"), EXIT_USAGE)
    found = find(session.maestro, document).value
    if found.system_id != system:
        fail(t("no reprocessing {id} of system {system}", id=document, system=system), EXIT_NOT_FOUND)
    # What Process Memory has not told yet is waited for here: the report itself waits for less long.
    complete(lambda: session.maestro.outcome(found.id, 0, 1))
    if session.out.json:
        form, _ = session.maestro.report_form(found.id)
        _print(form)
        return
    wanted = language or (Language.PORTUGUESE if spoken() == PORTUGUESE else Language.ENGLISH)
    page, digest = session.maestro.report(found.id, wanted.value)
    if output is None:
        _print(page)
        return
    try:
        output.write_bytes(page)
    except OSError as problem:
        fail(in_words(problem), EXIT_FAILED)
    session.out.say(t("{file}: the report of {id}, digest {digest}", file=output, id=found.id, digest=digest))


def _print(raw: bytes) -> None:
    """Print it byte for byte, without a line's end: what is hashed is what was sent."""
    sys.stdout.buffer.write(raw)
    sys.stdout.buffer.flush()
