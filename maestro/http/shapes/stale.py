"""Units whose results are not known to be fresh."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from maestro.http.shapes.shared import PageQuery
from maestro.http.shapes.values import ValueShape
from maestro.messages.answers import Said


class StaleQuery(PageQuery):
    """Which page of the list of units that are not known to be fresh, and which state of them."""

    state: str = ""
    #: With both values of each overwrite; then a page has at most 20 units.
    values: Annotated[Literal["true", "false"], Meta(extra={"says": 'must be "true" or "false"'})] = "false"


class OverwrittenValue(ValueShape, frozen=True):
    """One value of an overwrite: `before` was written by `by`, unseen; `after` replaced it."""

    by: str


class OverwriteShape(Struct):
    """Both values of each row that was overwritten."""

    #: At most thirty; `more`: further ones, `same`: rows of which both wrote the same.
    values: list[OverwrittenValue]
    same: int
    more: int
    #: Why nothing, or not all, is known.
    problem: Said


class StaleUnit(Struct, rename="camel"):
    """A unit whose result is not known to be fresh: why, since when, and what it missed."""

    number: int
    instance_id: str
    branch: str
    #: The instance itself, or its last replay.
    computation: str
    #: `stale`, `unverified`, `not_remembered`, `overwrite`, `accepted`, `left_out` or `not_finished`.
    state: str
    timestamp: str
    #: The `timestamp` with its zone.
    at: str
    #: Instances whose commits it did not see.
    missed: list[str]
    cause: Said
    #: Who accepted it or left it out, and why.
    user: str
    reason: str
    #: The late reprocessing that is to replay it.
    reprocessing: str | None
    #: What its origin event says: the name in words, and the plain values of its payload; empty where it is not known.
    event: str = ""
    about: str = ""
    #: Of an overwrite, where its values are asked for.
    overwrite: OverwriteShape | None = None


class StalePage(Struct):
    """A page of them, oldest note first; `left`: how many left the list for newer ones."""

    total: int
    left: int
    stale: list[StaleUnit]
    next: int | None
