"""`maestro backup` and `maestro restore`: copies of the stores, while Maestro is stopped."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated

import typer

from maestro.actors.errors import AlreadyRunning
from maestro.actors.run_record import RunFolder
from maestro.cli_config import ConfigFile, loaded_or_exit
from maestro.settings import Settings
from maestro.store.base import StoreError
from maestro.store.copies import BEFORE, back_up_stores, restore_store
from maestro.store.places import store_folder, store_path

QUEUES = "queues.sqlite"
EXIT_FAILED = 1


def backup(
    folder: Annotated[Path, typer.Argument(help="Where the copies go; older ones of the same names are replaced.")],
    config: ConfigFile = None,
) -> None:
    """Copy every system's store, and the embedded broker's queues, to a folder. Maestro must be stopped."""
    settings = loaded_or_exit(config).settings
    with _alone(settings):
        names = back_up_stores(store_folder(settings.data_dir), folder)
        queues = _queues(settings)
        if queues.exists():
            with closing(sqlite3.connect(queues)) as live, closing(sqlite3.connect(folder / QUEUES)) as copy:
                live.backup(copy)
        stores = "1 store" if len(names) == 1 else f"{len(names)} stores"
        typer.echo(f"{stores}{' and the queues' if queues.exists() else ''} copied to {folder}")


def restore(
    folder: Annotated[Path, typer.Argument(help="A folder that `maestro backup` wrote.")],
    system: Annotated[list[str], typer.Option(help="Only this system; may be given more than once.")] = [],  # noqa: B006 - typer copies it
    config: ConfigFile = None,
) -> None:
    """Put backed-up stores in the place of the present ones, which are kept. Maestro must be stopped."""
    settings = loaded_or_exit(config).settings
    names = system or sorted(path.stem for path in folder.glob("*.db"))
    if not names:
        typer.echo(f"maestro: {folder}: there is no backup of a store in it", err=True)
        raise typer.Exit(EXIT_FAILED)
    with _alone(settings):
        for name in names:
            path = store_path(settings.data_dir, name)
            restore_store(folder / path.name, path)
            typer.echo(f"{name}: restored; what was there, if anything, is {path.name}{BEFORE}")


def _queues(settings: Settings) -> Path:
    return Path(settings.broker.embedded_dir or settings.data_dir / "broker") / QUEUES


@contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    """Hold the data folder's run lock, so that no Maestro starts meanwhile; problems are one line and exit code 1."""
    run = RunFolder(settings.data_dir)
    try:
        run.acquire()
        yield
    except (AlreadyRunning, StoreError, sqlite3.Error, OSError) as problem:
        typer.echo(f"maestro: {problem}", err=True)
        raise typer.Exit(EXIT_FAILED) from problem
    finally:
        run.release()
