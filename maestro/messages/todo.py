"""What waits for a person."""

from enum import StrEnum

from msgspec import Struct

from maestro.messages.answers import Said


class Waits(StrEnum):
    """Why it waits for a person."""

    PENDING = "pending"
    LATE = "late"
    PAUSED = "paused"
    #: Paused, for what is left cannot be replayed.
    UNREPLAYABLE = "unreplayable"
    DOUBT = "doubt"
    STALLED = "stalled"
    #: Failed or aborted, with work left.
    FAILED = "failed"
    CANCELLED = "cancelled"
    #: Events that failed for good, those of one reason together.
    ERRORS = "errors"
    #: The system does not answer.
    UNAVAILABLE = "unavailable"


class TodoItem(Struct, frozen=True, rename="camel", kw_only=True):
    """One thing that waits for a person."""

    kind: Waits
    system: str
    #: When it began, in UTC with its zone; empty: not known.
    since: str = ""
    #: It in one sentence.
    says: Said = ""
    #: The system is locked because of it; so many events wait behind it.
    locked: bool = False
    waiting: int = 0
    reprocessing: str = ""
    #: What its origin says: the event's name in words, and the plain values of its payload.
    event: str = ""
    about: str = ""
    instance_id: str = ""
    branch: str = ""
    #: Units in all, those not done, and those that cannot be replayed.
    units: int = 0
    left: int = 0
    set_aside: int = 0
    #: Of two approvals: who gave the first.
    approved_by: str = ""
    #: Key of a commit in doubt, or of a group of the error queue; the sibling that a stalled system waits for.
    key: str = ""
    sibling: str = ""
    cause: Said = ""
    #: Messages of the error queue that failed for this reason.
    count: int = 0
    #: Of what is pending: the digest that binds a decision to its preview.
    digest: str = ""


def urgency(item: TodoItem) -> tuple[bool, bool, str]:
    """Sort by it: what holds the lock, what events wait behind, the rest; the oldest first."""
    return (not item.locked, not item.waiting, item.since or "~")
