"""Which instances an event's data would change, and in which order they are replayed (semantics, flow 1).

Pure. A *unit* is one (instance, branch) to replay.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from maestro.events import MASTER

UnitKey = tuple[str, str]

#: Who names a unit.
DISCOVERY = "discovery"
LEDGER = "ledger"
BOTH = "both"


@dataclass(frozen=True, slots=True)
class Impacted:
    """One finished instance that Discovery or the ledger names, on one branch."""

    instance_id: str
    branch: str
    forking: bool = False
    #: Who names it. It is the same unit whoever does.
    named: str = field(default=DISCOVERY, compare=False)

    @property
    def key(self) -> UnitKey:
        """What makes it one unit."""
        return (self.instance_id, self.branch)


@dataclass(frozen=True, slots=True)
class Origin:
    """An impacted unit with its instance's origin event (JSON as Process Memory sent it) and that event's timestamp."""

    unit: Impacted
    event: bytes
    timestamp: str


def relevant(
    units: Iterable[Impacted], *, own_instance: str, on_master: bool, own_unit: UnitKey | None = None
) -> tuple[Impacted, ...]:
    """Drop what an event cannot impact, and repeated units.

    A scenario cannot change the trunk: units on `master` are dropped when the event is not on `master`
    (`on_master` false). An instance does not impact itself, nor a replay the unit it replays.
    """
    kept: dict[UnitKey, Impacted] = {}
    for unit in units:
        if unit.branch == MASTER and not on_master:
            continue
        if unit.instance_id == own_instance or unit.key == own_unit:
            continue
        kept.setdefault(unit.key, unit)
    return tuple(kept.values())


def replay_order(origins: Sequence[Origin]) -> tuple[Origin, ...]:
    """Order units for replay: forking first, then by origin timestamp (those that do not parse last), then as found."""
    return tuple(sorted(origins, key=_rank))


def _rank(origin: Origin) -> tuple[bool, bool, datetime, int]:
    parsed = parse_timestamp(origin.timestamp)
    moment, nanoseconds = parsed or (datetime.min, 0)  # noqa: DTZ901 - the platform's timestamps have no zone
    return (not origin.unit.forking, parsed is None, moment, nanoseconds)


def parse_timestamp(text: str) -> tuple[datetime, int] | None:
    """Parse the platform's zoneless timestamp (0 to 9 fraction digits) into (second, nanoseconds), or None."""
    whole, _, fraction = text.partition(".")
    if len(fraction) > 9 or (fraction and not (fraction.isascii() and fraction.isdigit())):  # noqa: PLR2004
        return None
    if "." in text and not fraction:
        return None
    try:
        moment = datetime.strptime(whole, "%Y-%m-%dT%H:%M:%S")  # noqa: DTZ007 - as above
    except ValueError:
        return None
    return moment, int(fraction.ljust(9, "0") or "0")
