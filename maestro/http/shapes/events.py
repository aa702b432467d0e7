"""Events: those that the platform sends, those that wait, those that were skipped, and what became of one."""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from maestro.events import SYSTEM_ID
from maestro.http.shapes.documents import DocumentShape, HistoryShape
from maestro.http.shapes.shared import MAX_ID, SystemId


class QueueQuery(Struct):
    """Which queue is to be consumed."""

    queue: Annotated[str, Meta(max_length=MAX_ID, pattern=rf"^persist\.{SYSTEM_ID.pattern}\.queue$",
                               extra={"says": "must be persist.<systemId>.queue"})]  # fmt: skip


class EventBody(Struct):
    """An event of the platform; further fields pass through."""

    systemId: SystemId  # noqa: N815 - the platform's name
    instanceId: Annotated[str, Meta(min_length=1)]  # noqa: N815 - as above
    name: str = ""
    tag: str | None = None
    branch: str | None = "master"
    scope: Literal["", "execution", "reprocessing"] | None = "execution"
    timestamp: Any = None
    reprocessing: Any = None


class ErrorEventBody(Struct):
    """The error event of a replayed process; further fields pass through."""

    systemId: SystemId | Literal[""] | None = None  # noqa: N815 - the platform's name
    instanceId: str | None = None  # noqa: N815 - as above
    reprocessing: dict[str, Any] | None = None


class WaitingEvent(Struct, rename="camel"):
    """An event that waits."""

    number: int
    instance_id: str
    name: str
    branch: str
    tag: str
    since: str
    waiting_for: float
    #: `since` with its zone.
    at: str
    #: The process that asks for it, and the plain values of its payload: what tells it from others of its name.
    process: str
    about: str


class WaitingShape(Struct):
    """A page of the waiting events, oldest first."""

    total: int
    events: list[WaitingEvent]
    next: int | None


class JudgedShape(Struct):
    """What became of an event: committed (`commited`, spelled so), held, or waiting."""

    status: str
    #: The reprocessing it is held by.
    reprocessing: DocumentShape | None = None


class EventShape(WaitingEvent):
    """An event that waits, with its body."""

    event: dict[str, Any]


class SkippedEvent(Struct, rename="camel"):
    """An event that was not committed, who decided so and why."""

    number: int
    id: str
    instance_id: str
    tag: str
    branch: str
    units: int
    skipped: HistoryShape
    reconsidered: int | None
    pending_event: dict[str, Any]
    #: What its origin event says: the name in words, and the plain values of its payload.
    event: str = ""
    about: str = ""


class SkippedPage(Struct):
    """A page of the skipped events, oldest first."""

    total: int
    skipped: list[SkippedEvent]
    next: int | None
