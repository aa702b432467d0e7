"""What a system's data are called: names, units and decimals of types and fields, from a file of its own.

    [sysA.conta]                       # a system, and a type of its rows
    name = { en = "Account", pt-BR = "Conta" }

    [sysA.conta.fields]
    valor = { name = { en = "Amount", pt-BR = "Valor" }, unit = "R$", decimals = 2 }

A text is one for all languages, or one for each; a language without one takes the other's.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from maestro.settings.problems import SettingsError
from maestro.settings.toml_file import read_toml

#: The languages there are; the first stands in where nothing else does.
LANGUAGES: Final = ("en", "pt-BR")
#: Characters of a text, and most decimals.
LONGEST: Final = 60
MOST_DECIMALS: Final = 12

#: A text in each language.
Words = Mapping[str, str]


class Label(Struct, frozen=True):
    """What a field is called, what it is measured in, and how many decimals it is shown with; empty, None: not said."""

    name: Words
    unit: Words
    decimals: int | None


class TypeLabels(Struct, frozen=True):
    """What rows of a type are called, and their fields by name."""

    name: Words
    fields: Mapping[str, Label]


#: System -> type of row -> labels.
Labels = Mapping[str, Mapping[str, TypeLabels]]


def read_labels(file: str) -> Labels:
    """Read a file of labels; none where no file is named.

    Raises:
        SettingsError: it cannot be read, or something in it is wrong; it lists all of it, by field.
    """
    if not file:
        return {}
    found = read_toml(Path(file))
    parser = _Parser(file)
    labels = {
        system: {type_: parser.type_labels((system, type_), value) for type_, value in types.items()}
        for system, types in parser.tables((), found)
    }
    if parser.problems:
        raise SettingsError(parser.problems)
    return labels


class _Parser:
    """Makes labels of what TOML says; notes what is wrong with the name of its field, and goes on."""

    def __init__(self, file: str) -> None:
        self._file = file
        self.problems: list[str] = []

    def type_labels(self, where: tuple[str, ...], value: object) -> TypeLabels:
        """Return the labels of a type."""
        table = self._table(where, value, ("name", "fields"))
        fields = self._table((*where, "fields"), table.get("fields", {}))
        return TypeLabels(
            self._words((*where, "name"), table.get("name", "")),
            {name: self._label((*where, "fields", name), one) for name, one in fields.items()},
        )

    def tables(self, where: tuple[str, ...], value: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
        """Return the entries of a table that are tables themselves; the others are wrong."""
        return [(name, self._table((*where, name), one)) for name, one in value.items()]

    def _label(self, where: tuple[str, ...], value: object) -> Label:
        table = self._table(where, value, ("name", "unit", "decimals"))
        decimals = table.get("decimals")
        whole = isinstance(decimals, int) and not isinstance(decimals, bool)
        if decimals is not None and not (whole and 0 <= decimals <= MOST_DECIMALS):
            self._wrong((*where, "decimals"), decimals, f"must be a whole number from 0 to {MOST_DECIMALS}")
            decimals = None
        words = {name: self._words((*where, name), table.get(name, "")) for name in ("name", "unit")}
        return Label(**words, decimals=decimals)

    def _words(self, where: tuple[str, ...], value: object) -> Words:
        if isinstance(value, str):
            return dict.fromkeys(LANGUAGES, self._text(where, value)) if value else {}
        texts = {name: self._text((*where, name), one) for name, one in self._table(where, value, LANGUAGES).items()}
        first = next(iter(texts.values()), "")
        return {language: texts.get(language) or first for language in LANGUAGES} if first else {}

    def _text(self, where: tuple[str, ...], value: object) -> str:
        if isinstance(value, str) and value.isprintable() and len(value) <= LONGEST:
            return value
        self._wrong(where, value, f"must be a text of at most {LONGEST} printable characters")
        return ""

    def _table(self, where: tuple[str, ...], value: object, known: tuple[str, ...] = ()) -> dict[str, Any]:
        if not isinstance(value, dict):
            self._wrong(where, value, "must be a table" if not known else f"must be a table of {', '.join(known)}")
            return {}
        for name in sorted(value.keys() - known) if known else ():
            self.problems.append(f"{self._file}: {_path((*where, name))}: is not known; there are {', '.join(known)}")
        return {name: one for name, one in value.items() if not known or name in known}

    def _wrong(self, where: tuple[str, ...], value: object, must: str) -> None:
        self.problems.append(f"{self._file}: {_path(where)} = {value!r}: {must}")


def _path(where: tuple[str, ...]) -> str:
    return ".".join(where)
