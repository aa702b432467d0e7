"""Which node a system belongs to: rendezvous hashing, weighted by capacity.

Each node has a score for each system, and the highest one has it. Nobody has to agree on anything but the list of
nodes: one that comes or goes moves its own share only.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from enum import StrEnum
from functools import lru_cache
from math import log

from maestro.cluster.node import Node


class Unfit(StrEnum):
    """Why a node claims no systems."""

    NO_LEASE = "no_lease"
    DRAINS = "drains"
    NO_CAPACITY = "no_capacity"
    OLDER_SCHEMA = "older_schema"
    OTHER_SETTINGS = "other_settings"


def claimers(nodes: Iterable[Node]) -> tuple[Node, ...]:
    """Return the nodes that may claim systems, by name: those that `unfit` does not name."""
    known = tuple(nodes)
    out = unfit(known)
    return tuple(sorted((node for node in known if node.name not in out), key=lambda node: node.name))


def unfit(nodes: Iterable[Node]) -> dict[str, Unfit]:
    """Return the nodes that may not claim systems, and why: the others hold a lease, do not drain, and fit together.

    Those fit whose program knows the newest schema and, among these, whose settings most of them have; of two
    settings that are as frequent, those that came last. So one node with other settings takes nothing, and while
    settings are rolled out the new ones take over with the majority.
    """
    out: dict[str, Unfit] = {}
    ready: list[Node] = []
    for node in nodes:
        if (why := _not_ready(node)) is None:
            ready.append(node)
        else:
            out[node.name] = why
    newest = max((node.schema for node in ready), default=0)
    out |= {node.name: Unfit.OLDER_SCHEMA for node in ready if node.schema < newest}
    ready = [node for node in ready if node.schema == newest]
    count = Counter(node.settings_digest for node in ready)
    last = max(ready, key=lambda node: (count[node.settings_digest], node.joined, node.name), default=None)
    others = [node for node in ready if last is not None and node.settings_digest != last.settings_digest]
    return out | dict.fromkeys((node.name for node in others), Unfit.OTHER_SETTINGS)


def _not_ready(node: Node) -> Unfit | None:
    if not node.holds_lease:
        return Unfit.NO_LEASE
    if node.draining:
        return Unfit.DRAINS
    return None if node.capacity > 0 else Unfit.NO_CAPACITY


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
