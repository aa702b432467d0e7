"""How a command talks: tables for people or the API's JSON on stdout, all else on stderr; questions need a terminal."""

import os
import shutil
import sys
import textwrap
from collections.abc import Iterable, Sequence
from typing import Final, Literal

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from maestro.cli.exits import EXIT_FAILED, EXIT_USAGE, fail
from maestro.cli.plain import plain
from maestro.language import t

#: Columns of a table that no terminal limits: nothing in it is cut.
_WIDE: Final = 1000
#: Characters between two columns of a table on a terminal; of a column's name where each row has lines of its own.
_GAP: Final = 3
_NAME: Final = 13
#: Lines that a cell of a table may have.
_LINES: Final = 4


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
        """Print a line on stderr, where it is in no script's way; on a terminal no word of it is broken."""
        shown = plain(text, limit=2000)
        typer.echo(_wrapped(shown, shutil.get_terminal_size().columns) if sys.stderr.isatty() else shown, err=True)

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[object]], empty: str) -> None:
        """Print a table, or what to say when it has no rows. A column that begins with `>` is one of numbers.

        The columns' names are English, and translated here. No word is broken: where the terminal is too narrow for
        that, each row becomes lines of its own.
        """
        cells = [[plain(cell) for cell in row] for row in rows]
        names = [t(column.removeprefix(">")) for column in columns]
        if not cells:
            self.say(empty)
            return
        widths = _widths(names, cells, self.console.width) if self.terminal else None
        if self.terminal and widths is None:
            self._records(names, cells)
            return
        table = Table(box=box.SIMPLE_HEAD if self.terminal else None, pad_edge=False, show_edge=False)
        for place, name in enumerate(names):
            justify: Literal["left", "right"] = "right" if columns[place].startswith(">") else "left"
            table.add_column(name, justify=justify, overflow="fold", width=widths[place] if widths else None)
        for row in cells:
            table.add_row(*map(Text, row))
        self.console.print(table)

    def _records(self, names: Sequence[str], cells: Iterable[Sequence[str]]) -> None:
        """Print each row as lines: a name and its value, those without a value left out."""
        wide = max(_NAME, *map(len, names))
        for row in cells:
            for name, cell in zip(names, row, strict=True):
                if cell not in ("", "-"):
                    line = _wrapped(f"{name:<{wide}} {cell}", self.console.width, " " * (wide + 1))
                    self.console.print(Text(line), soft_wrap=True)
            self.console.print()

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
            fail(t("there is no terminal to ask on: repeat with --yes"), EXIT_USAGE)
        if not confirmed(question):
            fail(t("nothing was done"), EXIT_FAILED)


def confirmed(question: str, *, default: bool = False, err: bool = True) -> bool:
    """Ask (on stderr with `err`) until the answer is yes or no; none is `default`. English is always understood."""
    yes, no = t("y, yes").split(", "), t("n, no").split(", ")
    shown = f"{yes[0].upper()}/{no[0]}" if default else f"{yes[0]}/{no[0].upper()}"
    while True:
        given = str(typer.prompt(f"{question} [{shown}]", default="", show_default=False, err=err)).strip().lower()
        if not given:
            return default
        if given in (*yes, "y", "yes"):
            return True
        if given in (*no, "n", "no"):
            return False
        typer.echo(t("please answer yes or no"), err=err)


def _wrapped(text: str, width: int, indent: str = "    ") -> str:
    """Break a line between words, and only there."""
    lines = textwrap.wrap(
        text, max(width, 20), subsequent_indent=indent, break_long_words=False, break_on_hyphens=False,
        drop_whitespace=True, replace_whitespace=False,
    )  # fmt: skip
    return "\n".join(lines)


def _widths(names: Sequence[str], cells: Sequence[Sequence[str]], width: int) -> list[int] | None:
    """Return how wide each column is to be, so that no word is broken; None: the terminal is too narrow for that."""
    columns = [[name, *(row[place] for row in cells)] for place, name in enumerate(names)]
    least = [max(len(word) for text in column for word in (text.split() or [""])) for column in columns]
    most = [max(map(len, column)) for column in columns]
    spare = width - sum(least) - _GAP * (len(names) - 1)
    if spare < 0:
        return None
    wide = list(least)
    while spare > 0 and (short := [place for place, now in enumerate(wide) if now < most[place]]):
        for place in short[:spare]:
            wide[place] += 1
            spare -= 1
    # A cell of many lines is harder to read than a few lines of names and values.
    tall = any(len(text) > _LINES * wide[place] for place, column in enumerate(columns) for text in column)
    return None if tall else wide
