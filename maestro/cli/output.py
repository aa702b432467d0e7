"""How a command talks: tables for people or the API's JSON on stdout, all else on stderr; questions need a terminal."""

import os
import sys
from collections.abc import Iterable, Sequence
from typing import Final

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from maestro.cli.exits import EXIT_FAILED, EXIT_USAGE, fail
from maestro.cli.plain import plain

#: Columns of a table that no terminal limits: nothing in it is cut.
_WIDE: Final = 1000


class Output:
    """One command's way of talking. `json`: for scripts."""

    def __init__(self, *, json: bool) -> None:
        self.json: Final = json
        self.terminal: Final = sys.stdout.isatty()
        self.console: Final = Console(
            force_terminal=self.terminal,
            no_color=not self.terminal or bool(os.environ.get("NO_COLOR")),
            width=None if self.terminal else _WIDE,
            highlight=False,
            soft_wrap=not self.terminal,
        )

    def raw(self, body: bytes) -> None:
        """Print the API's answer."""
        sys.stdout.flush()
        sys.stdout.buffer.write(body + b"\n")
        sys.stdout.buffer.flush()

    def say(self, text: object = "") -> None:
        """Print a line for people; nothing with `json`."""
        if not self.json:
            self.console.print(Text(plain(text, limit=2000)))

    def note(self, text: object) -> None:
        """Print a line on stderr, where it is in no script's way."""
        typer.echo(plain(text, limit=2000), err=True)

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[object]], empty: str) -> None:
        """Print a table, or what to say when it has no rows. A column that begins with `>` is one of numbers."""
        table = Table(box=box.SIMPLE_HEAD if self.terminal else None, pad_edge=False, show_edge=False)
        for column in columns:
            numbers = column.startswith(">")
            table.add_column(column.removeprefix(">"), justify="right" if numbers else "left", overflow="fold")
        for row in rows:
            table.add_row(*(Text(plain(cell)) for cell in row))
        if table.row_count:
            self.console.print(table)
        else:
            self.say(empty)

    def confirm(self, title: str, consequences: Iterable[str], question: str, *, yes: bool) -> None:
        """Show on stderr what will happen, and ask; `yes` answers. Ends the command when the answer is no.

        Without a terminal there is nobody to ask: then `yes` is required.
        """
        self.note(title)
        for line in consequences:
            self.note(f"  - {line}")
        if yes:
            return
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            fail("there is no terminal to ask on: repeat with --yes", EXIT_USAGE)
        if not typer.confirm(question, err=True):
            fail("nothing was done", EXIT_FAILED)
