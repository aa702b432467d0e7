"""What a system keeps of the ledger in memory: its extent, its debts, and what is stale. The rows are in the store."""

from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from msgspec import Struct

from maestro.rules.impact import UnitKey
from maestro.rules.ledger import Footprint, Reads

#: So many events held by the ledger alone, of the last so many, are an alarm.
HELD_ALONE_LIMIT: Final = 10
OF_THE_LAST: Final = 100


class Scope(StrEnum):
    """What the ledger keeps (setting `ledger.scope`)."""

    #: Writes of every commit from the first run on; reads of replays, and of commits that were not made in their turn.
    REPLAYS = "replays"
    #: Writes and reads of every commit.
    ALL = "all"
    OFF = "off"


class LatePolicy(StrEnum):
    """What becomes of stale units (setting `late.policy`)."""

    #: They are listed.
    REPORT = "report"
    #: A late reprocessing waits for a decision.
    ASK = "ask"
    #: A late reprocessing is approved at once.
    REPLAY = "replay"


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
    #: Which generation of late runs made it; 0: none did.
    generation: int = 0
    #: Its computation began after the entry of that number, so it cannot have missed it; 0: it is not known when.
    since: int = 0
    #: The ledger was whole up to this entry when it was asked whom it impacts: what later ones read is looked at again.
    asked: int = 0
    #: It was left in doubt when that entry was the last: later ones are of later commits; -1: it was not.
    in_doubt_since: int = -1
    #: When it was recorded (seconds since the epoch); 0: before that was kept.
    at: float = 0.0
    #: What it changed; None: it is to be fetched, too. Not stored.
    footprint: Footprint | None = None

    @property
    def incomplete(self) -> bool:
        """Whether something is to be fetched, or looked at again: something was committed since it was asked about."""
        return self.reads or self.footprint is None or self.asked < self.number - 1

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
    forking: bool = False
    instance_id: str = ""


class StaleState(StrEnum):
    """Why a unit is on the list of what is not known to be fresh."""

    #: It did not see a commit that changed a row it read.
    STALE = "stale"
    #: What it read is not known to Process Memory.
    UNVERIFIED = "unverified"
    #: What it read could not be fetched, or has left the ledger.
    NOT_REMEMBERED = "not_remembered"
    #: It missed a commit of a row that it wrote itself: its value replaced the other's.
    OVERWRITE = "overwrite"
    #: Somebody decided that it stays as it is.
    ACCEPTED = "accepted"
    #: It was left out of the run that should have replayed it.
    LEFT_OUT = "left_out"
    #: Discovery named it before its own commit: it is judged once that is made.
    NOT_FINISHED = "not_finished"


class MissedCommit(Struct, frozen=True):
    """A commit that a computation should have seen, and which generation of late runs made it."""

    number: int
    instance_id: str
    generation: int = 0


class Stale(Struct, frozen=True):
    """A unit whose result is not known to be fresh."""

    #: Grows from one note to the next.
    number: int
    unit: UnitKey
    forking: bool
    #: The computation that this is about: the instance itself, or its last replay.
    instance_id: str
    state: StaleState
    #: Seconds since the epoch.
    at: float
    #: The first of the commits that it missed.
    missed: tuple[MissedCommit, ...] = ()
    cause: str = ""
    #: Who accepted it or left it out, and why.
    user: str = ""
    reason: str = ""
    #: The late reprocessing that is to replay it.
    document_id: str = ""
    #: Commits that it may have missed: Discovery is asked about each once more, whether it names the unit.
    to_ask: tuple[MissedCommit, ...] = ()
    #: API core refuses for good to call the computation finished: so it stays listed, however fresh it is.
    hidden: bool = False
    #: It may have missed more commits than are kept of one that is named before its own.
    more: bool = False


@dataclass(slots=True)
class MissedQuestion:
    """Discovery is asked about a commit once more: does it name the unit, which may have missed it?"""

    unit: UnitKey
    missed: MissedCommit
    token: int = 0
    #: Calls in a row that failed.
    failed: int = 0

    @property
    def key(self) -> str:
        """Name the question; no key from outside begins so."""
        return "~not finished/" + "/".join(self.unit)

    @property
    def instance_id(self) -> str:
        """The instance whose commit Discovery is asked about."""
        return self.missed.instance_id


@dataclass(slots=True)
class Book:
    """The ledger's extent and debts."""

    #: A run has begun since the ledger was last empty: commits are taken in (scope `replays`).
    begun: bool = False
    #: Number of the last entry.
    last: int = 0
    #: Number of the entry from which on none is left out: after it some commits were not taken in, by another scope.
    whole_from: int = 0
    #: Rows it takes.
    size: int = 0
    #: Commits of which something is still to be fetched, oldest first.
    owed: dict[int, Owed] = field(default_factory=dict)
    #: Of the last events judged: whether the ledger alone held them. And how many it held in this life. Not stored.
    held: deque[bool] = field(default_factory=lambda: deque(maxlen=OF_THE_LAST))
    held_alone: int = 0
    #: Units whose results are not known to be fresh, oldest note first; how many there were, and left for newer ones.
    stale: dict[UnitKey, Stale] = field(default_factory=dict)
    noted: int = 0
    stale_left: int = 0
    #: Of these, the units that were named before their own commits, by instance.
    not_finished: dict[str, list[UnitKey]] = field(default_factory=dict)
    #: The same units by the instances whose commits named them.
    named_by: dict[str, dict[UnitKey, None]] = field(default_factory=dict)
    #: Of all, those whose notes leave first, in order, when there are too many: what is to be replayed leaves last.
    may_leave: dict[UnitKey, None] = field(default_factory=dict)
    #: Those of which Discovery is to be asked now what they missed, in order.
    to_ask: dict[UnitKey, None] = field(default_factory=dict)
    #: When the gathering of stale units ends (seconds since the epoch), and the token of what is asked then; 0: not.
    #: Neither is stored.
    late_due: float = 0.0
    late_token: int = 0
    #: Number of the entry being fetched; -1: the oldest entries are being looked for; 0: nothing is. Not stored.
    fetching: int = 0
    #: Looks for the oldest entries that failed in a row; while it is not due the next one waits. Not stored.
    looks_failed: int = 0
    look_put_off: bool = False
    #: The entry whose fetching an event waits for, and the one that takes longer. Not stored.
    waited_for: int = 0
    slow: int = 0

    def put(self, stale: Stale) -> None:
        """Put a note on the list, in the place of its unit's former one if there is one."""
        if stale.unit in self.stale:
            self._forget_names(self.stale[stale.unit])
        self.stale[stale.unit] = stale
        if stale.state is StaleState.STALE or stale.document_id:
            self.may_leave.pop(stale.unit, None)
        else:
            self.may_leave[stale.unit] = None
        if stale.state is StaleState.NOT_FINISHED:
            self.not_finished.setdefault(stale.unit[0], []).append(stale.unit)
            for commit in stale.missed:
                self.named_by.setdefault(commit.instance_id, {})[stale.unit] = None

    def take_off(self, unit: UnitKey) -> Stale:
        """Take a unit off the list; return what was said of it."""
        stale = self.stale.pop(unit)
        self.may_leave.pop(unit, None)
        self._forget_names(stale)
        return stale

    def _forget_names(self, stale: Stale) -> None:
        if stale.state is not StaleState.NOT_FINISHED:
            return
        units = self.not_finished[stale.unit[0]]
        units.remove(stale.unit)
        if not units:
            del self.not_finished[stale.unit[0]]
        for commit in stale.missed:
            named = self.named_by[commit.instance_id]
            del named[stale.unit]
            if not named:
                del self.named_by[commit.instance_id]

    @property
    def first_to_leave(self) -> UnitKey:
        """The unit whose note leaves when there are too many."""
        return next(iter(self.may_leave or self.stale))

    @property
    def whole(self) -> int:
        """Number of the entry up to which nothing is owed: a question put now may miss the reads of later ones."""
        return min(self.owed, default=self.last + 1) - 1
