"""Every text has a translation that fits it, and nothing is left over. What to do when one of these fails: run

python -m scripts.texts, translate what has no translation in maestro.po, and run it again (CONTRIBUTING.md).
"""

import gettext
import io
import re
from pathlib import Path
from typing import Any

import pytest
from babel.messages.catalog import Catalog, Message
from babel.messages.pofile import read_po

from maestro.language import figure, speaking, t, tn
from scripts.texts import LOCALE, Text, compiled, texts, update, written

FILES = sorted(LOCALE.glob("*/LC_MESSAGES/maestro.po"))
NUMBERS = (0, 1, 2, 1000)
MENDED = "To mend it, run: python -m scripts.texts"


@pytest.fixture(scope="module")
def marked() -> dict[Text, set[str]]:
    return texts()


@pytest.fixture(scope="module", params=FILES, ids=lambda file: file.parts[-3])
def file(request: pytest.FixtureRequest) -> Path:
    return Path(request.param)


@pytest.fixture(scope="module")
def kept(file: Path) -> Catalog:
    with file.open("rb") as source:
        return read_po(source)


def forms(text: Any) -> tuple[str, ...]:
    return tuple(text) if isinstance(text, list | tuple) else (text,)


def messages(catalog: Catalog) -> list[Message]:
    return [one for one in catalog if one.id]


def fields(text: str) -> set[str]:
    return set(re.findall(r"\{(\w*(?:!r)?)\}", text))


def test_every_text_has_a_translation_and_none_is_left_over(marked: dict[Text, set[str]], kept: Catalog) -> None:
    there = {Text(*forms(one.id)) for one in messages(kept)}
    assert sorted(marked.keys() - there) == [], "not in the file"
    assert sorted(there - marked.keys()) == [], "in the file, and in no code"
    assert [one.id for one in messages(kept) if not all(one.string and form for form in forms(one.string))] == []
    assert [one.id for one in messages(kept) if one.fuzzy] == []


def test_placeholders_agree(kept: Catalog) -> None:
    for one in messages(kept):
        wanted = set[str]().union(*(fields(form) for form in forms(one.id)))
        for form in forms(one.string):
            assert fields(form) == wanted, one.id


def test_what_surrounds_a_text_agrees(kept: Catalog) -> None:
    """Space at its ends, its paragraphs, and the commands and options that it names."""
    for one in messages(kept):
        for english, form in zip(forms(one.id), forms(one.string), strict=False):
            assert form[: len(form) - len(form.lstrip())] == english[: len(english) - len(english.lstrip())], one.id
            assert form[len(form.rstrip()) :] == english[len(english.rstrip()) :], one.id
            assert form.count("\n\n") == english.count("\n\n"), one.id
            named = r"`[^`]*`|--[a-z][a-z-]+|\bMAESTRO_[A-Z_]+"
            assert sorted(re.findall(named, form)) == sorted(re.findall(named, english)), one.id


def test_the_file_is_as_it_is_written_and_the_compiled_one_is_of_it(file: Path, kept: Catalog) -> None:
    # The files are not compared in the assertions: pytest would print both.
    as_written = file.read_bytes() == written(update(file))
    assert as_written, f"{file.name} is not what the code says, or names other files. {MENDED}"
    of_it = file.with_suffix(".mo").read_bytes() == compiled(kept)
    assert of_it, f"{file.with_suffix('.mo').name} is not compiled from {file.name}. {MENDED}"


def test_every_text_with_a_number_in_every_language(marked: dict[Text, set[str]]) -> None:
    """No text spells out a figure; 0, 1, 2 and 1,000 are written from the value, as the language writes them."""
    plurals = [text for text in marked if text.other]
    assert len(plurals) > 30
    for language, shown in (("en", ("0", "1", "2", "1,000")), ("pt-BR", ("0", "1", "2", "1.000"))):
        with speaking(language):
            assert tuple(map(figure, NUMBERS)) == shown
            for text in plurals:
                others = {name: "·" for form in text for name in fields(form) if name != "n"}
                for number, written_ in zip(NUMBERS, shown, strict=True):
                    said = tn(text.one, text.other, number, **others)
                    assert re.findall(r"(?<![\w.-])\d[\d.,]*\d|(?<![\w-])\d", said) == [written_], said


def test_one_is_singular_and_nothing_else_is(kept: Catalog) -> None:
    translations = gettext.GNUTranslations(io.BytesIO(compiled(kept)))
    for one in messages(kept):
        if isinstance(one.id, list | tuple):
            said = [translations.ngettext(*one.id, n) for n in NUMBERS]
            assert said == [one.string[n != 1] for n in NUMBERS]


def test_one_word_for_the_lock(kept: Catalog) -> None:
    for one in messages(kept):
        assert not re.search(r"bloque|cadeado", " ".join(forms(one.string)), re.IGNORECASE), one.id


def test_a_text_that_is_not_marked_is_found() -> None:
    assert Text("nothing waits") in texts()
    with speaking("pt-BR"):
        assert t("nothing waits") != "nothing waits"
