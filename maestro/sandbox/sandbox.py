"""The composition root: builds the services, puts each on its port, stops them in the reverse order."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from aiohttp import web

from maestro import logs
from maestro.broker.base import Broker, BrokerError
from maestro.events import EXECUTION
from maestro.sandbox.api_core import ApiCore
from maestro.sandbox.discovery import Discovery
from maestro.sandbox.domain import Domain
from maestro.sandbox.event_manager import EventManager
from maestro.sandbox.executor import Executor, done_event, now
from maestro.sandbox.ledger import Ledger, Run
from maestro.sandbox.maestro_client import MaestroClient
from maestro.sandbox.outcomes import Outcomes
from maestro.sandbox.process_memory import ProcessMemory
from maestro.sandbox.rows import Rows
from maestro.sandbox.traits import Traits
from maestro.sandbox.web import Address, serve


@dataclass(frozen=True, slots=True)
class Ports:
    """The port of each service; 0 takes a free one."""

    process_memory: int = 0
    discovery: int = 0
    api_core: int = 0
    domain: int = 0
    event_manager: int = 0


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where each service listens."""

    process_memory: Address
    discovery: Address
    api_core: Address
    domain: Address
    event_manager: Address

    def as_dict(self) -> dict[str, dict[str, str | int]]:
        """Return them as plain JSON: service -> host and port."""
        return asdict(self)


class Serves(Protocol):
    """One of the services."""

    def app(self) -> web.Application:
        """Return it as an HTTP service."""


class Sandbox:
    """The platform around Maestro, in this process and on this event loop."""

    def __init__(
        self,
        systems: tuple[str, ...],
        broker: Broker,
        data_dir: Path,
        *,
        maestro_url: str = "",
        host: str = "127.0.0.1",
        ports: Ports | None = None,
        traits: Traits | None = None,
    ) -> None:
        """Build it, unkind unless `traits` say otherwise.

        `broker` is started and closed by its owner, `data_dir` must hold no earlier sandbox's domain.
        """
        traits = traits or Traits()
        self.maestro = MaestroClient(maestro_url)
        self.ledger = Ledger()
        self.memory = ProcessMemory()
        self.core = ApiCore(systems, traits)
        self.rows = Rows(data_dir / "domain.sqlite3", creates_anew=traits.domain_creates_anew)
        self.domain = Domain(self.rows, self.ledger, self.core, traits, self._commit_ended)
        self.discovery = Discovery(self.rows, self.ledger, self.core, traits)
        self.outcomes = Outcomes(self.core, broker, traits)
        self.events = EventManager(self.core, broker, self.maestro, self.outcomes, traits)
        self.executor = Executor(
            rows=self.rows,
            ledger=self.ledger,
            memory=self.memory,
            core=self.core,
            platform=self.events,
            maestro=self.maestro,
            traits=traits,
        )
        self.events.subscribe(self.executor)
        self._log = logs.get(service="domain")
        self._host = host
        self._ports = ports or Ports()
        self._stack = AsyncExitStack()
        self._running: asyncio.Task[None] | None = None

    async def start(self) -> Addresses:
        """Serve. Raises `OSError` when a port is taken; nothing is left running then."""
        self._stack.callback(self.rows.close)
        try:
            await self.maestro.start()
            self._stack.push_async_callback(self.maestro.close)
            self._running = asyncio.create_task(self.executor.run(), name="executor")
            self._stack.push_async_callback(self._stop_executor, self._running)
            return await self._serve()
        except BaseException:
            await self.stop()
            raise

    async def wait(self) -> None:
        """Return never; raise what broke the executor, if anything does."""
        assert self._running is not None, "started"
        await asyncio.shield(self._running)

    async def stop(self) -> None:
        """Stop serving. Twice is no error."""
        await self._stack.aclose()

    async def _commit_ended(self, run: Run, stored: bool) -> None:  # noqa: FBT001 - a callback
        """Let Domain tell how a commit ended: its failure says neither system nor scope (contracts: Outcomes)."""
        payload = {"instance_id": run.instance}
        try:
            if stored:
                origin = self.memory.origin(run.instance)
                await self.events.process_done(done_event(origin, run, payload))
            else:
                failed = {"name": "system.process.persist.error", "scope": EXECUTION, "branch": run.branch}
                await self.outcomes.failed({**failed, "timestamp": now(), "payload": payload})
        except BrokerError as problem:
            self._log.warning("outcome lost", instance=run.instance, problem=str(problem))

    async def _serve(self) -> Addresses:
        ports = self._ports
        addresses = Addresses(
            process_memory=await self._listen(self.memory, ports.process_memory),
            discovery=await self._listen(self.discovery, ports.discovery),
            api_core=await self._listen(self.core, ports.api_core),
            domain=await self._listen(self.domain, ports.domain),
            event_manager=await self._listen(self.events, ports.event_manager),
        )
        self.core.domain = addresses.domain
        return addresses

    async def _listen(self, service: Serves, port: int) -> Address:
        runner, address = await serve(service.app(), self._host, port)
        self._stack.push_async_callback(runner.cleanup)
        return address

    @staticmethod
    async def _stop_executor(running: asyncio.Task[None]) -> None:
        running.cancel()
        await asyncio.wait([running])
