"""Commits of this data folder's systems that PostgreSQL refused, counted in a file: a line for each.

A process whose commit is refused ends with that, and what it counted itself nobody would see.
"""

import os
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

_NAME: Final = "fenced"


class Fenced(NamedTuple):
    """What was refused since the data folder was made."""

    #: Commits of a system that another owner had by then.
    refused: int = 0
    #: Commits that PostgreSQL had confirmed and did not have any more.
    lost: int = 0


def note_fenced(data_dir: Path, lost: int = 0) -> None:
    """Count a commit that was refused: `lost` earlier ones are gone, 0: another owner has the system."""
    with suppress(OSError):  # it is a figure
        descriptor = os.open(data_dir / _NAME, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, b"%d\n" % lost)
        finally:
            os.close(descriptor)


def fenced(data_dir: Path) -> Fenced:
    """Return what was counted."""
    try:
        found = [int(line) for line in (data_dir / _NAME).read_bytes().split() if line.isdigit()]
    except OSError:
        return Fenced()
    return Fenced(found.count(0), sum(found))
