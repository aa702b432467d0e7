"""`maestro backup` and `maestro restore`: copies of what Maestro keeps, and their way back while it is stopped."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated, Final

import typer

from maestro.access.copies import copy_access
from maestro.actors.errors import AlreadyRunning, FolderUnusable
from maestro.actors.run_record import RunFolder
from maestro.cli.config import ConfigFile, loaded_or_exit
from maestro.cli.exits import EXIT_FAILED, fail, in_words
from maestro.cli.filled import filled
from maestro.cli.session import Token, TokenFile, User
from maestro.client.api import Maestro
from maestro.client.errors import ClientError, Rejected
from maestro.client.target import Target, read_token
from maestro.language import t, tn
from maestro.settings.addresses import gateway_url
from maestro.settings.model import Settings
from maestro.store.base import StoreError
from maestro.store.copies import BEFORE, back_up_store, back_up_stores, backed_up, restore_system, take_copy
from maestro.store.places import store_files, store_folder

QUEUES = "queues.sqlite"
#: Seconds that a running system may take to copy its store.
_OWNERS_TIME: Final = 150.0
_NOT_FOUND: Final = 404


def backup(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Where the copies go; older ones of the same names are replaced.")
    ],
    config: ConfigFile = None,
    *,
    url: Annotated[
        str, typer.Option(envvar="MAESTRO_URL", metavar="URL", help="Where Maestro is; else as the settings say.")
    ] = "",
    token: Token = "",
    token_file: TokenFile = None,
    user: User = "",
) -> None:
    """Copy every system's store, the embedded broker's queues, tokens and audit log to a folder.

    While Maestro runs each store is copied by its owner, one after the other; this takes the role admin.
    """
    settings = loaded_or_exit(config).settings
    _refuse_postgres(settings)
    _require_stores(settings)
    try:
        # The queues go first: what is taken off them meanwhile is in a store, and what is in both is recognised.
        folder.mkdir(parents=True, exist_ok=True)
        queues = _copy_queues(settings, folder)
        names = _copy_stores(settings, folder, url, token or (read_token(token_file) if token_file else ""), user)
        copy_access(settings.data_dir, folder)
    except (FolderUnusable, StoreError, ClientError, sqlite3.Error, OSError) as problem:
        fail(in_words(problem), EXIT_FAILED)
    said = tn("{n} store copied to {folder}", "{n} stores copied to {folder}", len(names), folder=folder)
    if queues:
        said = tn(
            "{n} store and the queues copied to {folder}",
            "{n} stores and the queues copied to {folder}",
            len(names),
            folder=folder,
        )
    typer.echo(said)


def _copy_queues(settings: Settings, folder: Path) -> bool:
    """Copy the embedded broker's queues, which several processes may use; False: there are none."""
    queues = _queues(settings)
    if not queues.exists():
        return False
    part = folder / f"{QUEUES}.part"
    part.unlink(missing_ok=True)
    with closing(sqlite3.connect(queues)) as live, closing(sqlite3.connect(part)) as copy:
        live.backup(copy)
    part.replace(folder / QUEUES)  # also of a link: what it leads to is not written
    return True


def _copy_stores(settings: Settings, folder: Path, url: str, token: str, user: str) -> list[str]:
    """Copy the stores: all at once where nobody has them, else each by its owner."""
    run = RunFolder(settings.data_dir)
    try:
        run.acquire()
        return back_up_stores(settings.data_dir, folder)
    except AlreadyRunning:
        maestro = Maestro(Target(url.rstrip("/") or gateway_url(settings.http), token, _OWNERS_TIME))
        return [_by_its_owner(maestro, path, folder, user) for path in store_files(settings.data_dir)]
    finally:
        run.release()


def _by_its_owner(maestro: Maestro, path: Path, folder: Path, user: str) -> str:
    """Have a store copied by the system that has it; one of a system that is not served is nobody's."""
    name = path.stem
    try:
        maestro.copy_store(name, user or None)
    except Rejected as refused:
        if refused.status != _NOT_FOUND:
            raise
        back_up_store(path, folder)
        return name
    take_copy(path, folder)
    return name


def restore(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder that `maestro backup` wrote.")],
    system: Annotated[
        list[str], typer.Option(help="Only this system; may be given more than once.", callback=filled)
    ] = [],  # noqa: B006 - typer copies it
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
    return settings.broker.embedded_folder(settings.data_dir) / QUEUES


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
