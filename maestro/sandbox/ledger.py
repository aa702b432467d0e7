"""What every instance read and wrote, and from it: which finished ones a new commit makes wrong. Pure; no I/O.

`impacted` knows all, as no real Discovery does (`Traits.discovery_knows_all`); `stale` is what the demo is judged by.

A *unit* is one (instance, branch), as in the rules: an instance of scope `execution` that finished on its own
branch, or the copy of one that a replay made on another branch. A replay is not listed itself: what it read
takes the place of what its unit read before, and so the original is found again by the next correction.

Not covered: an instance that first runs on `master` after a branch got rows of its own in what it reads. The branch
sees the trunk's result then, for Discovery is asked for finished instances only.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from maestro.events import MASTER
from maestro.sandbox.rows import Row


class Key(NamedTuple):
    """Names one row, on no branch in particular."""

    entity: str
    key: str


class Unit(NamedTuple):
    """An instance of scope `execution`, on the branch that its result is for."""

    instance: str
    branch: str


@dataclass(frozen=True, slots=True)
class ReadRecord:
    """One read: which row was found, on which branch, in which version. 0: there was none (looked for on `branch`)."""

    key: Key
    branch: str
    version: int


@dataclass(frozen=True, slots=True)
class Run:
    """One instance that ran: what it read, and what its commit writes."""

    instance: str
    system: str
    process: str
    branch: str
    scope: str
    reprocessable: bool
    reads: tuple[ReadRecord, ...]
    writes: frozenset[Key]
    #: The unit that this instance is a replay of; None in scope `execution`.
    replay_of: Unit | None = None
    tag: str = ""
    #: When it was started, in seconds since the epoch: before it read anything.
    started: float = 0.0
    #: The rows in its dataset: those it read, and those it found where it writes.
    dataset: tuple[Row, ...] = ()
    #: What its `.done` event hands on to the operation that this starts; None: nothing.
    handed_on: Mapping[str, Any] | None = None

    @property
    def unit(self) -> Unit:
        """The unit it stands for."""
        return self.replay_of or Unit(self.instance, self.branch)


@dataclass(slots=True)
class _SystemLedger:
    """One system's finished units."""

    #: The run whose reads and writes hold for the unit, in the order the units first finished.
    holding: dict[Unit, Run] = field(default_factory=dict)
    readers: defaultdict[Key, set[Unit]] = field(default_factory=lambda: defaultdict(set))
    owners: dict[tuple[Key, str], Unit] = field(default_factory=dict)
    #: Instances that have a row in their dataset, finished or not, by its rid.
    saw: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))


class Ledger:
    """The runs of all systems."""

    def __init__(self) -> None:
        self._runs: dict[str, Run] = {}
        self._finished: set[str] = set()
        self._systems: defaultdict[str, _SystemLedger] = defaultdict(_SystemLedger)

    def record(self, run: Run) -> None:
        """Keep a run whose data is not persisted yet."""
        self._runs[run.instance] = run
        saw = self._systems[run.system].saw
        for row in run.dataset:
            saw[row.rid].append(run.instance)

    def run(self, instance: str) -> Run | None:
        """Return an instance's run."""
        return self._runs.get(instance)

    def saw(self, system: str, rid: str) -> list[Run]:
        """Return the executions that have a row in their dataset, in the order in which they computed."""
        found = (self._runs[instance] for instance in self._systems[system].saw.get(rid, ()))
        return [run for run in found if run.replay_of is None]

    def is_finished(self, instance: str) -> bool:
        """Whether the instance's data is persisted."""
        return instance in self._finished

    def stale(self, now: Callable[[Run, Row], Row | None]) -> list[Unit]:
        """Return the units whose last computation read a row that somebody else has changed since.

        Rows that it wrote itself do not count: it was built upon since then, or overwritten. `now(run, row)` returns
        what the run's branch sees today in that row's place.
        """
        return [
            unit
            for books in self._systems.values()
            for unit, run in books.holding.items()
            if any(_moved(run, row, now(run, row)) for row in run.dataset)
        ]

    def finish(self, instance: str) -> None:
        """The instance's data is persisted: from now on its unit may be impacted."""
        run = self._runs[instance]
        self._finished.add(instance)
        if not run.reprocessable:
            return
        books = self._systems[run.system]
        self._forget_reads(books, run.unit)
        books.holding[run.unit] = run
        for read in run.reads:
            books.readers[read.key].add(run.unit)
        for key in run.writes:
            before = books.owners.get((key, run.branch))
            if before is not None and before != run.unit:
                # Its result was overwritten by another instance's: to replay it would change nothing any more.
                self._forget_reads(books, before)
                books.holding.pop(before, None)
            books.owners[key, run.branch] = run.unit

    def impacted(
        self, system: str, branch: str, changed: Iterable[Key], hides: Callable[[Key, str], bool]
    ) -> list[tuple[Unit, bool]]:
        """Return the units whose result a commit of the `changed` rows on `branch` would change.

        Each with whether it is *forking*: a copy of an instance that ran on another branch. `hides(key, branch)`
        says whether a branch has a row of its own there, so that it does not see `master`'s.
        """
        books = self._systems[system]
        found: dict[Unit, None] = {}
        for key in changed:
            for reader in books.readers.get(key, ()):
                if key in books.holding[reader].writes:
                    continue  # a replay would build on its own result
                unit = self._as_impacted(books, reader, key, branch, hides)
                if unit is not None:
                    found[unit] = None
        if not found:
            return []
        order = {unit: position for position, unit in enumerate(books.holding)}
        ordered = sorted(found, key=lambda unit: (order.get(unit, len(order)), unit))
        return [(unit, self._runs[unit.instance].branch != unit.branch) for unit in ordered]

    @staticmethod
    def _as_impacted(
        books: _SystemLedger, reader: Unit, key: Key, branch: str, hides: Callable[[Key, str], bool]
    ) -> Unit | None:
        """Return the unit to replay when `key`, which `reader` read, changes on `branch`; None when there is none."""
        if reader.branch == branch:
            return reader
        if branch == MASTER:
            return None if hides(key, reader.branch) else reader
        if reader.branch != MASTER:
            return None
        results = books.holding[reader].writes
        has_own_result = any((result, branch) in books.owners for result in results)
        return None if has_own_result else Unit(reader.instance, branch)

    @staticmethod
    def _forget_reads(books: _SystemLedger, unit: Unit) -> None:
        held = books.holding.get(unit)
        for read in held.reads if held else ():
            books.readers[read.key].discard(unit)


def _moved(run: Run, row: Row, today: Row | None) -> bool:
    if Key(row.entity, row.key) in run.writes:
        return False
    return today is None or (today.version != row.version and today.instance != run.instance)
