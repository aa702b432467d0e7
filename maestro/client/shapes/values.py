"""Values before and after: what replays changed, what is unusual about a held commit, and what fields are called."""

from typing import Any

from msgspec import Struct


class Value(Struct, frozen=True, rename="camel"):
    """One value before and after a replay."""

    type: str
    id: str
    field: str
    change: str
    branch: str = ""
    about: str = ""
    before: Any = None
    after: Any = None
    difference: float | None = None
    percent: float | None = None
    #: Of which unit, where it is told apart from it.
    instance_id: str = ""
    unit_branch: str = ""
    #: Of an overwrite: who wrote what was replaced.
    by: str = ""


class Past(Struct, frozen=True, rename="camel"):
    """The past values of a field; None: too few to measure by."""

    count: int = 0
    median: float | None = None
    spread: float | None = None
    low: float | None = None
    high: float | None = None
    score: float | None = None
    ends: str = ""


class UnusualValue(Value, frozen=True):
    """A new number of a held commit, and what its past says of it."""

    verdict: str = ""
    slipped: int = 0
    stands_out: bool = False
    past: Past = Past()


class UnusualPage(Struct, frozen=True, rename="camel"):
    """The numbers that a held commit changes most, what stands out first."""

    pending: bool = False
    changed: int = 0
    unusual: int = 0
    enough: int = 0
    limit: float = 0.0
    values: tuple[UnusualValue, ...] = ()
    problem: str = ""


class Label(Struct, frozen=True, rename="camel"):
    """What a field is called, its unit and its decimals; texts by language."""

    name: dict[str, str] = {}
    unit: dict[str, str] = {}
    decimals: int | None = None


class TypeLabels(Struct, frozen=True, rename="camel"):
    """What rows of a type are called, and their fields."""

    name: dict[str, str] = {}
    fields: dict[str, Label] = {}


class Labels(Struct, frozen=True, rename="camel"):
    """The labels of a system's data, by type."""

    types: dict[str, TypeLabels] = {}


class OutcomeSummary(Struct, frozen=True, rename="camel"):
    """What all replays changed, as far as it is known; `says` it in one line."""

    says: str = ""
    units: int = 0
    looked: int = 0
    replayed: int = 0
    compared: int = 0
    failed: int = 0
    pending: int = 0
    changed: int = 0
    added: int = 0
    destroyed: int = 0
    unread: int = 0
    unchanged: int = 0
    largest: Value | None = None
    problem: str = ""


class UnitOutcome(Struct, frozen=True, rename="camel"):
    """What the replays of one unit changed."""

    instance_id: str
    branch: str
    state: str = ""
    changed: int = 0
    added: int = 0
    destroyed: int = 0
    unread: int = 0
    values: tuple[Value, ...] = ()
    problem: str = ""


class OutcomePage(Struct, frozen=True, rename="camel"):
    """What a reprocessing changed: a summary, the biggest changes, a page of its units."""

    summary: OutcomeSummary
    total: int
    status: str = ""
    biggest: tuple[Value, ...] = ()
    units: tuple[UnitOutcome, ...] = ()
    next: int | None = None
