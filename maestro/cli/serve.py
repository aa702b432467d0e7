"""`maestro serve`."""

import signal
from typing import TYPE_CHECKING, Annotated

import typer

from maestro.cli.config import EXIT_CONFIG, ConfigFile, exposure, loaded_or_exit
from maestro.language import t, told

if TYPE_CHECKING:
    from maestro.actors.host_process import HostProcess
    from maestro.settings.loading import Loaded
    from maestro.settings.model import Settings

#: Exit code when Maestro cannot start although its configuration is sound.
EXIT_CANNOT_START = 1


def serve(
    config: ConfigFile = None,
    *,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Serve others than this machine without access control.")
    ] = False,
) -> None:
    """Run Maestro until it is told to stop (SIGTERM, SIGHUP or Ctrl-C)."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:  # as `nohup` has it
            signal.signal(number, _end_before_the_start)
    loaded = loaded_or_exit(config)
    settings = loaded.settings
    if not insecure:
        _refuse_exposed(settings)

    from maestro.actors.host_process import HostProcess  # noqa: PLC0415 - keeps `maestro --help` fast

    host = HostProcess()  # it imports side by side with us
    try:
        _run(settings, loaded, host)
    finally:
        host.dismiss()


def _run(settings: "Settings", loaded: "Loaded", host: "HostProcess") -> None:
    import uvloop  # noqa: PLC0415 - keeps `maestro --help` fast

    from maestro import logs  # noqa: PLC0415 - as above
    from maestro.access.audit import AuditError  # noqa: PLC0415 - as above
    from maestro.access.tokens import TokenError  # noqa: PLC0415 - as above
    from maestro.actors.errors import ActorsFailed, AlreadyRunning, FolderUnusable  # noqa: PLC0415 - as above
    from maestro.http.server import BindError  # noqa: PLC0415 - as above
    from maestro.serve import serve as run  # noqa: PLC0415 - as above
    from maestro.store.base import StoreError  # noqa: PLC0415 - as above

    logs.configure(settings.log)
    _refuse_open_files(settings, loaded)
    for note in loaded.notes:
        logs.get(part="settings").warning("settings.note", note=note)
    try:
        uvloop.run(run(settings, lambda url: typer.echo(t("Maestro serves {url}", url=url)), host))
    except (
        ActorsFailed, AlreadyRunning, AuditError, BindError, FolderUnusable, StoreError, TokenError,
    ) as problem:  # fmt: skip
        typer.echo(f"maestro: {told(str(problem))}", err=True)
        raise typer.Exit(EXIT_CANNOT_START) from problem


def _end_before_the_start(*_: object) -> None:
    """Told to stop before there is anything to stop."""
    raise SystemExit(0)


def _refuse_open_files(settings: "Settings", loaded: "Loaded") -> None:
    """Exit when everybody on this machine could decide in Maestro's place; say what else others may do."""
    from maestro import logs  # noqa: PLC0415 - as above
    from maestro.access.permissions import openings  # noqa: PLC0415 - as above

    refused = False
    for one in openings(settings, loaded.file, named=loaded.named):
        if one.refused:
            typer.echo(f"maestro: {one.path} {told(one.message)}: {told(one.mend)}", err=True)
            refused = True
        else:
            logs.get(part="access").warning("files.open_to_others", file=one.path, problem=one.message, mend=one.mend)
    if refused:
        raise typer.Exit(EXIT_CANNOT_START)


def _refuse_exposed(settings: "Settings") -> None:
    """Exit when everybody on a network could decide."""
    if problem := exposure(settings):
        typer.echo(f"maestro: {problem}", err=True)
        raise typer.Exit(EXIT_CONFIG)
