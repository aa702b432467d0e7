"""`maestro backup` and `maestro restore`: copies of the stores, while Maestro is stopped."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated

import typer

from maestro.actors.errors import AlreadyRunning, FolderUnusable
from maestro.actors.run_record import RunFolder
from maestro.cli.config import ConfigFile, loaded_or_exit
from maestro.cli.exits import EXIT_FAILED, fail, in_words
from maestro.language import t, tn
from maestro.settings.model import Settings
from maestro.store.base import StoreError
from maestro.store.copies import BEFORE, back_up_stores, backed_up, restore_system
from maestro.store.places import store_files, store_folder

QUEUES = "queues.sqlite"


def backup(
    folder: Annotated[Path, typer.Argument(help="Where the copies go; older ones of the same names are replaced.")],
    config: ConfigFile = None,
) -> None:
    """Copy every system's store, and the embedded broker's queues, to a folder. Maestro must be stopped."""
    settings = loaded_or_exit(config).settings
    _refuse_postgres(settings)
    _require_stores(settings)
    with alone(settings):
        names = back_up_stores(settings.data_dir, folder)
        queues = _queues(settings)
        if queues.exists():
            part = folder / f"{QUEUES}.part"
            part.unlink(missing_ok=True)
            with closing(sqlite3.connect(queues)) as live, closing(sqlite3.connect(part)) as copy:
                live.backup(copy)
            part.replace(folder / QUEUES)  # also of a link: what it leads to is not written
        if queues.exists():
            said = tn(
                "{n} store and the queues copied to {folder}",
                "{n} stores and the queues copied to {folder}",
                len(names),
                folder=folder,
            )
        else:
            said = tn("{n} store copied to {folder}", "{n} stores copied to {folder}", len(names), folder=folder)
        typer.echo(said)


def restore(
    folder: Annotated[Path, typer.Argument(help="A folder that `maestro backup` wrote.")],
    system: Annotated[list[str], typer.Option(help="Only this system; may be given more than once.")] = [],  # noqa: B006 - typer copies it
    config: ConfigFile = None,
) -> None:
    """Put backed-up stores in the place of the present ones, which are kept. Maestro must be stopped."""
    settings = loaded_or_exit(config).settings
    _refuse_postgres(settings)
    names = system or backed_up(folder)
    if not names:
        fail(t("{folder}: there is no backup of a store in it", folder=folder), EXIT_FAILED)
    with alone(settings):
        for name in names:
            path = restore_system(folder, settings.data_dir, name)
            values = {"name": name, "path": path.absolute(), "before": f"{path.name}{BEFORE}"}
            typer.echo(t("{name}: restored to {path}; what was there, if anything, is {before}", **values))


def _refuse_postgres(settings: Settings) -> None:
    if settings.store.url.get_secret_value():
        fail(t("the stores are in PostgreSQL (store.url): back that up instead, see docs/operations.md"), EXIT_FAILED)


def _require_stores(settings: Settings) -> None:
    """End, with the absolute folder, when there is nothing to copy: it may be that of another working directory."""
    data_dir = settings.data_dir.absolute()
    folder = store_folder(data_dir)
    try:
        stores = folder in list(data_dir.iterdir()) and bool(store_files(data_dir))
        if not stores and not _queues(settings).exists():
            fail(t("there is no store in {folder}", folder=folder), EXIT_FAILED)
    except FileNotFoundError:
        said = t("there is no data folder {folder}: check data_dir and the working directory", folder=data_dir)
        fail(said, EXIT_FAILED)
    except OSError as problem:
        fail(in_words(problem), EXIT_FAILED)


def _queues(settings: Settings) -> Path:
    return Path(settings.broker.embedded_dir or settings.data_dir / "broker") / QUEUES


@contextmanager
def alone(settings: Settings) -> Iterator[None]:
    """Hold the data folder's run lock, so that no Maestro starts meanwhile; problems are one line and exit code 1."""
    run = RunFolder(settings.data_dir)
    try:
        run.acquire()
        yield
    except (AlreadyRunning, FolderUnusable, StoreError, sqlite3.Error, OSError) as problem:
        fail(in_words(problem), EXIT_FAILED)
    finally:
        run.release()
