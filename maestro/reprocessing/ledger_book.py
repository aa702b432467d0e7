"""What a system keeps of the ledger in memory: its extent, and what is owed to it. The rows are in the store."""

from dataclasses import dataclass, field
from enum import StrEnum

from msgspec import Struct

from maestro.reprocessing.impact import UnitKey
from maestro.reprocessing.ledger import Footprint, Reads


class Scope(StrEnum):
    """What the ledger keeps (setting `ledger.scope`)."""

    #: Writes of every commit from the first run on; reads of replays, and of commits that were not made in their turn.
    REPLAYS = "replays"
    #: Writes and reads of every commit.
    ALL = "all"
    OFF = "off"


class Owed(Struct, frozen=True):
    """A commit of which something is still to be fetched."""

    #: Place in the log.
    number: int
    #: Whose commit it is.
    instance_id: str
    #: Whose result it is: a replay's is that of the unit it replays.
    unit: UnitKey
    forking: bool
    #: What its computation read is to be fetched.
    reads: bool
    #: What it changed; None: it is to be fetched, too. Not stored.
    footprint: Footprint | None = None

    @property
    def branch(self) -> str:
        """The branch it was computed and committed on."""
        return self.unit[1]


class Replaced(Struct, frozen=True):
    """The former entry of a unit, whose reads give way, and how many they are."""

    number: int
    reads: int


class Entry(Struct, frozen=True):
    """One commit as the ledger keeps it."""

    of: Owed
    #: None: it could not be known which rows it changed.
    footprint: Footprint | None
    #: None: they are not wanted, or could not be known.
    reads: Reads | None = None
    replaces: Replaced | None = None

    @property
    def size(self) -> int:
        """Rows of the ledger that it takes, itself included."""
        changed = sum(len(rows) for _, rows in self.footprint.changed) if self.footprint else 0
        return 1 + changed + (len(self.reads.rows) if self.reads else 0)


class Oldest(Struct, frozen=True):
    """An entry that leaves, with the rows that it takes, and the unit whose reads it has, if it has any."""

    number: int
    size: int
    unit: UnitKey | None


@dataclass(slots=True)
class Book:
    """The ledger's extent and debts."""

    #: A run has begun since the ledger was last empty: commits are taken in (scope `replays`).
    begun: bool = False
    #: Number of the last entry.
    last: int = 0
    #: Rows it takes.
    size: int = 0
    #: Units of which nothing is remembered: it could not be fetched, or was the oldest.
    not_remembered: int = 0
    #: Commits of which something is still to be fetched, oldest first.
    owed: dict[int, Owed] = field(default_factory=dict)
    #: Number of the entry being fetched; -1: the oldest entries are being looked for; 0: nothing is. Not stored.
    fetching: int = 0
