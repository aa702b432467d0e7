"""The nodes of the cluster: who lives, what each owns, and who claims systems."""

from collections import Counter
from collections.abc import Container

import msgspec
from aiohttp import web

from maestro.cluster.node import Node
from maestro.cluster.placement import Unfit, unfit
from maestro.cluster.waits import Why
from maestro.http.keys import ACTOR_CLIENT, CLUSTER
from maestro.http.replies import reply
from maestro.http.shapes.nodes import NodeShape, NodesShape, WaitShape


async def nodes(request: web.Request) -> web.StreamResponse:
    """The nodes of the cluster. Systems are counted and named as far as the caller may touch them."""
    view = request.app.get(CLUSTER)
    if view is None:
        alone = NodesShape(cluster="", says="this Maestro is no node of a cluster", node="", nodes=[], unowned=[])
        return reply(msgspec.json.encode(alone))
    seen = view.nodes()
    held = {node.name for node in seen if node.holds_lease}
    owners = view.owners(request.app[ACTOR_CLIENT].systems())
    owned = Counter(owners.values())
    out = unfit(seen)
    shown = NodesShape(
        cluster=view.name,
        says=f"this may be old, the tables of the cluster are out of reach: {view.problem}" if view.problem else "",
        node=view.node,
        nodes=[_shown(node, owned[node.name], out.get(node.name), owners) for node in seen],
        unowned=[system_id for system_id, owner in owners.items() if owner not in held],
    )
    return reply(msgspec.json.encode(shown))


def _shown(node: Node, systems: int, why: Unfit | None, touched: Container[str]) -> NodeShape:
    return NodeShape(
        name=node.name, url=node.url, version=node.version, capacity=node.capacity, holds_lease=node.holds_lease,
        draining=node.draining, systems=systems if node.holds_lease else 0, claims=why is None, why_not=why,
        holds_events=node.holds_events,
        waits_for=[WaitShape(system, Why(reason)) for system, reason in node.waits_for if system in touched],
    )  # fmt: skip
