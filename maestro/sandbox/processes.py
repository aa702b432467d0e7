"""What a process of the platform is: one pure function, from a payload and what it reads to what it writes.

No I/O, no clock: a function sees the world through the `Read` it is given, which is how its reads get recorded.
A payload is a typed struct; `checked` is the one edge at which it is parsed, when its event is sent.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Final

import msgspec

Fields = Mapping[str, Any]
#: (entity, key) -> the row's fields as the instance's branch sees them; None when there is no such row.
Read = Callable[[str, str], Fields | None]
#: A text that says something.
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]

#: Where msgspec names the field that is wrong.
_PLACE: Final = re.compile(r"(?P<problem>.*) - at `\$(?P<field>.*)`", re.DOTALL)


class ProcessFailed(Exception):  # noqa: N818 - the platform's word for it
    """The process cannot do its work; the message says why. It ends in an `.error` event."""


class BadPayload(ValueError):  # noqa: N818 - it is the payload that is bad
    """A payload is not what its process takes; the message names the field."""


class Moment(str):
    """A period of time as its first characters write it. Raises `ValueError` when the text is none."""

    __slots__ = ()
    FORM: ClassVar[str]
    NOUN: ClassVar[str]

    @classmethod
    def parse(cls, text: object) -> "Moment":
        """Return the text as this kind of period."""
        try:
            # strptime takes "2008-1-2", too.
            if datetime.strptime(str(text), cls.FORM).strftime(cls.FORM) == text:  # noqa: DTZ007 - no zone in the data
                return cls(text)
        except ValueError:
            pass
        sample = datetime(2024, 1, 31, 13, 15).strftime(cls.FORM)  # noqa: DTZ001 - as above
        raise ValueError(f"{text!r} is no {cls.NOUN}, such as {sample}")


class Month(Moment):
    """A month."""

    __slots__ = ()
    FORM = "%Y-%m"
    NOUN = "month"


class Day(Moment):
    """A day."""

    __slots__ = ()
    FORM = "%Y-%m-%d"
    NOUN = "day"


class Hour(Moment):
    """An hour."""

    __slots__ = ()
    FORM = "%Y-%m-%dT%H"
    NOUN = "hour"


class Minute(Moment):
    """A minute."""

    __slots__ = ()
    FORM = "%Y-%m-%dT%H:%M"
    NOUN = "minute"


class Payload(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a process is started with."""


@dataclass(frozen=True, slots=True)
class Write:
    """One row a process writes, on the branch it runs on: the one it found there, else a new one."""

    entity: str
    key: str
    #: None: the row is destroyed.
    fields: Fields | None
    #: A new row each time, whatever is there.
    fresh: bool = False


class Persists(StrEnum):
    """How a process asks for its data to be persisted, if it wrote any."""

    QUEUED = "queued"
    #: It calls Maestro, and ends only once that has answered; when it is replayed, too.
    SYNCHRONOUSLY = "synchronously"


@dataclass(frozen=True, slots=True)
class Process:
    """A process as the platform knows it."""

    #: The event that starts an instance of it.
    name: str
    payload: type[Payload]
    run: Callable[[Any, Read], list[Write]]
    #: Whether Discovery may ask for it to be run again.
    reprocessable: bool
    #: Whether a `branch` in its payload opens that branch: the instance is a fork.
    forks: bool = False
    persists: Persists = Persists.QUEUED
    #: What it hands on in its `.done` event, in place of its own payload: another process is started by that.
    hands_on: Callable[[Any, Read], Mapping[str, Any]] | None = None

    @property
    def image(self) -> str:
        """The image that its operation runs."""
        return f"sandbox/{self.name.rpartition('.')[0]}:1"

    def checked(self, payload: object) -> Any:
        """Return a payload as this process takes it. Raises `BadPayload`."""
        try:
            return msgspec.convert(payload, self.payload, dec_hook=lambda kind, value: kind.parse(value))
        except msgspec.ValidationError as problem:
            told = _PLACE.fullmatch(str(problem))
            where, what = (f"payload{told['field']}", told["problem"]) if told else ("payload", str(problem))
            raise BadPayload(f"{where}: {what} ({self.name})") from problem


def key_of(subject: str, part: str | int) -> str:
    """Return the key of a row: whose it is, and what tells it from the subject's others."""
    return f"{subject}:{part}"


def days_of(month: str) -> list[str]:
    """Return every calendar day (YYYY-MM-DD) of a month (YYYY-MM)."""
    first = date.fromisoformat(f"{month}-01").toordinal()
    days = (date.fromordinal(first + number).isoformat() for number in range(31))
    return [day for day in days if day.startswith(month)]


def exact_sum(values: Iterable[float], what: str) -> float:
    """Return the exactly rounded sum, the same in whatever order. Raises `ProcessFailed` when there is no value."""
    found = list(values)
    if not found:
        raise ProcessFailed(f"no {what}")
    return math.fsum(found)


def added(entity: str, subject: str, whose: str, amount: float, read: Read) -> list[Write]:
    """Add an amount to a running total: it reads what it writes, so a replay would count the amount twice."""
    before = read(entity, whose)
    value = (before["value"] if before else 0.0) + amount
    return [Write(entity, whose, {subject: whose, "value": value})]
