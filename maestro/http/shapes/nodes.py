"""The nodes of a cluster."""

from msgspec import Struct

from maestro.cluster.placement import Unfit
from maestro.cluster.waits import Why
from maestro.messages.answers import Said


class WaitShape(Struct):
    """A system that a node waits for before another one may have it."""

    system: str
    why: Why


class NodeShape(Struct, rename="camel"):
    """A node of the cluster."""

    name: str
    #: Where the other nodes reach its gateway.
    url: str
    version: str
    #: How much of the whole it takes, beside the others' capacities.
    capacity: float
    #: Its lease was not broken and not given up, as far as is known.
    holds_lease: bool
    #: It hands over what it owns, before it is stopped.
    draining: bool
    #: How many systems it owns, of those that the caller may touch.
    systems: int
    #: Whether it may claim systems; else why not.
    claims: bool
    why_not: Unfit | None
    #: It holds the message that says whose the events of the vhost are.
    holds_events: bool
    #: It drains: what it waits for, of the first 20 and of those that the caller may touch.
    waits_for: list[WaitShape]


class NodesShape(Struct):
    """The nodes of the cluster, as the node that answers saw them last."""

    #: Empty: there is none.
    cluster: str
    #: That there is no cluster, or why what is listed may be old.
    says: Said
    #: The node that answers.
    node: str
    nodes: list[NodeShape]
    #: Systems that no node owns, of those that the caller may touch.
    unowned: list[str]
