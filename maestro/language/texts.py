"""A text with its values. A number is written from the value, with the digits and separators of the language."""

from typing import Final

from maestro.language.choosing import PORTUGUESE
from maestro.language.current import current, language

_SWAPPED: Final = str.maketrans(",.", ".,")


def t(text: str, /, **values: object) -> str:
    """Return a text with its {names} filled in."""
    return _filled(current().gettext(text) if text else text, values)


def tn(one: str, other: str, n: int, /, **values: object) -> str:
    """Return the form of a text that goes with {n}: `one` for exactly one, else `other`."""
    return _filled(current().ngettext(one, other, n), {"n": n, **values})


def mark(text: str, /) -> str:
    """Name a text that is translated where it is shown, by `t` or `told`."""
    return text


def figure(value: float, form: str = ",") -> str:
    """Return a number as the language writes it; `form` is Python's format."""
    return separated(format(value, form), language())


def separated(number: str, wanted: str) -> str:
    """Return a number that is written as Python does with a language's separators."""
    return number.translate(_SWAPPED) if wanted == PORTUGUESE else number


def _filled(text: str, values: dict[str, object]) -> str:
    if not values:
        return text
    return text.format_map({name: _shown(value) for name, value in values.items()})


def _shown(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return figure(value)
    if isinstance(value, float):
        return figure(value, ",.10g")
    return str(value)
