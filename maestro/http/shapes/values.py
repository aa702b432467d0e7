"""Values before and after: what replays changed, what is unusual about a held commit, and what fields are called."""

from msgspec import Struct

from maestro.http.comparing import Value
from maestro.messages.answers import Said


class ValueShape(Value, rename="camel", frozen=True):
    """One value before and after a replay; of an overwrite: the value replaced, and the one that replaced it."""


class UnitValueShape(ValueShape, frozen=True):
    """One value of a unit."""

    instance_id: str
    unit_branch: str


class OutcomeSummary(Struct, rename="camel"):
    """What all replays changed, as far as it is known."""

    #: In one line, for terminals.
    says: str
    #: Units of the document; those that the summary is about (the first 1000); of these, those replayed, compared, and
    #: not to be had. `pending`: still to be asked; ask again.
    units: int
    looked: int
    replayed: int
    compared: int
    failed: int
    pending: int
    #: Values changed; rows added, destroyed, and changed without having been read; results that stayed as they were.
    changed: int
    added: int
    destroyed: int
    unread: int
    unchanged: int
    largest: UnitValueShape | None
    #: Why something is not to be had.
    problem: Said


class UnitOutcome(Struct, rename="camel"):
    """What the replays of one unit changed."""

    instance_id: str
    branch: str
    state: str
    round: int
    #: The instance of its last replay; empty: there is none.
    computation: str
    changed: int
    added: int
    destroyed: int
    unread: int
    #: Rows written with the values they had.
    same: int
    #: The thirty largest changes.
    values: list[ValueShape]
    #: Why there is nothing to compare, or it is not to be had.
    problem: Said


class OutcomePage(Struct, rename="camel"):
    """What a reprocessing changed: a summary, the biggest changes of all, and a page of its units."""

    status: str
    summary: OutcomeSummary
    biggest: list[UnitValueShape]
    total: int
    units: list[UnitOutcome]
    next: int | None


class PastShape(Struct, rename="camel"):
    """The past values of a field, the one that is replaced among them."""

    count: int
    #: None: there are fewer than `enough`.
    median: float | None
    #: Of what a standard deviation would be, from the median absolute deviation.
    spread: float | None
    low: float | None
    high: float | None
    #: Spreads between the new value and the median.
    score: float | None
    #: Why there may be more of them; empty: these are all, or as many as are asked for.
    ends: Said


class UnusualValue(ValueShape, frozen=True):
    """A new number, and what its past says of it."""

    #: unusual, usual, constant (the past values were all the same), too_few, or pending (ask again).
    verdict: str
    #: Places by which a digit or the decimal point seems to have slipped: 1 for ten times; 0: none.
    slipped: int
    #: It is unusual, unlike a constant past, or slipped.
    stands_out: bool
    past: PastShape


class UnusualPage(Struct, rename="camel"):
    """The numbers that a held commit changes most, what stands out first."""

    #: More will be known: ask again.
    pending: bool
    #: Values that the commit changes.
    changed: int
    #: Of the values told, those that stand out.
    unusual: int
    #: Past values below which nothing is said, and spreads beyond which a value is unusual.
    enough: int
    limit: float
    values: list[UnusualValue]
    #: Why nothing, or not all, is known.
    problem: Said


class LabelShape(Struct):
    """What a field is called, its unit and its decimals; texts by language."""

    name: dict[str, str]
    unit: dict[str, str]
    decimals: int | None


class TypeLabelsShape(Struct):
    """What rows of a type are called, and their fields."""

    name: dict[str, str]
    fields: dict[str, LabelShape]


class LabelsShape(Struct):
    """The labels of a system's data, by type."""

    types: dict[str, TypeLabelsShape]
