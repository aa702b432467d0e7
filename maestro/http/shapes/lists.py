"""Lists over all systems: what waits for a person, and the history."""

from typing import Annotated

from msgspec import Meta, Struct

from maestro.events import SYSTEM_ID
from maestro.http.shapes.shared import MAX_ID, MAX_USER, After, Limit, StatusText
from maestro.messages.answers import Said
from maestro.messages.todo import TodoItem
from maestro.rules.status import Status


class TodoQuery(Struct):
    """Which part of what waits for a person."""

    #: Only this system's; empty: all systems'.
    system: Annotated[str, Meta(max_length=128, pattern=f"^({SYSTEM_ID.pattern})?$",
                                extra={"says": "is no system's id"})] = ""  # fmt: skip
    after: After = 0
    limit: Limit = 200


class RecordsQuery(Struct):
    """Which reprocessings of the history."""

    system: Annotated[str, Meta(max_length=128, pattern=f"^({SYSTEM_ID.pattern})?$",
                                extra={"says": "is no system's id"})] = ""  # fmt: skip
    status: StatusText = ""
    user: Annotated[str, Meta(max_length=MAX_USER, description="Part of the name of somebody who decided.",
                              extra={"says": f"must be at most {MAX_USER} printable characters"})] = ""  # fmt: skip
    text: Annotated[str, Meta(max_length=MAX_ID, description="Part of anything that it says.",
                              extra={"says": f"must be at most {MAX_ID} printable characters"})] = ""  # fmt: skip
    since: Annotated[str, Meta(max_length=40, description="Held at this moment or later: ISO 8601 with its zone.",
                               extra={"says": "must be a moment like 2026-11-28T00:00:00Z"})] = ""  # fmt: skip
    until: Annotated[str, Meta(max_length=40, description="Held before this moment.",
                            extra={"says": "must be a moment like 2026-11-28T00:00:00Z"})] = ""  # fmt: skip
    before: Annotated[str, Meta(max_length=MAX_ID + 32, description="Those behind the record of this cursor.",
                                extra={"says": "is no cursor of a record"})] = ""  # fmt: skip
    limit: Limit = 50


class TodoPage(Struct):
    """What waits for a person: a page of it, how much there is in all and of each kind, and who did not answer."""

    total: int
    counts: dict[str, int]
    items: list[TodoItem]
    next: int | None


class DecisionShape(Struct):
    """What was decided last, by whom, when and why."""

    status: Status
    user: str
    at: str
    reason: str


class RecordShape(Struct, rename="camel"):
    """A reprocessing as the history lists it; times are in UTC, with their zone."""

    cursor: str
    id: str
    system: str
    branch: str
    tag: str
    #: What its origin says: the event in words, and the plain values of its payload.
    event: str
    about: str
    instance_id: str
    late: bool
    status: Status
    since: str
    changed: str
    cause: Said
    decision: DecisionShape | None
    units: int
    replayed: int
    cascaded: int


class RecordsPage(Struct):
    """A page of the history, newest first; `next` is the `before` of the page behind it."""

    records: list[RecordShape]
    next: str | None
    #: Systems that did not answer: theirs are missing.
    unanswered: list[str]
