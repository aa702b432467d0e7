"""Which of Maestro's languages somebody wants: by a name, by the environment, by a request's header."""

from collections.abc import Mapping
from typing import Final

ENGLISH: Final = "en"
PORTUGUESE: Final = "pt-BR"
#: Maestro's own variable, then those of POSIX, in their order.
VARIABLES: Final = ("MAESTRO_LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG")
#: Characters of a header, and languages in it, that are looked at.
_LONGEST: Final = 500
_MOST: Final = 20


def from_name(name: str) -> str:
    """Return the language that a name means (`pt`, `pt-BR`, `pt_PT.UTF-8`, `en`); English for every other one."""
    return PORTUGUESE if _primary(name) == "pt" else ENGLISH


def from_environment(environ: Mapping[str, str]) -> str:
    """Return the language of the first variable that is set and not empty; English without one."""
    return from_name(next((environ[name] for name in VARIABLES if environ.get(name)), ""))


def from_header(accept_language: str) -> str:
    """Return the language that an `Accept-Language` wants most and Maestro has; English when it wants neither."""
    wanted = []
    for place, part in enumerate(accept_language[:_LONGEST].split(",")[:_MOST]):
        name, _, weight = part.partition(";")
        if _primary(name) in ("en", "pt", "*") and (quality := _quality(weight)) > 0:
            wanted.append((-quality, place, from_name(name)))
    return min(wanted)[2] if wanted else ENGLISH


def _primary(name: str) -> str:
    return name.strip().lower().replace("_", "-").partition(".")[0].partition("-")[0]


def _quality(weight: str) -> float:
    """Return the number of `q=0.8`; 1 where there is none, 0 where it is no number."""
    name, _, value = weight.strip().partition("=")
    if not name:
        return 1.0
    try:
        quality = float(value)
    except ValueError:
        return 0.0
    return quality if name.strip() == "q" and 0 <= quality <= 1 else 0.0
