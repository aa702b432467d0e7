"""What was said in English, by another process or in the past, said again in the reader's language.

The rules, the stores and the siblings' clients say their sentences in English, with the values in them; so they are
logged, stored and sent. Where one is shown it is compared with the sentences that there are translations of: their
{names} match the values. A value is translated as well when it is a sentence, or a word, itself. What is not recognised
stays as it is.

Comparing takes a time that grows with the text's length and no faster, whatever the text is: some of them are
written by callers.
"""

import re
from collections.abc import Iterator
from functools import cache, lru_cache
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
#: Texts whose translation is kept.
_KEPT: Final = 4096


class _Sentence(NamedTuple):
    """An English sentence with {names}: what is between them, and its translation."""

    parts: tuple[str, ...]
    names: tuple[str, ...]
    #: Its longest part: what does not have it is not the sentence.
    most: str
    translation: str

    def values(self, text: str) -> dict[str, str] | None:
        """Return the values in a text that is this sentence, each the shortest that fits; else None."""
        first, *between, last = self.parts
        end = len(text) - len(last)
        if self.most not in text or not text.startswith(first) or not text.endswith(last) or end < len(first):
            return None
        found: dict[str, str] = {}
        at = len(first)
        for name, part in zip(self.names, [*between, None], strict=True):
            upto = end if part is None else text.find(part, at, end)
            if upto < 0 or found.setdefault(name, text[at:upto]) != text[at:upto]:
                return None
            at = upto + len(part or "")
        return found


def told(text: str) -> str:
    """Return a text that was said in English in the reader's language, as far as it is recognised."""
    if language() == ENGLISH or not text or len(text) > _LONGEST:
        return text
    return _kept(text, language())


@lru_cache(maxsize=_KEPT)
def _kept(text: str, name: str) -> str:
    del name  # the cache's key
    return _told(text, _DEPTH)


def _told(text: str, depth: int) -> str:
    bare = text.strip()
    whole = current().gettext(bare) if bare else bare
    if whole == bare and depth and bare:
        whole = _recognised(bare, depth)
    return text.replace(bare, whole, 1) if bare else text


def _recognised(text: str, depth: int) -> str:
    for sentence in _sentences(language()):
        values = sentence.values(text)
        if values is not None:
            return sentence.translation.format_map({name: _told(value, depth - 1) for name, value in values.items()})
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
    return tuple(sorted(_found(), key=lambda one: (-len("".join(one.parts)), one.parts)))


def _found() -> Iterator[_Sentence]:
    for english, translation in getattr(current(), "_catalog", {}).items():
        if not isinstance(english, str):
            continue
        split = _NAME.split(english)
        parts, names = tuple(split[::2]), tuple(split[1::2])
        # It has words of its own, by which it can be recognised.
        if names and sum(map(str.isalpha, "".join(parts))) >= _LETTERS:
            yield _Sentence(parts, names, max(parts, key=len), translation)
