"""A node of a cluster, put together: its keeper, and the gateways that ask each other.

its actors have started ──> keeper ──> what is stored of all systems ──> sessions with the other nodes
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass
from typing import Final, NamedTuple

import orjson

from maestro import __version__
from maestro.actors.bootstrap import ActorRuntime
from maestro.board.node_lease import NodeView
from maestro.cluster import node as seen
from maestro.cluster.lease import Terms
from maestro.gateways.client import ClusterClient, dialing
from maestro.gateways.items import NodeHello
from maestro.gateways.listener import NodeListener
from maestro.gateways.owners import Owners
from maestro.http.actor_client import ActorClient
from maestro.keeper import Keeper, keeping
from maestro.settings.model import Settings
from maestro.store.held_lease import former_lease
from maestro.store.installation import node_name
from maestro.store.postgres.lookup import SystemLookup
from maestro.store.postgres.nodes import PostgresNodes
from maestro.store.postgres.schema import MIGRATIONS
from maestro.telemetry.metrics import MetricsRegistry


@dataclass(frozen=True)
class View:
    """See `maestro.http.cluster_view.ClusterView`: the keeper sees the nodes, `owners` whose the systems are."""

    name: str
    node: str
    _keeper: Keeper
    _owners: Owners
    _own: ActorClient

    @property
    def problem(self) -> str:
        """See `ClusterView.problem`."""
        return self._keeper.problem

    def nodes(self) -> tuple[seen.Node, ...]:
        """See `ClusterView.nodes`."""
        return self._keeper.membership.nodes

    def owners(self, system_ids: Collection[str]) -> Mapping[str, str]:
        """See `ClusterView.owners`. Of its own systems the node knows at once, of others within some seconds."""
        own = set(self._own.systems())
        return {one: self.node if one in own else self._owners.of(one) for one in system_ids}


class Node(NamedTuple):
    """This node while it lives."""

    #: Asks every system of the cluster.
    client: ActorClient
    #: Answers the other nodes.
    listener: NodeListener
    keeper: Keeper
    #: What it sees of the cluster.
    view: View
    #: What must not end before the node is told to.
    tasks: "list[asyncio.Task[None]]"


#: What the settings have that decides what becomes of an event: nodes that differ in it do not share systems.
_SECTIONS: Final = ("platform", "reprocessing", "ledger", "late", "policy")


def node_of(settings: Settings, schema: int) -> seen.Node:
    """Return this node as the others are to see it. `schema`: the newest that this program knows."""
    told = settings.model_dump(mode="json", include=set(_SECTIONS)) | {"two": settings.access.two_approvers}
    digest = hashlib.sha256(orjson.dumps(told, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]
    return seen.Node(
        node_name(settings), url=settings.node_url, capacity=float(settings.cluster.capacity),
        version=__version__, schema=schema, settings_digest=digest, lease_seconds=settings.cluster.lease,
    )  # fmt: skip


def urls_of(nodes: Iterable[seen.Node]) -> dict[str, str]:
    """Return the URL of the gateway of each node that holds a lease."""
    return {one.name: one.url for one in nodes if one.holds_lease}


@asynccontextmanager
async def node(settings: Settings, runtime: ActorRuntime, registry: MetricsRegistry) -> AsyncIterator[Node]:
    """Be a node of the cluster while the context is open. Its actors are launched, and have ended when it closes."""
    assert runtime.node_lease is not None, "there is a cluster"
    url, seconds, cluster = settings.store.url.get_secret_value(), settings.store.timeout, settings.cluster
    me = node_of(settings, len(MIGRATIONS))
    terms = Terms(cluster.lease, cluster.drift)
    nodes = PostgresNodes(url, me.name, seconds, terms.answer_within, cluster.name)
    former = former_lease(settings.data_dir, me.name) if runtime.former_ended else None
    keeper = Keeper(settings, me, nodes, runtime.actor_client, runtime, runtime.node_lease, registry, former)
    async with AsyncExitStack() as stack:
        task = await stack.enter_async_context(keeping(keeper))
        lease = stack.enter_context(closing(NodeView(settings)))
        hello, secret = NodeHello(cluster.name, me.name), cluster.secret.get_secret_value()
        lookup = SystemLookup(url, seconds)
        stack.push_async_callback(lookup.close)
        owners = Owners()
        following = asyncio.create_task(owners.keep(lookup), name="owners")
        stack.push_async_callback(_cancelled, following)
        dialers = await stack.enter_async_context(
            dialing(hello, owners, secret, lambda: urls_of(keeper.membership.nodes))
        )
        client = ClusterClient(runtime.actor_client, owners, dialers, lookup, lambda: lease.believed)
        listener = NodeListener(
            runtime.actor_client, hello, secret, settings.http.max_body_bytes, lambda: lease.believed
        )
        view = View(cluster.name, me.name, keeper, owners, runtime.actor_client)
        yield Node(client, listener, keeper, view, [task, following])


async def _cancelled(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
