"""The nodes of a cluster and who owns which system, as all nodes see it: `Nodes`.

A system is owned by a lease: a node and its incarnation. Incarnations are only ever raised, so a system is *free* when
nobody owns it, or when its owner's incarnation is lower than that node's is by now. Everything here is durable when it
is answered, and survives a fail-over of the database as its commits do.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final, NamedTuple, Protocol

from maestro.cluster.node import Lease, Node
from maestro.cluster.waits import Why

#: A node that waits for no system.
NOTHING: Final[Mapping[str, Why]] = MappingProxyType({})


class Seen(NamedTuple):
    """What one look finds: all nodes, by name, and the systems that are free."""

    nodes: tuple[Node, ...]
    free: frozenset[str]


class Nodes(Protocol):
    """The tables of a cluster. Each call is one atomic step.

    Raises:
        StoreAway: whether it was done is not known.
        StoreError: it cannot be done.
    """

    async def join(self, node: Node) -> int | None:
        """Begin a lease of that node, with beat 1, and return its incarnation; None: that name's lease is still held.

        `incarnation`, `beat`, `joined` and what only a lease has are not read. A new lease drains not.
        """

    async def beat(
        self, lease: Lease, number: int, *, holds_events: bool = False, waits_for: Mapping[str, Why] = NOTHING
    ) -> bool:
        """Renew a lease, if it is held and `number` is higher than its last one; return whether it was.

        `holds_events`, `waits_for`: what the others are to see of the node (`Node`).
        """

    async def look(self) -> Seen:
        """See who is there, and what is free."""

    async def mine(self, lease: Lease) -> dict[str, int]:
        """Return the systems that a lease owns, each with the number of its claim."""

    async def rest_marks(self, lease: Lease, system_ids: Iterable[str]) -> dict[str, bytes]:
        """Return the marks of those of these systems that the lease owns and that are at rest (`Stores.rested`)."""

    async def break_lease(self, lease: Lease, beat: int) -> bool:
        """End another node's lease, if its last beat is still `beat`, and free its systems; return whether it was.

        Its former owners are fenced with the same step: no commit of theirs is taken from then on.
        """

    async def claim(self, lease: Lease, system_ids: Iterable[str]) -> dict[str, int]:
        """Make those systems the lease's that are free or not known yet, if it is held; return which these are.

        Each has the number of this claim, which no earlier or later claim of that system has.
        """

    async def release(self, lease: Lease, system_id: str, claim: int) -> None:
        """Free a system of this lease, whose process has ended. One that is not its own by that claim is left alone."""

    async def leave(self, lease: Lease) -> None:
        """End one's own lease and free its systems, whose processes have ended. An ended one is left alone."""

    async def drain(self, node: str, *, draining: bool) -> bool:
        """Have a node hand over what it owns, or take systems again; return whether it holds a lease."""

    async def owners(self, system_ids: Iterable[str]) -> dict[str, Node]:
        """Return who owns these systems, without those that are free or unknown."""

    async def close(self) -> None:
        """Let go of the connections."""


@dataclass
class OwnedSystem:
    """A system's row in memory, as far as ownership goes."""

    epoch: int = 1
    node: str = ""
    incarnation: int = 0
    claim: int = 0


@dataclass
class MemoryNodes(Nodes):
    """`Nodes` without a database, for tests and simulation. Its calls never wait."""

    nodes: dict[str, Node] = field(default_factory=dict)
    systems: dict[str, OwnedSystem] = field(default_factory=dict)
    #: The marks of the systems at rest.
    marks: dict[str, bytes] = field(default_factory=dict)

    async def join(self, node: Node) -> int | None:
        """See `Nodes.join`."""
        before = self.nodes.get(node.name)
        if before is not None and before.holds_lease:
            return None
        incarnation = before.incarnation + 1 if before is not None else 1
        joined = max((one.joined for one in self.nodes.values()), default=0) + 1
        self.nodes[node.name] = replace(
            node, incarnation=incarnation, beat=1, joined=joined, draining=False, holds_events=False, waits_for=()
        )
        return incarnation

    async def beat(
        self, lease: Lease, number: int, *, holds_events: bool = False, waits_for: Mapping[str, Why] = NOTHING
    ) -> bool:
        """See `Nodes.beat`."""
        node = self._held(lease)
        if node is None or node.beat >= number:
            return False
        told = tuple((system, str(why)) for system, why in waits_for.items())
        self.nodes[node.name] = replace(node, beat=number, holds_events=holds_events, waits_for=told)
        return True

    async def look(self) -> Seen:
        """See `Nodes.look`."""
        free = frozenset(system_id for system_id, system in self.systems.items() if self._free(system))
        return Seen(tuple(self.nodes[name] for name in sorted(self.nodes)), free)

    async def mine(self, lease: Lease) -> dict[str, int]:
        """See `Nodes.mine`."""
        return {one: system.claim for one, system in self.systems.items() if (system.node, system.incarnation) == lease}

    async def rest_marks(self, lease: Lease, system_ids: Iterable[str]) -> dict[str, bytes]:
        """See `Nodes.rest_marks`."""
        mine = await self.mine(lease)
        return {one: self.marks[one] for one in system_ids if one in mine and one in self.marks}

    async def break_lease(self, lease: Lease, beat: int) -> bool:
        """See `Nodes.break_lease`."""
        node = self._held(lease)
        if node is None or node.beat != beat:
            return False
        self._end(node)
        return True

    async def claim(self, lease: Lease, system_ids: Iterable[str]) -> dict[str, int]:
        """See `Nodes.claim`."""
        if self._held(lease) is None:
            return {}
        got = [one for one in system_ids if one not in self.systems or self._free(self.systems[one])]
        for system_id in got:
            epoch = self.systems[system_id].epoch + 1 if system_id in self.systems else 1
            self.systems[system_id] = OwnedSystem(epoch, *lease, epoch)
        return {system_id: self.systems[system_id].claim for system_id in got}

    async def release(self, lease: Lease, system_id: str, claim: int) -> None:
        """See `Nodes.release`."""
        system = self.systems.get(system_id)
        if system is not None and (system.node, system.incarnation, system.claim) == (*lease, claim):
            self._set_free(system)

    async def leave(self, lease: Lease) -> None:
        """See `Nodes.leave`."""
        if (node := self._held(lease)) is not None:
            self._end(node)

    async def drain(self, node: str, *, draining: bool) -> bool:
        """See `Nodes.drain`."""
        if node not in self.nodes or not self.nodes[node].holds_lease:
            return False
        self.nodes[node] = replace(self.nodes[node], draining=draining)
        return True

    async def owners(self, system_ids: Iterable[str]) -> dict[str, Node]:
        """See `Nodes.owners`."""
        known = [one for one in system_ids if one in self.systems and not self._free(self.systems[one])]
        return {one: self.nodes[self.systems[one].node] for one in known}

    async def close(self) -> None:
        """There is nothing to let go of."""

    def _held(self, lease: Lease) -> Node | None:
        node = self.nodes.get(lease.node)
        return node if node is not None and node.holds_lease and node.lease == lease else None

    def _end(self, node: Node) -> None:
        self.nodes[node.name] = replace(
            node, incarnation=node.incarnation + 1, beat=0, draining=False, holds_events=False, waits_for=()
        )
        for system in self.systems.values():
            if (system.node, system.incarnation) == node.lease:
                self._set_free(system)

    def _free(self, system: OwnedSystem) -> bool:
        owner = self.nodes.get(system.node)
        return not system.node or (owner is not None and system.incarnation < owner.incarnation)

    @staticmethod
    def _set_free(system: OwnedSystem) -> None:
        system.epoch, system.node, system.incarnation = system.epoch + 1, "", 0
