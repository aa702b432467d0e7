"""What every command that calls a Maestro shares: where it is, whose token, how to talk, and what failures mean."""

import functools
import getpass
import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Concatenate, Final, ParamSpec

import typer

from maestro.cli.completing import complete_document, complete_system
from maestro.cli.exits import explained
from maestro.cli.filled import filled
from maestro.cli.output import Output
from maestro.client.api import Maestro
from maestro.client.target import DEFAULT_URL, Target, read_token
from maestro.language import ENGLISH, language

P = ParamSpec("P")

Url = Annotated[str, typer.Option(envvar="MAESTRO_URL", metavar="URL", help="Where Maestro is.")]
Token = Annotated[
    str, typer.Option(envvar="MAESTRO_TOKEN", metavar="TOKEN", help="Bearer token; better in the variable or a file.")
]
TokenFile = Annotated[
    Path | None, typer.Option(envvar="MAESTRO_TOKEN_FILE", metavar="FILE", help="File that holds the token.")
]
Timeout = Annotated[float, typer.Option(metavar="SECONDS", min=0.1, help="How long to wait for an answer.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else, on stdout.")]

DocumentId = Annotated[
    str,
    typer.Argument(
        metavar="ID",
        help="Reprocessing: its id, or how no other's begins.",
        autocompletion=complete_document,
        callback=filled,
    ),
]
SystemId = Annotated[
    str,
    typer.Argument(metavar="SYSTEM", help="The system's id.", autocompletion=complete_system, callback=filled),
]
AnySystem = Annotated[
    str,
    typer.Argument(metavar="SYSTEM", help="Only this system.", autocompletion=complete_system, callback=filled),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
User = Annotated[
    str, typer.Option(metavar="NAME", help="Who decides; by default the token's holder, else your login name.")
]
Reason = Annotated[str, typer.Option(metavar="TEXT", help="Why; kept in the history.")]


@dataclass(frozen=True, slots=True)
class Session:
    """One command's connection and way of talking."""

    maestro: Maestro
    out: Output

    def user(self, named: str) -> str | None:
        """Return who decides; None leaves it to the token, which names its holder."""
        if named:
            return named
        return None if self.maestro.target.token else _login_name()


def common_options(
    *,
    url: Url = DEFAULT_URL,
    token: Token = "",
    token_file: TokenFile = None,
    timeout: Timeout = 30.0,
    json: Json = False,
) -> Session:
    """Return the session that these options make. Raises `BadTarget`."""
    credential = token or (read_token(token_file) if token_file else "")
    wanted = ENGLISH if json else language()  # a script's messages are the same everywhere
    return Session(Maestro(Target(url.rstrip("/"), credential, timeout, wanted)), Output(json=json))


_COMMON: Final = inspect.signature(common_options).parameters


def command(function: Callable[Concatenate[Session, P], int | None]) -> Callable[..., None]:
    """Give a command the common options in place of its first parameter, the session.

    Its failures become messages and exit codes; a number it returns is its exit code.
    """
    own = list(inspect.signature(function).parameters.values())[1:]
    parameters = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in (*own, *_COMMON.values())]

    call: Callable[..., int | None] = function

    @functools.wraps(function)
    def run(**given: Any) -> None:
        common = {name: given.pop(name) for name in _COMMON}
        code = None  # nobody reads stdout any more
        with explained(json=common["json"]):
            code = call(common_options(**common), **given)
        if code:
            raise typer.Exit(code)

    del run.__wrapped__  # typer would look at it, and see the session
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # typer reads it
    run.__annotations__ = {one.name: one.annotation for one in parameters}
    return run


def _login_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"
