"""The settings of a policy (docs/policies.md)."""

from datetime import date
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from maestro.settings.base import Count, Seconds, Section, SystemId


def _path(value: str) -> str:
    if not all(value.split(".")):
        raise ValueError('must be a path into the origin event, such as "payload.date"')
    return value


def _some(value: tuple[str, ...]) -> tuple[str, ...]:
    if not value:
        raise ValueError("must have at least one entry")
    return value


Pattern = Annotated[str, Field(min_length=1, max_length=200)]
Days = Annotated[int, Field(ge=0, le=100_000)]
Number = Annotated[int, Field(ge=0)]


class PolicySettings(Section):
    """One `[[policy]]`: what is demanded of a decision, and of which (docs/policies.md)."""

    #: What it is called: letters, digits, and . _ - after the first.
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    #: "ask", "two_approvers", "approve", "refuse_skip": one or several.
    effects: Annotated[tuple[Literal["ask", "two_approvers", "approve", "refuse_skip"], ...], AfterValidator(_some)]
    #: Systems that it is for; patterns (`*`, `?`) of the origin event's name and of the branch. Empty: all.
    systems: tuple[SystemId, ...] = ()
    events: tuple[Pattern, ...] = ()
    branches: tuple[Pattern, ...] = ()
    #: Units, at least and at most.
    units_from: Number | None = None
    units_to: Number | None = None
    #: Rows that the held commit creates, changes or destroys, at least and at most.
    rows_from: Number | None = None
    rows_to: Number | None = None
    #: The data's date is before this day; on it or later.
    data_before: date | None = None
    data_from: date | None = None
    #: The data's date is more than so many days ago; so many at most.
    older_than_days: Days | None = None
    within_days: Days | None = None
    #: Where the origin event has the data's date: the first of these paths that is there.
    date_from: Annotated[tuple[Annotated[str, AfterValidator(_path)], ...], AfterValidator(_some)] = (
        "reference_date",
        "referenceDate",
    )
    #: How far a run goes that "approve" has put on its way, until it pauses and somebody is asked.
    budget_replays: Count | None = None
    budget_minutes: Seconds | None = None

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        others = {"ask", "two_approvers"} & {*self.effects}
        if "approve" in self.effects and others:
            raise ValueError(f'effects: "approve" and "{min(others)}" exclude each other')
        if "approve" not in self.effects and not (self.budget_replays is None and self.budget_minutes is None):
            raise ValueError('budget_replays and budget_minutes are for the effect "approve"')
        for least, most in (("units_from", "units_to"), ("rows_from", "rows_to"), ("data_from", "data_before")):
            low, high = getattr(self, least), getattr(self, most)
            if low is not None and high is not None and (low > high or (least == "data_from" and low == high)):
                raise ValueError(f"{least} = {low}, {most} = {high}: no commit can be both")
        return self
