"""Whether the nodes of the cluster live, fit together and own all systems. Without a cluster nothing is said."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from typing import Final

from maestro.cluster.node import Node
from maestro.cluster.placement import claimers
from maestro.doctor.finding import Finding, ok, problem, warning
from maestro.doctor.site import Site
from maestro.store.base import StoreError
from maestro.store.door import open_stores
from maestro.store.installation import node_name
from maestro.store.nodes import Nodes, Seen

CLUSTER: Final = "cluster"
#: Names that one finding has.
_NAMED: Final = 5


async def check_cluster(site: Site) -> list[Finding]:
    """Look at the nodes twice, with some beats between."""
    settings = site.settings
    if not settings.cluster.name:
        return []
    from maestro.store.postgres.nodes import PostgresNodes  # noqa: PLC0415 - needs the extra `postgresql`

    store = settings.store
    nodes = PostgresNodes(store.url.get_secret_value(), "", store.timeout, store.timeout)
    try:
        before = await nodes.look()
        await asyncio.sleep(settings.cluster.lease / 2)
        seen = await nodes.look()
        owned = await _owned(site, nodes)
        return list(findings(before, seen, owned, node_name(settings), runs=site.runs))
    except StoreError as error:
        message = str(error).removeprefix("PostgreSQL: ")
        return [problem(CLUSTER, settings.cluster.name, message, "see PostgreSQL in docs/deploying.md")]
    finally:
        await nodes.close()


async def _owned(site: Site, nodes: Nodes) -> Counter[str]:
    owners = await nodes.owners(await open_stores(site.settings).systems())
    return Counter(node.name for node in owners.values())


def findings(before: Seen, seen: Seen, owned: Counter[str], own: str, *, runs: bool) -> Iterator[Finding]:
    """Say what two looks at the nodes show. `own`: this node's name; `runs`: its Maestro does."""
    beats = {node.name: (node.incarnation, node.beat) for node in before.nodes}
    fit = {node.name for node in claimers(seen.nodes)}
    holding = [node for node in seen.nodes if node.holds_lease]
    for node in holding:
        yield _of_node(node, owned[node.name], still=beats.get(node.name) == (node.incarnation, node.beat), fit=fit)
    if runs and own not in {node.name for node in holding}:
        message = "runs here and holds no lease: it is joining, or PostgreSQL is out of reach for it"
        yield problem(CLUSTER, own, message, "look at its log, then maestro doctor again")
    if holding and not any(node.holds_events for node in holding):
        message = "no node holds the events of the vhost: nothing is judged or replayed"
        yield problem(CLUSTER, "maestro.owner", message, "see Whose the events are in docs/operations.md")
    if seen.free:
        named = ", ".join(sorted(seen.free)[:_NAMED])
        message = f"no node owns {len(seen.free)} systems: {named}"
        yield problem(CLUSTER, "systems", message, "see MaestroSystemsUnowned in docs/operations.md")


def _of_node(node: Node, systems: int, *, still: bool, fit: set[str]) -> Finding:
    if still:
        message = f"gives no sign of life, and owns {systems} systems"
        return problem(CLUSTER, node.name, message, "start it again; the others take its systems over")
    if node.draining and node.waits_for:
        waits = ", ".join(system for system, _ in node.waits_for[:_NAMED])
        message = f"drains, owns {systems} systems and waits for {waits}; maestro nodes says why"
        return warning(CLUSTER, node.name, message, f"maestro drain {node.name} --undo")
    if node.draining:
        return warning(CLUSTER, node.name, f"drains, and owns {systems} systems", f"maestro drain {node.name} --undo")
    if node.name not in fit:
        message = "claims no systems: it has other settings, or an older schema, than the others"
        return warning(CLUSTER, node.name, message, "compare maestro config show of the nodes")
    return ok(CLUSTER, node.name, f"lives, and owns {systems} systems: version {node.version} at {node.url}")
