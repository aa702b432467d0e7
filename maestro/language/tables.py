"""Texts that are kept by key, a table for each language: what is rendered whole, in the language it is asked for in."""

from collections.abc import Mapping

from maestro.language.texts import separated

#: One with {n} has a form for one, and one for all other numbers.
Text = str | tuple[str, str]


class Table:
    """The texts of one language, and its way of writing numbers."""

    def __init__(self, texts: Mapping[str, Text], language: str) -> None:
        self.language = language
        self._texts = texts

    def __call__(self, key: str, **values: object) -> str:
        """Return a text with its {values} filled in: numbers as the language writes them."""
        text = self._texts[key]
        if not isinstance(text, str):
            text = text[0 if values.get("n") == 1 else 1]
        shown = {
            name: self.number(value) if isinstance(value, int | float) else value for name, value in values.items()
        }
        return text.format_map(shown)

    def known(self, key: str, otherwise: str) -> str:
        """Return the text of a key if there is one, else `otherwise`: for words that come from elsewhere."""
        return self(key) if key in self._texts else otherwise

    def number(self, value: float, *, sign: bool = False) -> str:
        """Return a number with the language's separators; of a fraction ten digits that mean something."""
        if isinstance(value, int):
            text = f"{value:+,}" if sign and value else f"{value:,}"
        else:
            text = f"{value:+,.10g}" if sign and value else f"{value:,.10g}"
        return separated(text, self.language)

    def percent(self, value: float) -> str:
        """Return a change in per cent with its sign: one decimal, three digits of a small one."""
        text = f"{value:+,.1f}".removesuffix(".0") if abs(value) >= 1 or not value else f"{value:+.3g}"
        return separated(text, self.language) + "%"
