"""What a check found."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad it is. Only a problem makes the whole unsound."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    level: Level
    #: Which check: configuration, gateway, processes, files, broker, queues, siblings, store, disk, clock, …
    check: str
    #: What was looked at: a service, a queue, a file, an id.
    subject: str
    #: What is so.
    message: str
    #: The command that mends it; empty when nothing is to be mended.
    mend: str = ""


def ok(check: str, subject: str, message: str) -> Finding:
    """Return that something is as it should be."""
    return Finding(Level.OK, check, subject, message)


def warning(check: str, subject: str, message: str, mend: str) -> Finding:
    """Return that somebody should look at something."""
    return Finding(Level.WARNING, check, subject, message, mend)


def problem(check: str, subject: str, message: str, mend: str) -> Finding:
    """Return that something does not work."""
    return Finding(Level.PROBLEM, check, subject, message, mend)
