"""The command line's three streams and its arguments, whatever they are at the start: no command ends in a traceback.

A stream that is closed is opened on /dev/null before anything else opens a file, which would take its number. Text
that a terminal cannot show is shown escaped. An output that cannot be written is one line and exit code 1.
"""

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, TextIO

from maestro.language import t

#: Exit code when the output cannot be written, and for arguments that cannot be used.
EXIT_OUTPUT: Final = 1
EXIT_ARGUMENTS: Final = 2


def open_streams() -> None:
    """Make sure that there are standard input, output and error, and that they take any text."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free: this one
            os.set_inheritable(opened, True)  # the processes that are started need them as well  # noqa: FBT003
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - for the life of the process
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - as above
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - as above
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def run(command: Callable[[], None]) -> None:
    """Run a command; end with one line where its output, or an argument, cannot be used."""
    try:
        command()
        sys.stdout.flush()
    except BrokenPipeError:
        _let_go(sys.stdout)  # the reader has enough
        sys.exit(EXIT_OUTPUT)
    except OSError as problem:
        if problem.filename is not None:
            raise
        _let_go(sys.stdout)
        _say("maestro: " + t("the output cannot be written: {cause}", cause=problem.strerror))
        sys.exit(EXIT_OUTPUT)
    except UnicodeError:
        strange = _not_utf8(sys.argv[1:])
        if strange is None:
            raise
        _say("maestro: " + t("{argument} is not UTF-8", argument=repr(strange)))
        sys.exit(EXIT_ARGUMENTS)


def _not_utf8(arguments: Sequence[str]) -> str | None:
    """Return the first argument whose bytes are no UTF-8."""
    return next((one for one in arguments if any("\ud800" <= char <= "\udfff" for char in one)), None)


def _let_go(stream: TextIO) -> None:
    """Have nothing written to a stream any more, nor at the end of the process."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _say(text: str) -> None:
    with suppress(OSError, ValueError):
        print(text, file=sys.stderr, flush=True)  # noqa: T201 - the command line's own
