"""The nodes of a cluster."""

from msgspec import Struct


class Wait(Struct, frozen=True):
    """A system that a node waits for before another one may have it, and why (`Why` in `maestro.cluster.waits`)."""

    system: str
    why: str = ""


class Node(Struct, frozen=True, rename="camel"):
    """A node of the cluster."""

    name: str
    url: str = ""
    version: str = ""
    capacity: float = 0.0
    #: Its lease was not broken and not given up, as far as is known.
    holds_lease: bool = False
    draining: bool = False
    #: How many systems it owns, of those that the caller may touch.
    systems: int = 0
    #: Whether it may claim systems; else why not.
    claims: bool = False
    why_not: str | None = None
    #: It holds the message that says whose the events of the vhost are.
    holds_events: bool = False
    #: It drains: what it waits for, of the first 20 and of those that the caller may touch.
    waits_for: tuple[Wait, ...] = ()


class Nodes(Struct, frozen=True, rename="camel"):
    """The nodes of the cluster, as the node that answers (`node`) saw them last."""

    #: Empty: there is none.
    cluster: str = ""
    #: That there is no cluster, or why what is listed may be old.
    says: str = ""
    node: str = ""
    nodes: tuple[Node, ...] = ()
    #: Systems that no node owns.
    unowned: tuple[str, ...] = ()
