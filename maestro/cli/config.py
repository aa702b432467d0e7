"""`maestro config …`, and how every command gets its settings."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from maestro.language import t, told

if TYPE_CHECKING:
    from maestro.settings.loading import Loaded
    from maestro.settings.model import Settings

#: Exit code for a configuration, or a command line, that cannot be used.
EXIT_CONFIG = 2

ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        metavar="FILE",
        help="Configuration file; else $MAESTRO_CONFIG, ./maestro.toml, ./config/maestro.toml.",
    ),
]

app = typer.Typer(help="Look at the configuration.", no_args_is_help=True)


def loaded_or_exit(config: Path | None) -> "Loaded":
    """Return the settings from file and environment; on a problem print it, a line each, and exit with 2."""
    from maestro.settings.loading import load  # noqa: PLC0415 - keeps `maestro --help` fast
    from maestro.settings.problems import SettingsError  # noqa: PLC0415 - keeps `maestro --help` fast

    try:
        return load(config, os.environ)
    except SettingsError as problem:
        typer.echo("\n".join(map(told, str(problem).splitlines())), err=True)
        raise typer.Exit(EXIT_CONFIG) from problem


def exposure(settings: "Settings") -> str:
    """Return why `maestro serve` does not start with these settings unless it is told to; empty: it does."""
    from maestro.access.exposure import is_loopback  # noqa: PLC0415 - keeps `maestro --help` fast

    if settings.access.enabled or is_loopback(settings.http.host):
        return ""
    return t(
        'http.host = "{host}" serves others than this machine: set access.enabled = true, or give --insecure',
        host=settings.http.host,
    )


@app.command()
def check(config: ConfigFile = None) -> None:
    """Check the configuration file and the environment; exit with 2 if anything in them is wrong."""
    loaded = loaded_or_exit(config)
    typer.echo(t("{file}: ok", file=loaded.file or t("defaults")))
    for note in loaded.notes:
        typer.echo(t("note: {note}", note=told(note)))
    broker = loaded.settings.broker
    if broker.kind == "embedded" and broker.url.get_secret_value():
        origin = loaded.origins["broker", "kind"]
        note = t('broker.url is not used, for broker.kind is "embedded" ({origin})', origin=origin)
        typer.echo(t("note: {note}", note=note))
    if problem := exposure(loaded.settings):
        note = t("maestro serve does not start with it: {problem}", problem=problem)
        typer.echo(t("note: {note}", note=note))


@app.command()
def show(config: ConfigFile = None) -> None:
    """Show the settings that hold, as TOML, secrets masked, and where each comes from."""
    from maestro.settings.render import as_toml  # noqa: PLC0415 - keeps `maestro --help` fast

    typer.echo(as_toml(loaded_or_exit(config)), nl=False)


@app.command()
def template() -> None:
    """Print a commented configuration file with every setting at its default."""
    from importlib.resources import files  # noqa: PLC0415 - keeps `maestro --help` fast

    typer.echo(files("maestro").joinpath("defaults", "maestro.toml").read_text(encoding="utf-8"), nl=False)
