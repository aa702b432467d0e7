"""A cluster as the gateway sees it, without one: what a test says that its nodes are."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from maestro.cluster.node import Node


@dataclass
class FakeClusterView:
    """Nodes, and who owns which system."""

    seen: tuple[Node, ...] = ()
    owned: dict[str, str] = field(default_factory=dict)
    problem: str = ""
    name: str = "grid"
    node: str = "north"

    def nodes(self) -> tuple[Node, ...]:
        return self.seen

    def owners(self, system_ids: Collection[str]) -> Mapping[str, str]:
        return {one: self.owned.get(one, "") for one in system_ids}
