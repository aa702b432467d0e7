"""How long a committed instance takes to become visible to Discovery, and when to look for it (semantics: Visible).

The platform calls an instance `finished` some time after its commit: mostly at once or after a few tens of
milliseconds, seconds later behind a backlog, or never. So the first look comes when it is likely to find what it
looks for, the next ones ever later, and past one second Maestro sets the status itself. Times are seconds.
"""

from collections import deque
from dataclasses import dataclass, field
from statistics import median
from typing import Final

from maestro.rules.delivery import Delivery
from maestro.rules.document import Document

#: Pauses between the first look and the following ones.
PAUSES: Final = (0.025, 0.05, 0.1, 0.2, 0.4)
#: From the commit on; then Maestro sets the status itself. Sooner it would meet the Event Manager's own call.
LONG: Final = 1.0
#: After so many in a row that took longer, the Event Manager is behind: one look, this long after the commit.
SLOW_IN_A_ROW: Final = 3
BEHIND: Final = 0.1
#: A usual time up to which the first look comes at once.
AT_ONCE: Final = 0.01
#: Commits of a system that are looked after at once; while the Event Manager is behind it is one.
LOOKED_AFTER: Final = 8
#: Looks that the usual time is made of.
_REMEMBERED: Final = 15
#: A first look that finds what it looks for says only that it took no longer. So it counts as somewhat less: the usual
#: time comes down until a look is too early.
_EAGER: Final = 0.8


@dataclass(slots=True)
class Look:
    """One commit whose instance must become visible, or whose question must be put again."""

    key: str
    instance_id: str
    owner: Delivery | Document
    #: When the commit was made, or taken up after a restart (seconds since the epoch).
    since: float
    #: The token of the answer that is awaited, and when it was asked for (seconds since the epoch).
    token: int = 0
    asked_at: float = 0.0
    #: Looks that did not find it finished.
    missed: int = 0
    #: Calls in a row that failed.
    failed: int = 0
    #: Since when API core refuses to set the status; 0: it does not.
    refused_since: float = 0.0
    #: How often that was.
    refused: int = 0
    #: When it was first seen finished, while a status text may come later; 0: not yet.
    seen_at: float = 0.0

    @property
    def branch(self) -> str:
        """The branch of what was committed."""
        return self.owner.branch


@dataclass(slots=True)
class Looks:
    """What the last looks found."""

    recent: deque[float] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))
    slow: int = 0
    #: Keys of the commits that are being looked after, and of those whose turn is still to come, oldest first.
    active: set[str] = field(default_factory=set)
    resting: dict[str, None] = field(default_factory=dict)

    @property
    def behind(self) -> bool:
        """Whether the Event Manager has a backlog."""
        return self.slow >= SLOW_IN_A_ROW

    @property
    def full(self) -> bool:
        """Whether no further commit may be looked after now: API core is not asked more for a backlog that lasts."""
        return len(self.active) >= (1 if self.behind else LOOKED_AFTER)

    def first(self) -> float:
        """Return the pause between a commit and the first look."""
        if self.behind:
            return BEHIND
        usual = median(self.recent) if self.recent else 0.0
        return 0.0 if usual <= AT_ONCE else min(usual, LONG)

    def after(self, look: Look, now: float) -> float | None:
        """Return the pause before the next look of one that was not finished; None: the status is set now."""
        left = look.since + LONG - now
        if self.behind or left <= 0 or left > LONG:  # the last: the clock was set back
            return None
        return min(PAUSES[min(look.missed, len(PAUSES)) - 1], left)

    def found(self, look: Look, asked_at: float) -> None:
        """The platform itself called it finished, when it was asked at that moment.

        How long the answer took is not counted: on a busy machine each look would put off the next ones.
        """
        self.slow = 0
        took = max(0.0, asked_at - look.since)
        self.recent.append(took if look.missed else took * _EAGER)
