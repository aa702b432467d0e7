"""Values as a system's labels say: names, units and decimals, in the language that is spoken."""

from typing import Final

from maestro.cli.values import text_of
from maestro.client.api import Maestro
from maestro.client.errors import ClientError
from maestro.client.shapes.values import Label, Labels
from maestro.language import figure, language

#: Most decimals of a number whose label does not say.
_DECIMALS: Final = 10


def number(value: float, decimals: int | None) -> str:
    """Return a number as the language writes it; `decimals`: so many, else as many as it has when it is rounded."""
    if decimals is None:
        decimals = len(f"{value:.{_DECIMALS}f}".rstrip("0").partition(".")[2])
    return figure(value, f",.{decimals}f")


def reader_of(maestro: Maestro, system_id: str) -> "Reader":
    """Return the reader of a system's values; without labels where they are not to be had."""
    try:
        return Reader(maestro.labels(system_id).value)
    except ClientError:
        return Reader(Labels())


class Reader:
    """Shows a system's values."""

    def __init__(self, labels: Labels) -> None:
        self._labels = labels

    def type_name(self, type_: str) -> str:
        """Return what rows of a type are called."""
        known = self._labels.types.get(type_)
        return (known.name.get(language()) if known else "") or type_

    def field_name(self, type_: str, field: str) -> str:
        """Return what a field is called."""
        return self._label(type_, field).name.get(language()) or field

    def value(
        self, type_: str, field: str, value: object, *, unit: bool = True, others: tuple[object, ...] = ()
    ) -> str:
        """Return a value; a number with its decimals and unit, or with all its digits where it looked like `others`."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return text_of(value)
        label = self._label(type_, field)
        decimals = label.decimals
        rivals = [one for one in others if isinstance(one, int | float) and one != value]
        if decimals is not None and any(round(one, decimals) == round(value, decimals) for one in rivals):
            decimals = None
        shown = number(value, decimals)
        name = label.unit.get(language()) if unit else ""
        return f"{shown} {name}" if name else shown

    def _label(self, type_: str, field: str) -> Label:
        known = self._labels.types.get(type_)
        return (known.fields.get(field) if known else None) or Label()
