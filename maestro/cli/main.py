"""The command line. One line below adds a command; a command imports what it needs when it runs.

So `maestro --help` starts no actor, reads no file, and answers at once.
"""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from maestro import __version__
from maestro.cli import access, config, help, streams  # noqa: A004 - a module's name
from maestro.cli.lazy import RUN, LazyGroup
from maestro.cli.serve import serve

#: What others than their owner may not do with the files that are made: they hold events and decisions.
_OTHERS = 0o077

app = typer.Typer(
    name="maestro",
    cls=LazyGroup,
    help="Guards a shared domain's data: holds, decides and replays what new data makes wrong.",
    no_args_is_help=True,
    # Local variables in a traceback may hold secrets.
    pretty_exceptions_enable=False,
)
app.add_typer(config.app, name="config", rich_help_panel=RUN)
app.add_typer(access.token, name="token", rich_help_panel=RUN)
app.add_typer(access.audit, name="audit", rich_help_panel=RUN)
app.command(rich_help_panel=RUN)(serve)


def _version(wanted: bool) -> None:  # noqa: FBT001 - typer calls it so
    if wanted:
        typer.echo(f"maestro {__version__}")
        raise typer.Exit


def _language(name: str | None) -> None:
    if name:
        help.speak_from_now_on(name)


@app.callback()
def _maestro(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
    language: Annotated[
        str | None,
        typer.Option(
            "--language",
            metavar="NAME",
            envvar="MAESTRO_LANGUAGE",
            callback=_language,
            is_eager=True,
            expose_value=False,
            help="en or pt-BR; by default that of the environment (LC_ALL, LC_MESSAGES, LANG).",
        ),
    ] = None,
) -> None:
    pass


def _leave_working_folder() -> None:
    """Import nothing more from the working folder, where `python -m` looks first, unless this package is in it."""
    first, home = Path(sys.path[0] or ".").resolve(), Path(__file__).parents[2].resolve()
    if not sys.flags.safe_path and first == Path.cwd().resolve() and first != home:
        del sys.path[0]


def main() -> None:
    """Run the command line; the console script `maestro`."""
    _leave_working_folder()
    os.umask(os.umask(0) | _OTHERS)
    streams.open_streams()
    help.choose(sys.argv[1:], os.environ)
    streams.run(lambda: app(prog_name="maestro"))


if __name__ == "__main__":
    main()
