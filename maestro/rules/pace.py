"""How long replays take: a bounded running mean per event name, and what that says about replays to come. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from maestro.rules.unit import Unit, UnitState, name_of

#: A mean is believed from this many replays on.
ENOUGH = 3
#: A new duration weighs at least one part in so many: the mean follows a system that becomes slower or faster.
MEMORY = 50
#: Event names a system has a mean of its own for; beyond that only the mean of all counts.
MAX_NAMES = 200
#: The name of the mean over all names; no event has it.
ALL = "*"


@dataclass(frozen=True, slots=True)
class Pace:
    """A running mean: over how many replays, and its seconds."""

    count: int = 0
    seconds: float = 0.0

    def after(self, seconds: float) -> "Pace":
        """Return the mean with one more duration in it."""
        count = self.count + 1
        return Pace(count, self.seconds + (seconds - self.seconds) / min(count, MEMORY))


@dataclass(frozen=True, slots=True)
class Estimate:
    """How long what is left of a reprocessing will take, in seconds, and what that is derived from."""

    seconds: float
    basis: str


@dataclass(slots=True)
class Paces:
    """The means of one system, by event name."""

    by_name: dict[str, Pace] = field(default_factory=dict)

    def replayed(self, name: str, seconds: float) -> list[tuple[str, Pace]]:
        """Take in a replay's duration; return the means that changed."""
        changed = []
        for one in (ALL, name):
            if one in self.by_name or one == ALL or len(self.by_name) <= MAX_NAMES:
                self.by_name[one] = self.by_name.get(one, Pace()).after(seconds)
                changed.append((one, self.by_name[one]))
        return changed

    def estimate(self, units: Iterable[Unit]) -> Estimate | None:
        """Return how long the units that are not done will take; None without enough replays to tell by."""
        overall = self.by_name.get(ALL, Pace())
        if overall.count < ENOUGH:
            return None
        seconds, left, by_name = 0.0, 0, 0
        for unit in units:
            if unit.settled or unit.state is UnitState.SET_ASIDE:
                continue
            own = self.by_name.get(name_of(unit.origin), Pace())
            known = own.count >= ENOUGH
            seconds += own.seconds if known else overall.seconds
            left, by_name = left + 1, by_name + known
        basis = f"running mean of {overall.count} past replays of this system; {by_name} of {left} by their event name"
        return Estimate(round(seconds, 3), basis)

    def rough(self, count: int) -> Estimate | None:
        """Return how long so many replays of any kind will take; None without enough to tell by."""
        overall = self.by_name.get(ALL, Pace())
        if overall.count < ENOUGH:
            return None
        basis = f"running mean of {overall.count} past replays of this system"
        return Estimate(round(count * overall.seconds, 3), basis)
