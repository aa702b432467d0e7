"""The units of a document: which they are, which fit, and why each is there."""

from typing import Annotated

from msgspec import Meta, Struct

from maestro.http.shapes.shared import MAX_ID, MAX_NUMBER, MAX_PAGE, MAX_STATUS, PageQuery
from maestro.messages.answers import Said
from maestro.rules.unit import UnitState


class UnitsQuery(Struct):
    """Which of a document's units and events."""

    after: Annotated[int, Meta(ge=0, le=MAX_NUMBER, description="Those from this position on.",
                               extra={"says": f"must be a whole number from 0 to {MAX_NUMBER}"})] = 0  # fmt: skip
    limit: Annotated[int, Meta(ge=0, le=MAX_PAGE, description="At most so many; 0: all.",
                               extra={"says": f"must be a whole number from 0 to {MAX_PAGE}"})] = 0  # fmt: skip


class FindUnitsQuery(PageQuery):
    """Which of a document's units."""

    process: Annotated[str, Meta(max_length=MAX_ID, description="The name of the origin event.",
                                 extra={"says": f"must be at most {MAX_ID} characters"})] = ""  # fmt: skip
    branch: Annotated[str, Meta(max_length=MAX_ID, extra={"says": f"must be at most {MAX_ID} characters"})] = ""
    period: Annotated[str, Meta(pattern=r"^([0-9]{4}(-[0-9]{2}(-[0-9]{2})?)?)?$", examples=["2026", "2026-11"],
                                description="How the timestamp of the origin event begins.",
                                extra={"says": "must be a year, a month or a day, like 2026-11"})] = ""  # fmt: skip
    state: Annotated[str, Meta(max_length=MAX_STATUS, description="A unit's state.",
                               extra={"says": f"must be at most {MAX_STATUS} characters"})] = ""  # fmt: skip
    text: Annotated[str, Meta(max_length=MAX_ID, description="Part of what the unit says: instance, branch, event.",
                              extra={"says": f"must be at most {MAX_ID} characters"})] = ""  # fmt: skip


class EvidenceQuery(PageQuery):
    """Which of a document's units are explained: a page, or those at the positions named."""

    positions: Annotated[str, Meta(pattern=r"^([0-9]{1,9}(,[0-9]{1,9}){0,49})?$", examples=["0,7,1200"],
                                   extra={"says": "must be up to 50 numbers with commas between"})] = ""  # fmt: skip


class UnitShape(Struct, rename="camel"):
    """One instance, on one branch, to be replayed."""

    instance_id: str
    branch: str
    forking: bool
    state: UnitState
    round: int
    sends: int
    replay_instance_id: str
    cause: int
    sent_at: str | None = None
    done_at: str | None = None
    duration: float | None = None
    #: Why it cannot be replayed.
    problem: Said | None = None
    #: Who named it: `discovery`, `ledger` or `both`.
    named: str = "discovery"
    #: In a late reprocessing: the instances whose commits it missed.
    missed: list[str] = []


class FoundUnit(UnitShape, rename="camel"):
    """A unit, its place in the document, and what its origin event says."""

    position: int = 0
    #: The name of the origin event: the process.
    name: str = ""
    timestamp: str = ""
    #: The plain values of its payload, on one line.
    about: str = ""


class CountShape(Struct):
    """So many units have this value."""

    value: str
    count: int


class CountsShape(Struct):
    """Units by value; `others`: those of values that are not listed."""

    values: list[CountShape]
    others: int


class UnitGroups(Struct):
    """How many units there are of each process, branch, period and state; each without its own condition."""

    process: CountsShape
    branch: CountsShape
    period: CountsShape
    state: CountsShape


class FoundUnitsPage(Struct, rename="camel"):
    """The units that fit, in their order, and counts."""

    system_id: str
    #: Units of the document, and those that fit.
    total: int
    matched: int
    groups: UnitGroups
    units: list[FoundUnit]
    #: The `after` of the next page.
    next: int | None = None


class UnitName(Struct, rename="camel"):
    """An instance on a branch."""

    instance_id: str
    branch: str


class SetAsideShape(UnitName, rename="camel"):
    """A unit that cannot be replayed, and why."""

    problem: Said


class LeftOutShape(UnitName, rename="camel"):
    """A unit that is not replayed: who decided so, when and why; and what kept it from being replayed."""

    user: str
    timestamp: str
    reason: str
    problem: Said = ""
    #: The `timestamp` with its zone.
    at: str = ""


class RowRead(Struct):
    """A row as a computation read it."""

    type: str
    id: str
    branch: str
    #: The instance that wrote the version; empty: not known.
    version: str
    #: The computation changes the row itself.
    wrote: bool


class EvidenceShape(Struct, rename="camel"):
    """Why a unit is in the document: who named it, and the rows that it read and that are changed."""

    instance_id: str
    branch: str
    named: str
    missed: list[str]
    computation: str
    #: The first twenty; `rows`: how many there are.
    read: list[RowRead]
    rows: int
    #: Rows that its computation created: a replay adds rows, it does not replace these.
    adds_rows: int
    #: Why nothing, or not all, is known.
    problem: Said


class EvidencePage(Struct):
    """A page of a document's units, each with its evidence."""

    total: int
    units: list[EvidenceShape]
    next: int | None
