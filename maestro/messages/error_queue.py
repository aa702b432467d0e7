"""A system's error queue: its messages, their groups, and what a system asks ingress about them."""

from msgspec import Struct

from maestro.messages.item import Item


class ShownGroup(Struct, frozen=True):
    """A group of the persist error queue as somebody was shown it: its oldest `count` messages have this digest."""

    key: str
    count: int
    digest: str


class PeekErrors(Item, frozen=True):
    """Look at the error queue's oldest messages. Answered by `ErrorsPeeked`."""

    request: int
    limit: int
    group: str = ""
    after: int = 0


class GroupErrors(Item, frozen=True):
    """Put the error queue's oldest `look` messages together by why they failed. Answered by `ErrorsGrouped`."""

    request: int
    look: int
    after: int
    limit: int


class ErrorMessage(Struct, frozen=True):
    """A message on the error queue: its headers as text, its size in bytes, and the beginning of its body."""

    id: str
    headers: tuple[tuple[str, str], ...]
    size: int
    body: bytes


class ErrorsPeeked(Item, frozen=True):
    """The oldest messages, and how many there are; `problem` says why the broker did not tell."""

    request: int
    messages: tuple[ErrorMessage, ...]
    total: int
    problem: str = ""


class ErrorGroup(Struct, frozen=True):
    """Messages of an error queue that failed alike: `reason` is the oldest one's."""

    key: str
    reason: str
    count: int
    #: When the first and the last of them failed, ISO 8601; empty: one of them came before that was noted.
    first: str
    last: str
    #: Names of the events, some of them.
    events: tuple[str, ...]
    #: The instance of the oldest.
    instance_id: str
    #: Their commits are in doubt: no group redrives them.
    doubt: bool
    #: Binds a redrive to these messages.
    digest: str


class ErrorsGrouped(Item, frozen=True):
    """Groups, the one with the oldest message first, and how many; of how many messages, and of which looked at."""

    request: int
    groups: tuple[ErrorGroup, ...]
    count: int
    total: int
    looked_at: int
    problem: str = ""


class RedriveErrors(Item, frozen=True):
    """Publish messages of the error queue to the persist queue. Answered by `ErrorsRedriven`.

    Those of `ids`, or of `groups`, if these are what was shown; all when there are neither.
    """

    request: int
    ids: tuple[str, ...]
    user: str
    groups: tuple[ShownGroup, ...] = ()


class ErrorsRedriven(Item, frozen=True):
    """So many were redriven; `missing` ids were not found; `problem` says why the broker did not go on.

    `changed`: nothing was redriven, for a group is not what was shown; why.
    """

    request: int
    count: int
    missing: tuple[str, ...]
    problem: str = ""
    changed: str = ""
