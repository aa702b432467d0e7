"""The units of a document that fit, and counts of them."""

from msgspec import Struct

from maestro.client.shapes.documents import Unit


class FoundUnit(Unit, frozen=True):
    """A unit, its place in the document, and what its origin event says."""

    position: int = 0
    name: str = ""
    timestamp: str = ""
    about: str = ""


class ValueCount(Struct, frozen=True, rename="camel"):
    """So many units have this value."""

    value: str
    count: int


class ValueCounts(Struct, frozen=True, rename="camel"):
    """Units by value; `others`: those of values that are not listed."""

    values: tuple[ValueCount, ...] = ()
    others: int = 0


class FoundUnitsPage(Struct, frozen=True, rename="camel"):
    """A page of the `matched` units that fit, of `total`; `groups`: counts by process, branch, period and state."""

    total: int
    matched: int
    groups: dict[str, ValueCounts] = {}
    units: tuple[FoundUnit, ...] = ()
    next: int | None = None
