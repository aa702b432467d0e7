"""A node as the others see it, and its lease."""

from dataclasses import dataclass
from typing import NamedTuple


class Lease(NamedTuple):
    """What owns systems: one life of a node."""

    node: str
    #: Raised whenever a lease of this node begins or ends, and never lowered: an older one is of the past.
    incarnation: int


@dataclass(frozen=True, slots=True)
class Node:
    """One `maestro serve` of a cluster."""

    name: str
    incarnation: int = 0
    #: The number of its last beat. 0: nobody holds this lease.
    beat: int = 0
    #: Where the other nodes reach its gateway.
    url: str = ""
    #: How much of the whole it takes, beside the others' capacities.
    capacity: float = 1.0
    #: It is to hand over what it owns, and takes nothing. Lasts until this lease ends.
    draining: bool = False
    #: It holds the broker's owner message.
    holds_events: bool = False
    version: str = ""
    #: The newest schema of the stores that its program knows.
    schema: int = 0
    #: Names its settings that matter for what becomes of an event.
    settings_digest: str = ""
    #: The how-manieth joining of the cluster this was.
    joined: int = 0
    #: `Terms.seconds` as it has them; 0: not known.
    lease_seconds: float = 0.0
    #: It drains: the first systems that it waits for before they are another node's, by name, and why each.
    waits_for: tuple[tuple[str, str], ...] = ()

    @property
    def lease(self) -> Lease:
        """Its lease, if it holds one."""
        return Lease(self.name, self.incarnation)

    @property
    def holds_lease(self) -> bool:
        """Whether it was not broken and not given up, as far as the store knows."""
        return self.beat > 0
