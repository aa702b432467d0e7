"""Which instances an event's data would change, and in which order they are replayed (semantics, flow 1).

Pure. A *unit* is one (instance, branch) to replay.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Final

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
    #: Who names it. The unit is the same in either case.
    named: str = field(default=DISCOVERY, compare=False)

    @property
    def key(self) -> UnitKey:
        """What makes it one unit."""
        return (self.instance_id, self.branch)


@dataclass(frozen=True, slots=True)
class Origin:
    """An impacted unit with its instance's origin event (JSON as Process Memory sent it) and that event's timestamp.

    The event is empty when Process Memory has none: such a unit cannot be replayed.
    """

    unit: Impacted
    event: bytes
    timestamp: str
    #: API core calls its instance finished, or does not know it; else its own commit is still to come.
    finished: bool = True
    #: Its place in the order of replay: made with it, for thousands are made one by one, and sorted in one step.
    rank: "tuple[bool, bool, datetime, int, UnitKey]" = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        parsed = parse_timestamp(self.timestamp)
        moment, nanoseconds = parsed or (datetime.min, 0)  # noqa: DTZ901 - moments are compared as UTC, without a zone
        rank = (not self.unit.forking, parsed is None, moment, nanoseconds, self.unit.key)
        object.__setattr__(self, "rank", rank)


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


def replay_order(origins: Iterable[Origin]) -> tuple[Origin, ...]:
    """Order units for replay: forking first, then by origin timestamp (those that do not parse last).

    Ties go by instance id and branch: Discovery's own order differs from call to call.
    """
    return tuple(sorted(origins, key=attrgetter("rank")))


_TIMESTAMP: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]{1,9}))?(Z|([+-])([0-9]{2}):?([0-5][0-9]))?"
)


def parse_timestamp(text: str) -> tuple[datetime, int] | None:
    """Parse an event's timestamp (0 to 9 fraction digits) into (second in UTC, nanoseconds), or None.

    With `Z` or an offset it is the moment that these name; the platform's own have neither, and are UTC.
    """
    found = _TIMESTAMP.fullmatch(text)
    if found is None:
        return None
    whole, fraction, _, sign, hours, minutes = found.groups()
    try:
        moment = datetime.fromisoformat(whole)  # `strptime` takes twenty times as long
        if sign:
            offset = timedelta(hours=int(hours), minutes=int(minutes))
            moment = moment - offset if sign == "+" else moment + offset
    except (ValueError, OverflowError):
        return None
    return moment, int((fraction or "").ljust(9, "0"))


def odd_timestamp(text: str) -> str:
    """Say how an event's timestamp is not as the platform writes them, and what follows; empty when it is."""
    if parse_timestamp(text) is None:
        return "does not parse: its instance is replayed after the others" if text else ""
    found = _TIMESTAMP.fullmatch(text)
    return "names a zone: it is taken for the moment it names" if found and found[3] else ""
