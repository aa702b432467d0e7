"""Exit codes (docs/cli.md), and which failure means which."""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NoReturn

import typer

from maestro.cli.plain import plain
from maestro.client.errors import BadTarget, NoMaestro, NotReachable, Rejected
from maestro.client.finding import Ambiguous, NotFound, TooShort
from maestro.client.target import DEFAULT_URL
from maestro.language import t, told

EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
EXIT_UNREACHABLE: Final = 3
EXIT_NOT_FOUND: Final = 4
EXIT_CONFLICT: Final = 5
#: As shells say it of what Ctrl-C ended.
EXIT_INTERRUPTED: Final = 130

_UNAUTHORIZED: Final = 401
_BY_STATUS: Final[Mapping[int, int]] = {
    400: EXIT_USAGE,
    404: EXIT_NOT_FOUND,
    409: EXIT_CONFLICT,
    503: EXIT_UNREACHABLE,
}


def fail(message: str, code: int) -> NoReturn:
    """End with a message on stderr."""
    typer.echo(f"maestro: {message}", err=True)
    raise typer.Exit(code)


def in_words(problem: Exception) -> str:
    """Return a problem's text in the reader's language; one of the system's with its file and without its number."""
    if isinstance(problem, OSError) and problem.strerror:
        where = f"{Path(os.fsdecode(problem.filename)).absolute()}: " if problem.filename else ""
        return f"{where}{told(problem.strerror)}"
    return told(str(problem))


@contextmanager
def explained(*, json: bool) -> Iterator[None]:
    """End with a message and its exit code where a call fails; with `json`, a refusal's body goes to stdout."""
    try:
        yield
    except Rejected as refused:
        if json:
            typer.echo(refused.raw)
        for line in _changes(refused.fields):
            typer.echo(line, err=True)
        hint = t("; give one by MAESTRO_TOKEN or --token-file") if refused.status == _UNAUTHORIZED else ""
        fail(f"{told(plain(refused))}{hint}", _BY_STATUS.get(refused.status, EXIT_FAILED))
    except NotFound as problem:
        fail(told(plain(problem)), EXIT_NOT_FOUND)
    except (Ambiguous, BadTarget, TooShort) as problem:
        fail(told(plain(problem)), EXIT_USAGE)
    except NoMaestro as problem:
        fail(told(plain(problem)) + t("; MAESTRO_URL or --url says where Maestro is"), EXIT_USAGE)
    except NotReachable as problem:
        elsewhere = t("; is it elsewhere? MAESTRO_URL or --url says where; `maestro doctor` looks")
        hint = elsewhere if str(problem).startswith(f"{DEFAULT_URL}:") else ""
        fail(t("not reachable: {problem}", problem=told(plain(problem))) + hint, EXIT_UNREACHABLE)
    except BrokenPipeError:
        # Who reads stdout has seen enough: `maestro history | head`. Python would complain while it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        fail(t("interrupted"), EXIT_INTERRUPTED)


def _changes(fields: Mapping[str, Any]) -> Iterator[str]:
    """Say what changed since the preview that an approval named."""
    for unit in fields.get("added") or ():
        yield plain(t("  + {unit} (added since it was shown)", unit=_unit(unit)))
    for unit in fields.get("removed") or ():
        yield plain(t("  - {unit} (removed since it was shown)", unit=_unit(unit)))


def _unit(unit: Mapping[str, Any]) -> str:
    return t("{instance} on {branch}", instance=unit.get("instanceId"), branch=unit.get("branch"))
