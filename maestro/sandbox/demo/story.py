"""What a story is: data that name its processes and its rows, and the inputs it plays. Every story is one of these.

In each story inputs come in, *levels* are computed from them and from each other (averages and rates, or totals and
settlements), *uses* multiply one input by a factor, and a running *total* reads what it writes. Some inputs turn out
wrong and are corrected. `player` plays that, `truth` says what must come of it, whatever the field.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from maestro.events import MASTER
from maestro.statuses import Status

Json = dict[str, Any]
#: (subject, part) -> value: all rows of an entity, as the truth and the domain have them.
Values = Mapping[tuple[str, str], float]
#: Entity -> its values.
Tables = Mapping[str, Values]
#: Entity of a level -> the payloads that compute its rows.
Payloads = Mapping[str, tuple[Json, ...]]


@dataclass(frozen=True, slots=True)
class Input:
    """One value that comes from outside: a quote of a currency on a day, a reading of a meter at a time."""

    subject: str
    at: str
    value: float


@dataclass(frozen=True, slots=True)
class Entity:
    """Rows of one kind, and the fields that say whose they are, what tells them apart, and what they say."""

    name: str
    #: As a phase of the story, and in its report.
    plural: str
    subject: str
    #: Empty: there is one row a subject.
    part: str
    value: str = "value"


@dataclass(frozen=True, slots=True)
class Level:
    """Rows that a process computes from the inputs, or from the level before."""

    entity: Entity
    process: str


@dataclass(frozen=True, slots=True)
class Use(Level):
    """Rows that rest on one input and a number, which has this name in the payload."""

    factor: str


@dataclass(frozen=True, slots=True)
class Used:
    """An input multiplied by a factor, under a name."""

    name: str
    input: Input
    factor: float


@dataclass(frozen=True, slots=True)
class Correction:
    """One input that turns out wrong, and what will be decided about it."""

    input: Input
    new: float
    approved: bool
    branch: str = MASTER
    #: Committed a moment before it: Discovery may not know of them yet.
    just_before: tuple[Used, ...] = ()
    #: Computed on the old value while it is pending, and committed after it.
    meanwhile: tuple[Used, ...] = ()
    #: Added to the subject's running total before it, and while it is pending.
    amounts: tuple[float, float] | None = None
    #: The value of an earlier correction of the same input; None: this is the first.
    corrected: float | None = None

    @property
    def old(self) -> float:
        """The value that turns out wrong."""
        return self.input.value if self.corrected is None else self.corrected

    @property
    def decision(self) -> str:
        """What is decided: `approved` or `skipped`."""
        return Status.APPROVED if self.approved else Status.SKIPPED

    @property
    def is_fork(self) -> bool:
        """Whether it opens a branch of its own, and so needs nobody's approval."""
        return self.branch != MASTER

    def __str__(self) -> str:
        return f"{self.input.subject} {self.input.at}"


@dataclass(frozen=True, slots=True)
class Story:
    """A field: its processes, its rows, and how everything is computed from scratch."""

    name: str
    #: The system that is installed for it.
    system: str
    input: Entity
    #: The processes that write an input, and that correct one.
    push: str
    correct: str
    #: In the order they are computed.
    levels: tuple[Level, ...]
    use: Use
    total: Use
    #: How many characters of an input's `at` say of which period of the first level it is, and of which larger span.
    period: int
    span: int
    from_scratch: Callable[[Values, Payloads], Tables]

    @property
    def computed(self) -> tuple[Entity, ...]:
        """Return the entities whose rows are computed."""
        return (*(level.entity for level in self.levels), self.use.entity, self.total.entity)

    def input_payload(self, one: Input) -> Json:
        """Return the payload that writes an input."""
        return {self.input.subject: one.subject, self.input.part: one.at, self.input.value: one.value}

    def correction_payload(self, one: Correction) -> Json:
        """Return the payload that corrects an input."""
        payload = self.input_payload(Input(one.input.subject, one.input.at, one.new))
        return {**payload, "branch": one.branch} if one.is_fork else payload

    def use_payload(self, one: Used) -> Json:
        """Return the payload of a use."""
        place = {self.input.subject: one.input.subject, self.input.part: one.input.at}
        return {**place, self.use.factor: one.factor, self.use.entity.part: one.name}

    def amount_payload(self, subject: str, amount: float) -> Json:
        """Return the payload that adds to a running total."""
        return {self.total.entity.subject: subject, self.total.factor: amount}


@dataclass(frozen=True, slots=True)
class Plan:
    """All that will be played."""

    story: Story
    inputs: tuple[Input, ...]
    payloads: Payloads
    #: In the order they are played.
    corrections: tuple[Correction, ...]
    #: Inputs that arrive during decisions: none belongs to a period that is computed.
    late: tuple[Input, ...]
    #: What was asked for, as the report says it.
    about: Json

    @property
    def uses(self) -> list[Used]:
        """Return all uses, in the order they are played."""
        return [one for correction in self.corrections for one in (*correction.just_before, *correction.meanwhile)]
