"""`maestro serve`."""

import typer

from maestro.cli_config import ConfigFile, loaded_or_exit

#: Exit code when Maestro cannot start although its configuration is sound.
EXIT_CANNOT_START = 1


def serve(config: ConfigFile = None) -> None:
    """Run Maestro until it is told to stop (SIGTERM or Ctrl-C)."""
    settings = loaded_or_exit(config).settings

    import uvloop  # noqa: PLC0415 - keeps `maestro --help` fast

    from maestro import logs  # noqa: PLC0415 - as above
    from maestro.actors.errors import ActorsFailed, AlreadyRunning, PortTaken  # noqa: PLC0415 - as above
    from maestro.http.server import BindError  # noqa: PLC0415 - as above
    from maestro.service import serve as run  # noqa: PLC0415 - as above

    logs.configure(settings.log)
    try:
        uvloop.run(run(settings, lambda url: typer.echo(f"Maestro serves {url}")))
    except (ActorsFailed, AlreadyRunning, BindError, PortTaken) as problem:
        typer.echo(f"maestro: {problem}", err=True)
        raise typer.Exit(EXIT_CANNOT_START) from problem
