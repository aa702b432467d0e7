"""`maestro serve`, put together: the one place that starts the parts, in this order, and stops them in reverse.

logs -> actors (ingress, cascade, supervisor) -> known systems -> HTTP gateway -> systems of API core
"""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from maestro import logs
from maestro.actors.bootstrap import ActorRuntime
from maestro.actors.bridge import ActorBridge
from maestro.events import SYSTEM_ID
from maestro.http.app import create_app
from maestro.http.bridge import Unavailable
from maestro.http.server import Address, serve_http
from maestro.messages import Answer, Question
from maestro.platform import Platform, SiblingError
from maestro.settings import Settings

#: Pause after a failed look at API core, in seconds; doubles up to `platform.systems_refresh`.
FIRST_PAUSE = 1.0
READY = frozenset({"ready", "running"})


class Gateway:
    """What the HTTP gateway sees of the actors."""

    def __init__(self, bridge: ActorBridge) -> None:
        self._bridge = bridge

    async def ask(self, system_id: str, question: Question, *, timeout: float) -> Answer:  # noqa: ASYNC109
        """Put a question to a system's actor. Raises `UnknownSystem`, `Unavailable`."""
        return await self._bridge.ask(system_id, question, timeout=timeout)

    def systems(self) -> tuple[str, ...]:
        """Return the ids of all systems, sorted."""
        return tuple(sorted(self._bridge.systems()))

    async def install(self, system_id: str) -> None:
        """Serve a system from now on. Raises `Unavailable`."""
        await self._bridge.install(system_id)

    async def readiness(self) -> Mapping[str, str]:
        """Return what is not ready, and why."""
        parts = await self._bridge.readiness()
        return {part: problem for part, problem in parts.items() if problem not in READY}


def stored_systems(data_dir: Path) -> list[str]:
    """Return the systems that have a store: they were served before."""
    return sorted(path.stem for path in (data_dir / "systems").glob("*.db") if SYSTEM_ID.fullmatch(path.stem))


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Address]:
    """Run Maestro while the context is open; yields where the gateway listens.

    Raises:
        AlreadyRunning, PortTaken, ActorsFailed, BindError: it cannot start; the message says why.
    """
    async with AsyncExitStack() as stack:
        runtime = ActorRuntime(settings)
        await runtime.start()
        stack.push_async_callback(runtime.stop)
        # Before the gateway opens: an unknown system may proceed, so one that is locked must be known.
        known = dict.fromkeys([*settings.systems, *stored_systems(settings.data_dir)])
        await asyncio.gather(*(runtime.bridge.install(system_id) for system_id in known))
        gateway = Gateway(runtime.bridge)
        address = await stack.enter_async_context(serve_http(create_app(gateway, settings.http), settings.http))
        watch = asyncio.create_task(watch_systems(gateway, settings), name="systems of API core")
        stack.push_async_callback(_cancelled, watch)
        yield address


async def watch_systems(gateway: Gateway, settings: Settings) -> None:
    """Ask API core for its systems, at the start until it answers and then now and again, and serve them."""
    log = logs.get()
    pause = FIRST_PAUSE
    async with await Platform.open(settings.platform.model_copy(update={"tries": 1})) as platform:
        while True:
            try:
                for system_id in await platform.apicore.systems():
                    if system_id not in gateway.systems():
                        log.info("system found", system=system_id)
                        await gateway.install(system_id)
                pause = settings.platform.systems_refresh
            except (SiblingError, Unavailable) as problem:
                log.warning("systems of API core not known; serving the known ones", cause=str(problem))
                pause = min(pause * 2, settings.platform.systems_refresh)
            await asyncio.sleep(pause)


async def _cancelled(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def serve(settings: Settings, announce: Callable[[str], None]) -> None:
    """Run Maestro until SIGTERM or Ctrl-C. `announce` is told the gateway's URL once all is up."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    log = logs.get()
    async with running(settings) as address:
        log.info("maestro is ready", url=address.url, broker=settings.broker.kind, data=str(settings.data_dir))
        announce(address.url)
        await stop.wait()
        log.info("maestro is stopping")
    log.info("maestro has stopped")
