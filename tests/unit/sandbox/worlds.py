"""A sandbox and a small Maestro that found each other, for as long as a test runs."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from maestro.broker.base import Broker
from maestro.sandbox.demo.clients import Domain, EventManager, Maestro, Services
from maestro.sandbox.sandbox import Addresses, Sandbox
from maestro.sandbox.traits import KIND, Traits
from maestro.sandbox.web import serve
from tests.unit.sandbox.doubles import MemoryBroker, SmallMaestro

SYSTEM = "cotacoes"


@dataclass
class World:
    sandbox: Sandbox
    maestro: SmallMaestro
    addresses: Addresses
    services: Services
    session: aiohttp.ClientSession
    broker: Broker

    async def send(self, name: str, payload: dict[str, Any], **fields: Any) -> str:
        event = {
            "name": name,
            "systemId": SYSTEM,
            "branch": "master",
            "payload": payload,
            "tag": "t",
            "timestamp": "2020-01-01T00:00:00.5",
            **fields,
        }
        return await self.services.events.send(event)

    async def get(self, service: str, path: str) -> Any:
        async with self.session.get(getattr(self.addresses, service).url + path) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()


@asynccontextmanager
async def new_world(
    folder: Path, *, forgets: str = "", broker: Broker | None = None, traits: Traits = KIND
) -> AsyncIterator[World]:
    """Kind by default: the small Maestro has neither ledger nor patience."""
    async with AsyncExitStack() as stack:
        broker = broker or MemoryBroker()
        small = SmallMaestro(SYSTEM, broker, forgets=forgets)
        runner, address = await serve(small.app(), "127.0.0.1", 0)
        stack.push_async_callback(runner.cleanup)
        sandbox = Sandbox((SYSTEM,), broker, folder, maestro_url=address.url, traits=traits)
        addresses = await sandbox.start()
        stack.push_async_callback(sandbox.stop)
        await small.start(addresses)
        stack.push_async_callback(small.stop)
        session = await stack.enter_async_context(aiohttp.ClientSession())
        services = Services(
            Maestro(session, address.url),
            EventManager(session, addresses.event_manager.url),
            Domain(session, addresses.domain.url),
        )
        yield World(sandbox, small, addresses, services, session, broker)


class Silent:
    def begins(self, phase: str, total: int) -> None: ...
    def progressed(self, count: int) -> None: ...
    def says(self, text: str) -> None: ...
