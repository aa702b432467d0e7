"""The messages of a system's error queue, and what became of them."""

from typing import Any

from msgspec import Struct


class ErrorMessage(Struct, frozen=True, rename="camel"):
    """A message on an error queue; `size` in bytes, `body` JSON or text."""

    id: str
    reason: str = ""
    failed_at: str = ""
    headers: dict[str, str] = {}
    size: int = 0
    truncated: bool = False
    body: Any = None


class ErrorPage(Struct, frozen=True, rename="camel"):
    """The oldest messages of an error queue."""

    total: int
    errors: tuple[ErrorMessage, ...] = ()


class ErrorGroup(Struct, frozen=True, rename="camel"):
    """Messages of an error queue that failed alike; `first` and `last`: when, empty: not known of all.

    `digest` binds a redrive to these messages; `doubt`: their commits are in doubt, and no group redrives them.
    """

    key: str
    reason: str = ""
    count: int = 0
    first: str = ""
    last: str = ""
    events: tuple[str, ...] = ()
    instance_id: str = ""
    doubt: bool = False
    digest: str = ""


class ErrorGroupsPage(Struct, frozen=True, rename="camel"):
    """A page of the groups of an error queue: `count` groups of the oldest `looked_at` of its `total` messages."""

    total: int
    looked_at: int = 0
    count: int = 0
    groups: tuple[ErrorGroup, ...] = ()


class SetAside(Struct, frozen=True, rename="camel"):
    """The event of a stalled system that was put on its error queue."""

    number: int
    instance_id: str = ""


class Redriven(Struct, frozen=True, rename="camel"):
    """How many messages were given back to be judged again, and which were not found."""

    redriven: int
    missing: tuple[str, ...] = ()
