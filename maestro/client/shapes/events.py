"""Events that wait, and those that were skipped."""

from msgspec import Struct

from maestro.client.shapes.documents import Entry
from maestro.statuses import Status


class Waiting(Struct, frozen=True, rename="camel"):
    """An event that waits; `waiting_for` in seconds."""

    number: int
    instance_id: str = ""
    name: str = ""
    branch: str = ""
    tag: str = ""
    since: str = ""
    waiting_for: float = 0.0
    #: The process that asks for it, and the plain values of its payload: persist events are all of one name.
    process: str = ""
    about: str = ""


class WaitingPage(Struct, frozen=True, rename="camel"):
    """A page of the events that wait, oldest first."""

    total: int
    events: tuple[Waiting, ...] = ()
    next: int | None = None


class Skipped(Struct, frozen=True, rename="camel"):
    """A commit that was skipped."""

    number: int
    id: str
    instance_id: str = ""
    branch: str | None = "master"
    units: int = 0
    #: What its origin event says, in words.
    event: str = ""
    about: str = ""
    skipped: Entry = Entry(Status.SKIPPED)
    reconsidered: int | None = None


class SkippedPage(Struct, frozen=True, rename="camel"):
    """A page of what was skipped, oldest first."""

    total: int
    skipped: tuple[Skipped, ...] = ()
    next: int | None = None
