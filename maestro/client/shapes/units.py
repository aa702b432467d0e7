"""The units of a document that fit, and counts of them."""

from msgspec import Struct

from maestro.client.shapes.documents import Unit


class FoundUnit(Unit, frozen=True):
    """A unit, its place in the document, and what its origin event says."""

    position: int = 0
    name: str = ""
    timestamp: str = ""
    about: str = ""


class RowRead(Struct, frozen=True, rename="camel"):
    """A row as a computation read it; `version`: the instance that wrote it, `wrote`: it changes the row itself."""

    type: str = ""
    id: str = ""
    branch: str = ""
    version: str = ""
    wrote: bool = False


class Evidence(Struct, frozen=True, rename="camel"):
    """Why a unit is in a document: who named it, and the first of the `rows` that it read and that are changed."""

    instance_id: str
    branch: str = "master"
    named: str = ""
    missed: tuple[str, ...] = ()
    read: tuple[RowRead, ...] = ()
    rows: int = 0
    #: Rows that its computation created: a replay adds rows.
    adds_rows: int = 0
    problem: str = ""


class EvidencePage(Struct, frozen=True, rename="camel"):
    """Units of a document, each with its evidence."""

    total: int
    units: tuple[Evidence, ...] = ()
    next: int | None = None


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
