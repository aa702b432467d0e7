"""Texts and times as people read them. What came from outside cannot steer a terminal."""

from datetime import UTC, datetime
from typing import Final

from maestro import titles
from maestro.language import figure

_MINUTE: Final = 60
_HOUR: Final = 3600
_DAY: Final = 86400


def plain(text: object, limit: int = 500) -> str:
    """Return `text` on one line, without control characters, shortened to `limit` characters."""
    shown = "".join(one if one.isprintable() else " " for one in str(text)).rstrip()
    return titles.cut(shown, limit)


def moment(timestamp: str | None) -> datetime | None:
    """Return when a timestamp of Maestro's (UTC without a zone) was; None when it is none."""
    try:
        found = datetime.fromisoformat(timestamp or "")
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def local(timestamp: str | None) -> str:
    """Return a timestamp in the reader's time zone, to the second, with the zone."""
    at = moment(timestamp)
    return at.astimezone().isoformat(" ", "seconds") if at else plain(timestamp or "-")


def age(timestamp: str | None) -> str:
    """Return how long ago a timestamp was."""
    at = moment(timestamp)
    return span((datetime.now(UTC) - at).total_seconds()) if at else "-"


def span(seconds: float) -> str:
    """Return a time span in its two largest units."""
    whole = max(0, round(seconds))
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE} s"
    if whole < _DAY:
        return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min"
    return f"{whole // _DAY} d {whole % _DAY // _HOUR} h"


def count(number: int, noun: str) -> str:
    """Return a number of things, in words that agree."""
    return f"{figure(number)} {noun}" + ("" if number == 1 else "s")
