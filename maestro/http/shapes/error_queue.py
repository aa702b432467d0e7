"""The messages of a system's error queue, and how they are judged again."""

from typing import Annotated, Any, Final

from msgspec import Meta, Struct

from maestro.http.shapes.decisions import DecisionBody
from maestro.http.shapes.shared import MAX_CHOSEN, MAX_ID
from maestro.messages.answers import Said

#: Messages of an error queue that are shown at once, and that are looked at.
MAX_ERRORS: Final = 50
MAX_LOOK: Final = 5000


class ShownGroupBody(Struct, forbid_unknown_fields=True):
    """A group of the error queue as it was shown."""

    key: Annotated[str, Meta(min_length=1, max_length=MAX_ID)]
    count: Annotated[int, Meta(ge=1, le=MAX_LOOK, extra={"says": f"must be a whole number from 1 to {MAX_LOOK}"})]
    digest: Annotated[str, Meta(min_length=1, max_length=MAX_ID)]


class RedriveBody(DecisionBody):
    """Which messages of the error queue are judged again: those of `ids`, of `groups` as they were shown, or all."""

    ids: Annotated[list[Annotated[str, Meta(min_length=1)]], Meta(min_length=1, max_length=MAX_CHOSEN,
                   extra={"says": f"must be a list of 1 to {MAX_CHOSEN} message ids"})] | None = None  # fmt: skip
    groups: Annotated[list[ShownGroupBody], Meta(min_length=1, max_length=MAX_CHOSEN,
                      extra={"says": f"must be a list of 1 to {MAX_CHOSEN} groups"})] | None = None  # fmt: skip
    all: bool | None = None


class ErrorsQuery(Struct):
    """Which messages of the error queue: so many behind the oldest `after`, of one group or of all."""

    group: Annotated[str, Meta(max_length=MAX_ID, extra={"says": f"must be at most {MAX_ID} characters"})] = ""
    after: Annotated[int, Meta(ge=0, le=MAX_LOOK,
                               extra={"says": f"must be a whole number from 0 to {MAX_LOOK}"})] = 0  # fmt: skip
    limit: Annotated[int, Meta(ge=1, le=MAX_ERRORS,
                               extra={"says": f"must be a whole number from 1 to {MAX_ERRORS}"})] = 20  # fmt: skip


class ErrorMessageShape(Struct, rename="camel"):
    """A message of the error queue: why it failed and when, its headers, its size in bytes, and its body."""

    id: str
    reason: Said
    #: Empty: it came before that was noted.
    failed_at: str
    headers: dict[str, Any]
    size: int
    #: `body` is its beginning only.
    truncated: bool
    #: As JSON, or as text where it is none.
    body: Any


class ErrorsPage(Struct):
    """The oldest messages of the error queue, or of one group of it; `total`: how many there are of these."""

    total: int
    errors: list[ErrorMessageShape]


class ErrorGroupShape(Struct, rename="camel"):
    """Messages of the error queue that failed alike."""

    key: str
    #: Why the oldest of them failed.
    reason: Said
    count: int
    #: When the first and the last of them failed; empty: one of them came before that was noted.
    first: str
    last: str
    #: Names of their events, some of them.
    events: list[str]
    #: The instance of the oldest.
    instance_id: str
    #: Their commits are in doubt: they are not redriven as a group.
    doubt: bool
    #: Binds a redrive to these messages.
    digest: str


class ErrorGroupsPage(Struct, rename="camel"):
    """The messages of the error queue by why they failed; the group with the oldest message comes first."""

    #: Messages on the queue, and of these the oldest that were looked at.
    total: int
    looked_at: int
    #: Groups in all.
    count: int
    groups: list[ErrorGroupShape]


class SetAsideEventShape(Struct, rename="camel"):
    """The event that was set aside: its number, and its instance."""

    number: int
    instance_id: str


class RedrivenShape(Struct):
    """How many messages were given back, and the ids that were not found."""

    redriven: int
    missing: Any
