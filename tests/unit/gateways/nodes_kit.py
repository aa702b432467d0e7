"""Nodes of a cluster in one process: a fake of the systems, and the gateway, the sessions and the client of each."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from aiohttp import web

from maestro.gateways.client import ClusterClient, Dialers, dialing
from maestro.gateways.items import NodeHello
from maestro.gateways.listener import NodeListener
from maestro.gateways.owners import Owners
from maestro.http.app import create_app
from maestro.http.lock_checks import Look, no_board
from maestro.http.server import serve_http
from maestro.store.base import StoreAway, StoredSystem
from tests.unit.http.conftest import SETTINGS, Client
from tests.unit.http.fake_actor_client import FakeActorClient


class FakeLookup:
    """What is stored: of each system its lock and its owner."""

    def __init__(self) -> None:
        self.stored: dict[str, StoredSystem] = {}
        self.away = self.silent = False
        self.asked: list[str] = []
        self.added: list[str] = []

    def find(self, system_id: str) -> asyncio.Future[StoredSystem | None]:
        self.asked.append(system_id)
        found: asyncio.Future[StoredSystem | None] = asyncio.get_running_loop().create_future()
        if self.away:
            found.set_exception(StoreAway("the store is away"))
        elif not self.silent:
            found.set_result(self.stored.get(system_id))
        return found

    async def add(self, system_id: str) -> None:
        if self.away:
            raise StoreAway("the store is away")
        self.added.append(system_id)

    def lock(self, system_id: str, lock: bytes | None) -> None:
        self.stored[system_id] = StoredSystem(lock, "")

    def owned(self, system_id: str, node: str) -> None:
        self.stored[system_id] = StoredSystem(b"", node)


@dataclass
class Node:
    name: str
    own: FakeActorClient
    owners: Owners
    lookup: FakeLookup
    cluster: ClusterClient
    dialers: Dialers
    gateway: Client
    url: str
    lease: dict[str, bool]
    #: The URLs of the nodes, as it sees them.
    urls: dict[str, str]


@asynccontextmanager
async def a_node(
    name: str, *systems: str, secret: str = "", cluster: str = "c", look: Look = no_board
) -> AsyncIterator[Node]:
    own, owners, lookup = FakeActorClient(*systems), Owners(), FakeLookup()
    lease, urls = {"believed": True}, dict[str, str]()

    def believed() -> bool:
        return lease["believed"]

    hello = NodeHello(cluster, name)
    async with AsyncExitStack() as stack:
        dialers = await stack.enter_async_context(dialing(hello, owners, secret, lambda: urls))
        client = ClusterClient(own, owners, dialers, lookup, believed)
        app: web.Application = create_app(client, SETTINGS, look)
        NodeListener(own, hello, secret, SETTINGS.max_body_bytes, believed).add_to(app)
        address = await stack.enter_async_context(serve_http(app, SETTINGS))
        yield Node(name, own, owners, lookup, client, dialers, Client(address), address.url, lease, urls)


def acquaint(nodes: Mapping[str, str] | None = None, *those: Node) -> None:
    """Let the nodes see each other, and who owns what; `nodes` names URLs that differ."""
    urls = {node.name: node.url for node in those} | dict(nodes or {})
    owners = {system: node.name for node in those for system in node.own.known}
    for node in those:
        node.urls.clear()
        node.urls.update(urls)
        node.owners.see(owners)
