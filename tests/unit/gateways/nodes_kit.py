"""Nodes of a cluster in one process: a fake of the systems, and the gateway, the sessions and the client of each."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

from maestro.actors.errors import Unavailable, UnknownSystem
from maestro.gateways.client import ClusterClient, Dialers, dialing
from maestro.gateways.items import NodeHello
from maestro.gateways.listener import NodeListener
from maestro.gateways.owners import Owners
from maestro.http.app import create_app
from maestro.http.lock_checks import Look, no_board
from maestro.http.server import serve_http
from maestro.messages import Answer
from tests.unit.http.conftest import SETTINGS, Client
from tests.unit.http.fake_actor_client import FakeActorClient


class FakeLocks:
    """The stored locks: None of a system is one that the store does not say."""

    def __init__(self) -> None:
        self.stored: dict[str, Answer | None] = {}
        self.away = False
        self.asked: list[str] = []

    async def ask(self, system_id: str, seconds: float) -> Answer | None:
        self.asked.append(system_id)
        if self.away:
            raise Unavailable("the store is away")
        if system_id not in self.stored:
            raise UnknownSystem(system_id)
        return self.stored[system_id]


@dataclass
class Node:
    name: str
    own: FakeActorClient
    owners: Owners
    locks: FakeLocks
    cluster: ClusterClient
    dialers: Dialers
    gateway: Client
    url: str
    lease: dict[str, bool]
    looks: list[None]
    registered: list[str] = field(default_factory=list)


@asynccontextmanager
async def a_node(
    name: str, *systems: str, secret: str = "", cluster: str = "c", look: Look = no_board
) -> AsyncIterator[Node]:
    own, locks = FakeActorClient(*systems), FakeLocks()
    lease, looks, registered = {"believed": True}, [], []
    owners = Owners(lambda: looks.append(None))

    def believed() -> bool:
        return lease["believed"]

    async def register(system_id: str) -> None:
        registered.append(system_id)

    hello = NodeHello(cluster, name)
    async with AsyncExitStack() as stack:
        dialers = await stack.enter_async_context(dialing(hello, owners, secret))
        client = ClusterClient(own, owners, locks, dialers, believed=believed, register=register)
        app: web.Application = create_app(client, SETTINGS, look)
        NodeListener(own, hello, secret, SETTINGS.max_body_bytes, believed).add_to(app)
        address = await stack.enter_async_context(serve_http(app, SETTINGS))
        yield Node(
            name, own, owners, locks, client, dialers, Client(address), address.url, lease, looks, registered
        )  # fmt: skip


def acquaint(nodes: Mapping[str, str] | None = None, *those: Node) -> None:
    """Let the nodes see each other, and who owns what; `nodes` names URLs that differ."""
    urls = {node.name: node.url for node in those} | dict(nodes or {})
    owners = {system: node.name for node in those for system in node.own.known}
    for node in those:
        node.owners.see(urls, owners)
