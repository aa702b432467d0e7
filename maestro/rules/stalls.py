"""What holds a system up: a sibling that is waited for, and a question that failed past its tries."""

from dataclasses import dataclass, field
from typing import Final

#: Seconds after which a stalled system is not open any more: what comes is parked.
CLOSES_AFTER: Final = 30.0


@dataclass(frozen=True, slots=True)
class Stall:
    """Why nothing can be judged, committed or replayed: which sibling is waited for, since when, and the cause."""

    sibling: str
    cause: str
    #: Seconds since the epoch.
    since: float

    @property
    def closes_at(self) -> float:
        """From when on the system is not open because of it."""
        return self.since + CLOSES_AFTER


@dataclass(slots=True)
class Trouble:
    """A question that failed past its tries: with one sibling, or with several in turn."""

    sibling: str
    cause: str
    #: When each sibling failed first (seconds since the epoch).
    failed: dict[str, float]
    #: The token of the canary's answer.
    token: int = 0
    #: Tries since then.
    tries: int = 0
    #: Siblings whose canaries were answered after a failure, and have failed no canary since: they are there.
    cleared: set[str] = field(default_factory=set)

    @property
    def since(self) -> float:
        """When the sibling that it failed with last failed first."""
        return self.failed[self.sibling]
