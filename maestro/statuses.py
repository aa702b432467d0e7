"""Statuses of reprocessings and states of systems, and their sets: plain values that every part may import.

The rules move documents between them (`maestro.rules.status`); gateway, client, command line and doctor name them. The
console and other clients read them off the API description (`/openapi.json`), and the console off `js/statuses.js`,
which the gateway makes of this module.
"""

from enum import StrEnum
from typing import Final


class Status(StrEnum):
    """Statuses of a reprocessing document, spelled as the platform spells them."""

    PENDING = "pending_approval"
    APPROVED = "approved"
    RUNNING = "running"
    RUNNING_WITHOUT_LOCK = "running_without_lock"
    PAUSED = "paused"
    FINISHED = "finished"
    SKIPPED = "skipped"
    FAILURE = "failure"
    ABORTED_SPLIT = "aborted_split_events_failure"
    ABORTED_PERSIST = "aborted_persist_domain_failure"
    CANCELLED = "cancelled"


#: A run that goes on now.
RUNNING: Final = frozenset({Status.RUNNING, Status.RUNNING_WITHOUT_LOCK})
#: Between start and end. A paused run keeps its place: data is half replayed, so no other may begin.
IN_PROGRESS: Final = RUNNING | {Status.PAUSED}
#: Not ended: the system's actor keeps these whole in memory.
LIVE: Final = frozenset({Status.PENDING, Status.APPROVED}) | IN_PROGRESS
#: Ended by a failure.
FAILED: Final = frozenset({Status.FAILURE, Status.ABORTED_SPLIT, Status.ABORTED_PERSIST})
#: Ended without being carried out: a retry goes on with it.
GIVEN_UP: Final = FAILED | {Status.CANCELLED}
#: Ended.
ENDED: Final = frozenset(Status) - LIVE

#: The sets by name, for clients that are not written in Python.
SETS: Final = {
    "running": RUNNING, "inProgress": IN_PROGRESS, "live": LIVE, "failed": FAILED, "givenUp": GIVEN_UP, "ended": ENDED,
}  # fmt: skip


class SystemState(StrEnum):
    """What a system is doing: what blocks it, else what it waits for."""

    OPEN = "open"
    DRAINING = "draining"
    STALLED = "stalled"
    PENDING = "pending"
    APPROVED = "approved"
    RUNNING = "running"
    PAUSED = "paused"
    #: At rest, without a process: the next event or question starts it.
    PASSIVATED = "passivated"


#: The status of an instance, in API core, whose data is committed. Discovery names no other.
INSTANCE_FINISHED: Final = "finished"


def ordered(some: frozenset[Status]) -> tuple[Status, ...]:
    """Return a set's statuses in the order of a reprocessing's life."""
    return tuple(status for status in Status if status in some)
