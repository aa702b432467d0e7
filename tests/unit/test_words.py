"""Retired words do not come back: `docs/glossary.md` has the word that is used instead."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

#: Retired names, and the word of the glossary. No identifier has one of these as a part, and no text says it.
NAMES = {
    "lull": "debounce",
    "roster": "supervision plan",
    "errand": "outbox",
    "bridge": "actor client",
    "desk": "client",
    "rehearsal": "warm-up",
    "journal": "decision log",
    "carriers": "command handlers",
    "patience": "timeout",
    "glance": "peek, or summary",
    "visit": "request context",
    "catalogue": "definitions",
    "greeted": "handshake",
    "meeting": "handshake",
    "conversation": "pending requests",
    "lane": "judging slot, or webhook worker",
    "figures": "metrics, or snapshot",
}
#: Words and phrases that slow a reader down, and plain ones.
PROSE = {
    "anew": "again",
    "till": "until",
    "whoever": "the caller, all that",
    "for it is": "because it is",
    "put into words": "rendered",
    "lest": "so that … not",
}
CHECKED = ("maestro/**/*.py", "docs/*.md", "*.md")
#: Where a word may stand, and why.
ALLOWED = {
    ("journal", "maestro/store/"): "SQLite's own word (journal_mode)",
    ("journal", "maestro/broker/embedded_file.py"): "as in the store",
    ("journal", "maestro/sandbox/rows.py"): "as in the store",
    ("errand", "maestro/system/repository.py"): "the name of a table in stores that exist",
    ("errand", "docs/operations.md"): "as in the repository",
    ("figures", "docs/performance.md"): "plain English: numbers that were measured",
    ("figures", "docs/reliability.md"): "plain English: numbers that were measured",
}
#: Files that are not checked, and why.
EXEMPT = {"docs/glossary.md": "it may name what is retired"}


def files(*patterns: str) -> list[str]:
    found = sorted(path for pattern in patterns for path in ROOT.glob(pattern))
    names = [str(path.relative_to(ROOT)) for path in found]
    return [name for name in names if not name.startswith(tuple(EXEMPT))]


def pattern(words: dict[str, str]) -> str:
    """Return a pattern for any of the words, in the singular or plural, over line ends and comment marks."""
    return "|".join(
        r"[\s#]+".join(word.split()) + ("" if word.endswith("s") or " " in word else "s?") for word in words
    )


#: A change of case and an underscore end a word: `_OldRoster_v2` has `Old`, `Roster` and `v2`.
CASE = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
NAME = re.compile(rf"(?<![a-z])(?:{pattern(NAMES)})(?![a-z])", re.IGNORECASE)
TEXT = re.compile(rf"\b(?:{pattern(PROSE)})\b", re.IGNORECASE)


def retired(name: str, text: str) -> set[str]:
    """Return the retired words of a file's text: in its identifiers, comments, strings and prose."""
    found = {
        " ".join(re.split(r"[\s#]+", hit.lower())) for hit in (*NAME.findall(CASE.sub("_", text)), *TEXT.findall(text))
    }
    words = {hit if hit in NAMES | PROSE else hit.removesuffix("s") for hit in found}
    return {word for word in words if not any(word == one and name.startswith(at) for one, at in ALLOWED)}


def test_no_retired_word() -> None:
    read = {name: (ROOT / name).read_text(encoding="utf-8") for name in files(*CHECKED)}
    found = {name: words for name, text in read.items() if (words := retired(name, text))}
    assert not found, "\n".join(
        f"{name}: instead of {word!r} say {(NAMES | PROSE)[word]!r}" for name, words in found.items() for word in words
    )


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("class OldRoster: ...\n", "roster"),
        ("_errands = 1\n", "errand"),
        ("# made anew\n", "anew"),
        ('"""It waits,\nfor it\nis late."""\n', "for it is"),
        ("x.figures()\n", "figures"),
    ],
)
def test_a_retired_word_is_found(text: str, word: str) -> None:
    assert retired("maestro/example.py", text) == {word}


def test_what_is_allowed_is_still_needed() -> None:
    for word, at in ALLOWED:
        texts = [(ROOT / name).read_text(encoding="utf-8").lower() for name in files(*CHECKED) if name.startswith(at)]
        assert any(word in text for text in texts), f"{word} in {at}"
