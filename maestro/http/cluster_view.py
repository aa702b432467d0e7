"""What the gateway knows of its cluster: the nodes, and who owns which system, as this node saw them last."""

from collections.abc import Collection, Mapping
from typing import Protocol

from maestro.cluster.node import Node


class ClusterView(Protocol):
    """The cluster as this node sees it. From memory: nothing here waits."""

    @property
    def name(self) -> str:
        """The cluster's name."""

    @property
    def node(self) -> str:
        """This node's name."""

    @property
    def problem(self) -> str:
        """What keeps this node from looking, so that what it says may be old; empty: nothing does."""

    def nodes(self) -> tuple[Node, ...]:
        """Return all nodes that ever joined, by name."""

    def owners(self, system_ids: Collection[str]) -> Mapping[str, str]:
        """Return the node that owns each of these systems; empty: none does, or it is not known."""
