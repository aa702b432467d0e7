"""How much runs grow: of each kind of correction the units that were shown, and the replays that were made. Pure.

A cascade adds units while a run is under way, so the units of a pending reprocessing are not all. What past runs of the
same event name became says how many there will be; without enough of them nothing is said, and neither is of a
reprocessing that shows fewer or more units than any of them: whether a run grows by so many replays, or so many times,
is not known.
"""

from dataclasses import dataclass, field
from statistics import median

from maestro.rules.document import FIRST, Document
from maestro.rules.pace import ENOUGH, MAX_NAMES
from maestro.rules.unit import name_of

#: Runs of one event name that are remembered, the newest.
REMEMBERED = 20


@dataclass(frozen=True, slots=True)
class Run:
    """A run that finished: units without those that cascades added, and replays that were made."""

    shown: int
    made: int

    @property
    def growth(self) -> float:
        """How many times more replays were made than shown."""
        return self.made / self.shown

    def foretold(self, shown: int) -> tuple[float, float]:
        """What a run that shows so many makes, if it grows as many times as this one, or by as many replays."""
        return shown * self.growth, shown + self.made - self.shown


@dataclass(frozen=True, slots=True)
class Likely:
    """How many replays there will be in all: usually, at least and at most, by how many runs of which event name."""

    units: int
    least: int
    most: int
    runs: int
    name: str
    #: The run that grew most.
    surprise: Run


@dataclass(slots=True)
class Growth:
    """The runs of one system that finished, by the event name of what was corrected."""

    by_name: dict[str, tuple[Run, ...]] = field(default_factory=dict)

    def finished(self, doc: Document) -> str:
        """Take in a run that finished; return the event name whose runs changed, empty when there is none.

        One that somebody ended before all of it was replayed says nothing.
        """
        if any(not unit.settled for unit in doc.order):
            return ""
        name, shown = name_of(doc.origin), sum(unit.cause == FIRST for unit in doc.order)
        if not name or shown < 1 or (name not in self.by_name and len(self.by_name) >= MAX_NAMES):
            return ""
        self.by_name[name] = (*self.by_name.get(name, ()), Run(shown, doc.replayed))[-REMEMBERED:]
        return name

    def likely(self, doc: Document) -> Likely | None:
        """Return what a reprocessing that is not decided will become; None without enough runs to tell by."""
        name, shown = name_of(doc.origin), doc.total
        runs = self.by_name.get(name, ())
        if len(runs) < ENOUGH or not min(run.shown for run in runs) <= shown <= max(run.shown for run in runs):
            return None
        grown = [max(shown, round(one)) for run in runs for one in run.foretold(shown)]
        usually = round(median(grown))
        return Likely(usually, min(grown), max(grown), len(runs), name, max(runs, key=lambda run: run.growth))
