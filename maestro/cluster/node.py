"""A node as the others see it: its row in the store."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Node:
    """One `maestro serve` of a cluster."""

    name: str
    #: Raised whenever its lease begins or ends, and never lowered: what says an older one is of the past.
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

    @property
    def holds_lease(self) -> bool:
        """Whether it was not broken and not given up, as far as the store knows."""
        return self.beat > 0
