"""What was said in English, by another process or in the past, said again in the reader's language.

The rules, the stores and the siblings' clients say their sentences in English, with the values in them; so they are
logged, stored and sent. Where one is shown it is compared with the sentences that there are translations of: their
{names} match the values. A value is translated as well when it is a sentence, or a word, itself. What is not recognised
stays as it is.
"""

import re
from functools import cache
from typing import Final, NamedTuple

from maestro.language.choosing import ENGLISH
from maestro.language.current import current, language

_NAME: Final = re.compile(r"\{(\w+)\}")
#: A longer text is some service's answer, and no sentence of Maestro's.
_LONGEST: Final = 4000
#: Letters of its own that a sentence is recognised by.
_LETTERS: Final = 6
#: A sentence in a sentence in a sentence.
_DEPTH: Final = 4


class _Sentence(NamedTuple):
    """An English sentence with {names}: how it begins, what it matches, and its translation."""

    beginning: str
    pattern: re.Pattern[str]
    translation: str


def told(text: str) -> str:
    """Return a text that was said in English in the reader's language, as far as it is recognised."""
    if language() == ENGLISH or not text or len(text) > _LONGEST:
        return text
    return _told(text, _DEPTH)


def _told(text: str, depth: int) -> str:
    whole = current().gettext(text) if text else text
    if whole != text or not depth:
        return whole
    for sentence in _sentences(language()):
        if text.startswith(sentence.beginning) and (found := sentence.pattern.fullmatch(text)):
            return sentence.translation.format_map(
                {name: _told(value, depth - 1) for name, value in found.groupdict().items()}
            )
    for joint in ("; ", ": "):
        first, between, rest = text.partition(joint)
        if between:
            return f"{_told(first, depth - 1)}{joint}{_told(rest, depth - 1)}"
    return text


@cache
def _sentences(name: str) -> tuple[_Sentence, ...]:
    """Return the sentences with {names} in a language; those that say more go first.

    `_catalog` is the standard library's; `tests/unit/test_libraries.py` says what is expected of it.
    """
    del name  # the cache's key
    found = []
    for english, translation in getattr(current(), "_catalog", {}).items():
        if isinstance(english, str) and _NAME.search(english) and _says(english):
            found.append((len(_NAME.sub("", english)), english, translation))
    return tuple(_sentence(english, translation) for _, english, translation in sorted(found, reverse=True))


def _says(english: str) -> bool:
    """Say whether a sentence has words of its own, by which it can be recognised."""
    return sum(map(str.isalpha, _NAME.sub("", english))) >= _LETTERS


def _sentence(english: str, translation: str) -> _Sentence:
    pattern, names = "", set()
    for place, part in enumerate(_NAME.split(english)):
        if not place % 2:
            pattern += re.escape(part)
        elif part in names:
            pattern += f"(?P={part})"
        else:
            names.add(part)
            pattern += f"(?P<{part}>.*?)"
    return _Sentence(_NAME.split(english)[0], re.compile(pattern, re.DOTALL), translation)
