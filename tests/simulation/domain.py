"""The model of a system's data: instances read entities and write entities, on branches; Discovery knows who read what.

A branch sees the trunk's value of an entity until it has one of its own. An *input* instance reads nothing and
sets a shared entity; a *derived* one reads some and writes the one entity that is its own: so every cascade is
finite, and what the data should be can be computed from scratch.
"""

from collections.abc import Coroutine
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeVar
from zlib import crc32

from maestro.events import MASTER
from maestro.rules.impact import Impacted
from maestro.rules.ledger import Footprint, Read, Reads, base_key, writer_key

Place = tuple[str, str]
T = TypeVar("T")
FINISHED = "finished"


@cache
def row(entity: str) -> int:
    """Return the ledger's key of an entity."""
    return base_key("entity", entity, "")


def drive(work: Coroutine[Any, Any, T]) -> T:
    """Run what waits for nothing but its turn."""
    try:
        while True:
            work.send(None)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]


@dataclass
class Instance:
    """One run of a process: the original one, or (`of`, `doc`) a replay of it."""

    id: str
    branch: str
    reads: tuple[str, ...]
    writes: str
    seed: int
    origin: bytes
    is_fork: bool = False
    #: When it started.
    began: float = 0.0
    of: str = ""
    doc: str = ""
    send: str = ""
    #: What it read and made of it, once it has computed.
    used: dict[str, int] = field(default_factory=dict)
    result: int = 0
    #: Of each row that it read: the branch of the copy, and who wrote that version.
    saw: dict[str, tuple[str, str]] = field(default_factory=dict)
    #: When it started; it reads a little later.
    started_at: float = -1.0
    #: Domain has its data, and no persist event of it ever came here.
    unheard: bool = False
    #: Its commit changed a row that was there.
    changes: bool = False
    #: When Discovery last answered about it.
    asked_at: float = -1.0
    #: Tries of API core that had failed then, in the same life; None: not known.
    asked_mark: int | None = None
    #: Units that Discovery kept to itself then, for API core was away.
    kept_back: frozenset[tuple[str, str]] = frozenset()
    #: It was judged before others were visible, for it only inserts rows.
    only_inserts: bool = False
    #: Maestro could notice that: a call of its own to API core failed, too.
    noticed: bool = False
    #: Who Discovery last said it impacts.
    impacts: tuple[Impacted, ...] = ()

    @property
    def drops_send(self) -> bool:
        """Whether the platform drops the name of the send from this process's events, as it may."""
        return self.seed % 5 == 0

    @property
    def is_total(self) -> bool:
        """Whether it reads what it writes, as a running total does."""
        return self.writes in self.reads

    @property
    def trouble(self) -> str:
        """What keeps an instance from ever being replayed, if anything does."""
        return {0: "no origin", 1: "no subscriber", 2: "fails"}.get(self.seed % 40, "")

    @property
    def original(self) -> str:
        """The instance whose result this is."""
        return self.of or self.id


@dataclass(frozen=True)
class Value:
    """What stands at a place: the value, whose it is, and who put it there when."""

    value: int
    by: Instance
    at: float
    asked_at: float
    #: The reprocessing it was committed in; empty for a commit of flow 1.
    doc: str
    used: dict[str, int]


class Data:
    """Entities of one system, by (entity, branch)."""

    def __init__(self) -> None:
        self.values: dict[Place, Value] = {}
        self.instances: dict[str, Instance] = {}
        #: What API core calls each instance.
        self.statuses: dict[str, str] = {}
        #: By place: who wrote it last, and when an execution last did (a replay leaves that as it is).
        self.writers: dict[Place, str] = {}
        self.modified_at: dict[Place, float] = {}
        #: Discovery sees what the real one does, and no more.
        self.shortsighted = False
        #: Seconds that API core's clock, by which instances start, is ahead of Domain's.
        self.clock_ahead = 0.0

    def seen(self, entity: str, branch: str) -> Value | None:
        """Return what a reader on `branch` sees."""
        return self.values.get((entity, branch)) or self.values.get((entity, MASTER))

    def outcome(self, instance: Instance, branch: str) -> tuple[dict[str, int], int]:
        """Return what an instance would read and make of it now."""
        used = {}
        for entity in instance.reads:
            seen = self.seen(entity, branch)
            used[entity] = seen.value if seen else 0
        return used, crc32(repr((instance.seed, sorted(used.items()))).encode())

    def compute(self, instance: Instance) -> None:
        """Have an instance read and compute."""
        instance.used, instance.result = self.outcome(instance, instance.branch)
        for entity in instance.used:
            branch = instance.branch if (entity, instance.branch) in self.values else MASTER
            instance.saw[entity] = (branch, self.writers.get((entity, branch), ""))

    def commit(self, instance: Instance, at: float, doc: str) -> None:
        """Domain persist."""
        place = (instance.writes, instance.branch)
        instance.changes = instance.changes or self.seen(*place) is not None
        self.writers[place] = instance.id
        if not instance.of:
            self.modified_at[place] = at
        elif place not in self.modified_at:  # a copy has the trunk's
            self.modified_at[place] = self.modified_at.get((instance.writes, MASTER), at)
        before = self.values.get(place)
        if before is not None and before.value == instance.result and before.used == instance.used:
            return
        self.values[place] = Value(instance.result, instance, at, instance.asked_at, doc, instance.used)

    def impacted(self, instance: Instance, *, committed: bool = False) -> tuple[Impacted, ...]:
        """Discovery: whose results would change if this instance's data were persisted; of the finished ones.

        Asked about one that is `committed` it says whose results the commit does not agree with.
        """
        entity, branch = instance.writes, instance.branch
        now = self.seen(entity, branch)
        if now is not None and now.value == instance.result and not committed:
            return ()
        found = []
        for (other, place_branch), value in self.values.items():
            if entity not in value.used or self.statuses.get(value.by.original) != FINISHED:
                continue
            if self.shortsighted and self._overlooks(value, entity, branch):
                continue
            if committed and value.used[entity] == instance.result:
                continue
            if branch == MASTER:
                if place_branch == MASTER or (entity, place_branch) not in self.values:
                    found.append(Impacted(value.by.original, place_branch))
            elif place_branch == branch:
                found.append(Impacted(value.by.original, branch))
            elif place_branch == MASTER and (other, branch) not in self.values:
                found.append(Impacted(value.by.original, branch, forking=True))
        return tuple(found)

    def _overlooks(self, value: Value, entity: str, branch: str) -> bool:
        """Whether the real Discovery would not name whose value this is (contracts: Discovery).

        It lists executions that started after the row's last change; replays never.
        """
        place = (entity, branch) if (entity, branch) in self.values else (entity, MASTER)
        started_at = value.by.started_at + self.clock_ahead
        return bool(value.by.of) or started_at <= self.modified_at.get(place, -1.0)

    def footprint(self, instance: Instance) -> Footprint:
        """Return what an instance's commit would change: a row that is there, on its branch or the trunk."""
        if self.seen(instance.writes, instance.branch) is None:
            return Footprint((), 1)
        return Footprint(((instance.branch, (row(instance.writes),)),))

    def reads(self, instance: Instance) -> Reads:
        """Return what an instance read."""
        return Reads(
            tuple(
                Read(row(entity), branch, writer_key(by), wrote=entity == instance.writes)
                for entity, (branch, by) in instance.saw.items()
                if by
            )
        )

    def stale(self) -> list[tuple[Place, Value, list[Value]]]:
        """Return every derived value that is not what its inputs make of it now, with the inputs that differ."""
        wrong = []
        for (entity, branch), value in self.values.items():
            if value.by.is_total:
                continue  # what it read is gone: it wrote that itself
            used, result = self.outcome(value.by, branch)
            if result != value.value:
                seen = [self.seen(name, branch) for name in used if used[name] != value.used[name]]
                wrong.append(((entity, branch), value, [cause for cause in seen if cause is not None]))
        return wrong
