"""`maestro store`: what a system's store holds, for a post-mortem; and where all stores are.

`tables`, `get` and `query` change nothing. A running system answers through its actor. `--file` reads a store that
nobody owns: a backup's, or a stopped system's.
"""

import asyncio
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path
from typing import Annotated, Final

import orjson
import typer

from maestro.cli.backup import alone
from maestro.cli.config import ConfigFile, loaded_or_exit
from maestro.cli.exits import EXIT_FAILED, EXIT_NOT_FOUND, EXIT_USAGE, fail
from maestro.cli.filled import filled
from maestro.cli.plain import plain
from maestro.cli.session import Session, command
from maestro.language import t, tn, told
from maestro.settings.model import Settings
from maestro.settings.servers import database_problem
from maestro.store import reading
from maestro.store.base import StoreError
from maestro.store.documents import DocumentDB
from maestro.store.installation import Installation, begin_start, read_installation

app = typer.Typer(
    help="Look into a system's store, or move all stores to PostgreSQL and back.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
_PAGE: Final = 500

System = Annotated[
    str, typer.Argument(metavar="SYSTEM", help="The system's id; with --file only a name.", callback=filled)
]
File = Annotated[
    Path | None, typer.Option("--file", metavar="FILE", help="A backup, or the store of a Maestro that is stopped.")
]
Table = Annotated[
    str, typer.Argument(metavar="TABLE", help="A table, as `maestro store tables` lists them.", callback=filled)
]


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
    key: Annotated[str, typer.Argument(metavar="KEY", help="The document's key.", callback=filled)],
    file: File = None,
) -> None:
    """Print one document as JSON."""
    if file:
        with _opened(file) as documents:
            body = documents.table(table).rows().get(table, key)
            if body is None:
                reading.check_table(documents, table)
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
        list[str] | None,
        typer.Argument(
            metavar="CONDITION",
            help="field=value; also != < <= > >= ~ (a pattern: * is any text, ? one character).",
            callback=filled,
        ),
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
            if not page.documents and not after:
                reading.check_table(documents, table)
            limit, after = limit - len(page.documents), page.next


def _read_tables(file: Path) -> dict[str, int]:
    with _opened(file) as documents:
        return reading.tables(documents)


@app.command()
def migrate(
    to: Annotated[
        str,
        typer.Option(metavar="TARGET", help='"postgresql" (as store.url says), a postgresql:// URL, or "files".'),
    ],
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and change nothing.")] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Also where the target has rows of a system that were used since.")
    ] = False,
    config: ConfigFile = None,
) -> None:
    """Move all stores from files into PostgreSQL, or back. Maestro must be stopped.

    Each system is compared row by row. What broke off is run again. The source is kept, out of a start's way.
    """
    settings = loaded_or_exit(config).settings
    url = to if "://" in to else settings.store.url.get_secret_value()
    if to not in ("files", "postgresql") and "://" not in to:
        fail(t('--to {to}: must be "postgresql", a postgresql:// URL or "files"', to=to), EXIT_USAGE)
    if not url:
        fail(t("store.url names no PostgreSQL"), EXIT_USAGE)
    if problem := database_problem(url):
        fail(f"{'--to' if '://' in to else 'store.url'}: {problem}", EXIT_USAGE)
    with alone(settings):
        whole = asyncio.run(_migrate(settings, url, back=to == "files", dry=dry_run, replace=replace))
    if not whole:
        fail(t("not all systems were migrated; nothing was taken out of use"), EXIT_FAILED)


async def _migrate(settings: Settings, url: str, *, back: bool, dry: bool, replace: bool) -> bool:
    from maestro.store import migration  # noqa: PLC0415 - needs the extra `postgresql`
    from maestro.store.postgres.stores import PostgresStores  # noqa: PLC0415 - as above

    stores = PostgresStores(url, settings.store.timeout, settings.data_dir, settings.cluster.name if back else "")
    # As a start of its own: one of a copy of this folder, which may run elsewhere, opens nothing from then on.
    ours = read_installation(settings.data_dir) or Installation("") if dry else begin_start(settings.data_dir)
    move = migration.to_files if back else migration.to_postgres
    moves = move(settings.data_dir, stores, ours, dry=dry, replace=replace)
    whole, found = True, 0
    async with aclosing(moves):
        async for moved in moves:
            found += 1
            whole = whole and not moved.problem
            done = t("would be copied") if dry else t("copied, and compared row by row")
            what = moved.problem or (t("the same there already") if moved.same else done)
            line = tn(
                "{system}: {n} row: {what}", "{system}: {n} rows: {what}", moved.rows, system=moved.system_id, what=what
            )
            typer.echo(plain(line, limit=2000))
    typer.echo(tn("{n} system", "{n} systems", found))
    if dry:
        typer.echo(t("nothing was changed"))
    elif whole and back:
        typer.echo(t("PostgreSQL keeps its rows; take store.url out of the settings, then start Maestro"))
    elif whole:
        typer.echo(t("the files are kept beside as *.db.migrated; set store.url, then start Maestro"))
    return whole


@app.command()
def claim(*, config: ConfigFile = None) -> None:
    """Take over the stores in PostgreSQL from an installation that is stopped for good. Maestro must be stopped here.

    What that one would still write is refused from then on.
    """
    settings = loaded_or_exit(config).settings
    url = settings.store.url.get_secret_value()
    if not url:
        fail(t("store.url names no PostgreSQL"), EXIT_USAGE)

    async def claimed() -> str:
        from maestro.store.postgres.stores import PostgresStores  # noqa: PLC0415 - needs the extra `postgresql`

        ours = begin_start(settings.data_dir)  # another one than that of a copy of this folder, which may run elsewhere
        stores = PostgresStores(url, settings.store.timeout, settings.data_dir, settings.cluster.name)
        await stores.take(ours, taking=True)
        return stores.owner_of(ours)

    with alone(settings):
        ours = asyncio.run(claimed())
        typer.echo(t("the stores belong to this installation, {id}; start it with `maestro serve`", id=ours))


@contextmanager
def _opened(file: Path) -> Iterator[DocumentDB]:
    """Open a file to read it; a problem with it, also a later one, is one line and its exit code."""
    try:
        with reading.open_documents(file) as documents:
            yield documents
    except StoreError as problem:
        fail(told(str(problem)), EXIT_FAILED)
    except reading.UnknownTable as problem:
        fail(told(str(problem)), EXIT_NOT_FOUND)
