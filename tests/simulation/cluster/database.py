"""The database of a simulated cluster: the real `MemoryNodes`, the systems' rows, and fail-overs.

A commit that is not durable is lost in a fail-over, unless a durable step came after it, for a standby has all that was
written before what it confirmed. Steps of ownership are durable.
"""

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

from maestro.cluster.node import Lease, Node
from maestro.store.nodes import MemoryNodes, Seen
from tests.simulation.cluster.watch import Watch

T = TypeVar("T")
#: A row's key: its table and its event.
Key = tuple[str, str]


class Standing(NamedTuple):
    """What a store knows of its system: who opened it last, and its last commit."""

    epoch: int
    life: str
    number: int


class Write(NamedTuple):
    """One commit of a system; `locked`: what it makes of the lock, None: nothing."""

    puts: Mapping[Key, str]
    gone: frozenset[Key] = frozenset()
    locked: bool | None = None


@dataclass
class Stored:
    """A system's rows, its lock, and who opened it last."""

    life: str = ""
    number: int = 0
    locked: bool = False
    rows: dict[Key, str] = field(default_factory=dict)

    def copy(self) -> "Stored":
        return Stored(self.life, self.number, self.locked, dict(self.rows))


def step(work: Coroutine[Any, Any, T]) -> T:
    """Return what a call of `MemoryNodes` returns: it never waits."""
    try:
        work.send(None)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]
    raise AssertionError("it waits")


class Database:
    """What the nodes share. Each method is one statement."""

    def __init__(self, watch: Watch) -> None:
        self.up = True
        self.nodes = MemoryNodes()
        self.stored: dict[str, Stored] = {}
        #: The state in which each system came to rest last.
        self.marks: dict[str, tuple[str, int]] = {}
        self._watch = watch
        #: Called after each step of ownership.
        self.on_change: Callable[[], None] = lambda: None
        #: What systems were before their commits since the last durable step, the latest last.
        self._unsynced: list[tuple[str, Stored]] = []

    # --- ownership ------------------------------------------------------------------------------------------------

    def join(self, node: Node) -> int | None:
        return self._changed(step(self.nodes.join(node)))

    def beat(self, lease: Lease, number: int) -> bool:
        return self._changed(step(self.nodes.beat(lease, number)))

    def look(self) -> Seen:
        return step(self.nodes.look())

    def mine(self, lease: Lease) -> dict[str, int]:
        return step(self.nodes.mine(lease))

    def break_lease(self, lease: Lease, beat: int) -> bool:
        return self._changed(step(self.nodes.break_lease(lease, beat)))

    def claim(self, lease: Lease, system_ids: tuple[str, ...]) -> dict[str, int]:
        return self._changed(step(self.nodes.claim(lease, system_ids)))

    def release(self, lease: Lease, system_id: str, claim: int) -> bool:
        """As `Nodes.release`; return whether that system was given up by it."""
        epoch = self.nodes.systems[system_id].epoch
        self._changed(step(self.nodes.release(lease, system_id, claim)))
        return self.nodes.systems[system_id].epoch != epoch

    def leave(self, lease: Lease) -> None:
        self._changed(step(self.nodes.leave(lease)))

    def drain(self, node: str, *, draining: bool) -> None:
        self._changed(step(self.nodes.drain(node, draining=draining)))

    def _changed(self, answer: T) -> T:
        """A step of ownership is made, and is durable."""
        self._unsynced.clear()
        self.on_change()
        return answer

    def holds(self, lease: Lease) -> bool:
        """Whether that lease is held: the truth, which no node can ask for."""
        node = self.nodes.nodes.get(lease.node)
        return node is not None and node.holds_lease and node.lease == lease

    # --- stores ---------------------------------------------------------------------------------------------------

    def open(self, lease: Lease, system_id: str, life: str) -> tuple[Standing, Stored] | None:
        """Make `life` the owner of a store, and return a copy of it; None: the system is not that lease's."""
        owned = self.nodes.systems.get(system_id)
        if owned is None or (owned.node, owned.incarnation) != lease or not self.holds(lease):
            return None
        self._unsynced.clear()
        owned.epoch += 1
        stored = self.stored.setdefault(system_id, Stored())
        stored.life = life
        return Standing(owned.epoch, life, stored.number), stored.copy()

    def rested(self, lease: Lease, system_id: str, state: Standing) -> bool:
        """Keep the mark of a system at rest that is that lease's, and in that state; return whether it is kept."""
        owned, stored = self.nodes.systems[system_id], self.stored[system_id]
        if (owned.node, owned.incarnation) != lease or (stored.life, stored.number) != state[1:]:
            return False
        self._unsynced.clear()
        self.marks[system_id] = stored.life, stored.number
        return True

    def at_rest(self, lease: Lease, system_id: str) -> bool:
        """Whether a system of that lease is at rest: its store is as it was when it came to rest."""
        owned, stored = self.nodes.systems[system_id], self.stored.get(system_id)
        return (
            stored is not None
            and (owned.node, owned.incarnation) == lease
            and self.marks.get(system_id) == (stored.life, stored.number)
        )

    def commit(self, system_id: str, owner: Standing, write: Write, *, durable: bool) -> bool:
        """Carry a commit out if its owner still stands, once however often it comes; return whether it is done."""
        stored = self.stored[system_id]
        stands = self.stands(system_id)
        if stands == owner._replace(number=owner.number + 1):
            return True
        if not self.guard(stands, owner):
            before = stored.copy()
            self.refused(stored, write)
            self._watch.refused(system_id, before == stored)
            return False
        self._watch.accepted(system_id, owner.life, stored.life)
        self._unsynced.append((system_id, stored.copy()))
        stored.number += 1
        stored.rows.update(write.puts)
        for key in write.gone:
            stored.rows.pop(key, None)
        if write.locked is not None:
            stored.locked = write.locked
            if not write.locked:
                self._watch.unlocked(system_id)
        if durable:
            self._unsynced.clear()
        return True

    def stands(self, system_id: str) -> Standing:
        stored = self.stored[system_id]
        return Standing(self.nodes.systems[system_id].epoch, stored.life, stored.number)

    def guard(self, stands: Standing, owner: Standing) -> bool:
        """Whether a commit is its owner's to make."""
        return stands == owner

    def refused(self, stored: Stored, write: Write) -> None:
        """What a commit that is refused does to the rows: nothing."""

    def locked(self, system_id: str) -> bool | None:
        """What the row says of a lock; None: nothing yet."""
        return self.stored[system_id].locked if system_id in self.stored else None

    # --- fail-over ------------------------------------------------------------------------------------------------

    @property
    def has_unsynced(self) -> bool:
        """Whether a fail-over at this moment loses commits."""
        return bool(self._unsynced)

    def fail(self) -> int:
        """The primary dies, and a standby is to be promoted: return how many commits are lost."""
        self.up = False
        lost = len(self._unsynced)
        for system_id, before in reversed(self._unsynced):
            self.stored[system_id] = before
        self._unsynced.clear()
        return lost
