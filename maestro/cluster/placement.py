"""Which node a system belongs to: rendezvous hashing, weighted by capacity.

Each node has a score for each system, and the highest one has it. Nobody has to agree on anything but the list of
nodes: one that comes or goes moves its own share only.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from math import log

from maestro.cluster.node import Node


def claimers(nodes: Iterable[Node]) -> tuple[Node, ...]:
    """Return the nodes that may claim systems, by name: they hold their lease, are not draining, and fit together.

    Those fit whose program knows the newest schema and, among these, whose settings most of them have; of two
    settings that are as frequent, those that came last. So one node with other settings takes nothing, and while
    settings are rolled out the new ones take over with the majority.
    """
    ready = [node for node in nodes if node.holds_lease and not node.draining and node.capacity > 0]
    newest = max((node.schema for node in ready), default=0)
    ready = [node for node in ready if node.schema == newest]
    count = Counter(node.settings_digest for node in ready)
    last = max(ready, key=lambda node: (count[node.settings_digest], node.joined, node.name), default=None)
    fit = [node for node in ready if last is not None and node.settings_digest == last.settings_digest]
    return tuple(sorted(fit, key=lambda node: node.name))


def order(system_id: str, nodes: Sequence[Node]) -> list[str]:
    """Return the nodes' names in the order in which this system belongs to them."""
    return [node.name for node in sorted(nodes, key=lambda node: (-_score(node, system_id), node.name))]


def _score(node: Node, system_id: str) -> float:
    # With u even in (0, 1), -capacity / ln u is largest for a node in proportion to its capacity.
    return -node.capacity / log(_even(node.name, system_id))


@lru_cache(maxsize=100_000)
def _even(name: str, system_id: str) -> float:
    """Return a number in (0, 1) that the two names alone decide."""
    digest = hashlib.blake2b(f"{len(name)} {name}{system_id}".encode(errors="surrogatepass"), digest_size=6).digest()
    return (int.from_bytes(digest, "big") + 0.5) / 2**48
