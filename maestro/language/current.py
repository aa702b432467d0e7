"""The language spoken now: of the process (a command's), or for a while (a request's); and its translations."""

import gettext
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import Final

from maestro.language.choosing import ENGLISH

DOMAIN: Final = "maestro"
LOCALE: Final = Path(__file__).parents[1] / "locale"

_for_a_while: ContextVar[str | None] = ContextVar("language", default=None)
#: The process's language.
_always = ENGLISH


def language() -> str:
    """Return the language that is spoken now."""
    return _for_a_while.get() or _always


def speak(name: str) -> None:
    """Speak a language from now on, in the whole process."""
    global _always  # noqa: PLW0603 - a process has one
    _always = name


@contextmanager
def speaking(name: str) -> Iterator[None]:
    """Speak a language here, and in tasks that are begun here."""
    token = _for_a_while.set(name)
    try:
        yield
    finally:
        _for_a_while.reset(token)


def current() -> gettext.NullTranslations:
    """Return the translations into the language that is spoken now."""
    return translations(language())


@cache
def translations(name: str) -> gettext.NullTranslations:
    """Return the translations into a language. Where there are none, a text is its own."""
    if name == ENGLISH:
        return gettext.NullTranslations()
    return gettext.translation(DOMAIN, LOCALE, [name.replace("-", "_")], fallback=True)
