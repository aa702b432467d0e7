"""`maestro store tables | get | query`: what a system's store holds, for a post-mortem. Changes nothing.

A running system answers through its actor. `--file` reads a store that nobody owns: a backup's, or a stopped system's.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

import orjson
import typer

from maestro.cli.exits import EXIT_FAILED, EXIT_USAGE, fail
from maestro.cli.session import Session, command
from maestro.language import t, told
from maestro.store import reading
from maestro.store.base import StoreError
from maestro.store.documents import DocumentDB

app = typer.Typer(
    help="Look into a system's store: running, stopped, or in a backup.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
_PAGE: Final = 500

System = Annotated[str, typer.Argument(metavar="SYSTEM", help="The system's id; with --file only a name.")]
File = Annotated[
    Path | None, typer.Option("--file", metavar="FILE", help="A backup, or the store of a Maestro that is stopped.")
]
Table = Annotated[str, typer.Argument(metavar="TABLE", help="A table, as `maestro store tables` lists them.")]


@app.command()
@command
def tables(session: Session, system: System, file: File = None) -> None:
    """List the tables, and how many documents each has."""
    found = _read_tables(file) if file else session.maestro.store(system).value.tables
    if session.out.json:
        session.out.raw(orjson.dumps(found))
    else:
        session.out.table(("TABLE", ">DOCUMENTS"), found.items(), t("the store is empty"))


@app.command()
@command
def get(
    session: Session,
    system: System,
    table: Table,
    key: Annotated[str, typer.Argument(metavar="KEY", help="The document's key.")],
    file: File = None,
) -> None:
    """Print one document as JSON."""
    if file:
        with _opened(file) as documents:
            body = documents.table(table).rows().get(table, key)
    else:
        raw = session.maestro.store(system, table, key=key).value.documents.get(key)
        body = None if raw is None else bytes(raw)
    if body is None:
        fail(t("{table} has no document {key}", table=table, key=key), EXIT_FAILED)
    session.out.raw(body)


@app.command()
@command
def query(
    session: Session,
    system: System,
    table: Table,
    where: Annotated[
        list[str] | None, typer.Argument(metavar="[CONDITION]...", help="field=value; also != < <= > >= ~ (a pattern).")
    ] = None,
    file: File = None,
    limit: Annotated[int, typer.Option(min=1, metavar="N", help="At most so many.")] = 100,
) -> None:
    """Print the documents that fit all conditions, one JSON object a line: its key, and the document."""
    try:
        fits = reading.condition(where or ())
    except reading.BadCondition as problem:
        fail(str(problem), EXIT_USAGE)
    pages = _of_file(file, table, fits, limit) if file else _of_system(session, system, table, where or [], limit)
    for key, document in pages:
        session.out.raw(b'{"key":%b,"document":%b}' % (orjson.dumps(key), document))


def _of_system(session: Session, system: str, table: str, where: list[str], limit: int) -> Iterator[tuple[str, bytes]]:
    after: str | None = ""
    while after is not None and limit > 0:
        page = session.maestro.store(system, table, where=where, after=after, limit=min(limit, _PAGE)).value
        yield from ((key, bytes(document)) for key, document in page.documents.items())
        limit, after = limit - len(page.documents), page.next


def _of_file(file: Path, table: str, fits: reading.Condition, limit: int) -> Iterator[tuple[str, bytes]]:
    with _opened(file) as documents:
        after: str | None = ""
        while after is not None and limit > 0:
            page = reading.find(documents, table, fits, after=after, limit=limit)
            yield from ((key, orjson.dumps(document)) for key, document in page.documents.items())
            limit, after = limit - len(page.documents), page.next


def _read_tables(file: Path) -> dict[str, int]:
    with _opened(file) as documents:
        return reading.tables(documents)


@contextmanager
def _opened(file: Path) -> Iterator[DocumentDB]:
    """Open a file to read it; a problem with it, also a later one, is one line and exit code 1."""
    try:
        with reading.open_documents(file) as documents:
            yield documents
    except StoreError as problem:
        fail(told(str(problem)), EXIT_FAILED)
