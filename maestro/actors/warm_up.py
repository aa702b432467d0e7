"""A system's life from start to stop, played some times before the fork: the actors share what it leaves in memory.

CPython writes into code it runs for the first time, and so do the libraries into what they set up once; after the fork,
each of 200 processes would have its own copy of all those pages. CPython adapts code only when it has run some times.
"""

import asyncio
import tempfile
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Final

from maestro import logs
from maestro.actors.service_thread import new_loop
from maestro.links.folder import make_folder
from maestro.links.items import CASCADE, INGRESS, MAIN, Answered, Asked, Hello
from maestro.links.listener import Listener
from maestro.links.session import Session
from maestro.messages.questions import DescribeSystem
from maestro.settings.model import Settings
from maestro.settings.servers import BrokerSettings, StoreSettings
from maestro.store.base import StoreError
from maestro.system.service import SystemService
from maestro.telemetry.metrics import MetricsRegistry

#: Lives that are played: CPython adapts a function when it is called for the eighth time.
TIMES: Final = 9
#: Seconds that all of them may take together: the start waits for them.
_WITHIN: Final = 3.0


def warm_up(settings: Settings) -> int:
    """Start and stop a system's service, some times, with a store in a folder of its own. No thread is left of it.

    Returns how many lives were played to the end. On a machine where that fails the actors only need more memory.
    """
    loop = new_loop()
    try:
        with suppress(OSError, StoreError), tempfile.TemporaryDirectory(prefix="maestro-") as folder:
            # No broker: a system would wait to hear that the broker's events are ours.
            # And no server of a database: the stores there are another start's, or are to be this one's.
            alone = settings.model_copy(
                update={"data_dir": Path(folder), "broker": BrokerSettings(), "store": StoreSettings()}
            )
            return loop.run_until_complete(_play_all(alone))
    finally:
        loop.close()
    return 0


async def _play_all(settings: Settings) -> int:
    played = 0
    try:
        async with asyncio.timeout(_WITHIN):
            while played < TIMES:
                await _play(settings)
                played += 1
    except TimeoutError:
        logs.get().warning("the warm-up took too long: systems will need more memory", played=played, of=TIMES)
    return played


async def _play(settings: Settings) -> None:
    """One life: the system is there for all who listen, and answers a question."""
    make_folder(settings.data_dir)
    met = {name: asyncio.Event() for name in (INGRESS, CASCADE, MAIN)}
    answered = asyncio.Event()

    def listening(name: str) -> Listener:
        def opened(_system: Hello, session: Session) -> None:
            session.on_item = lambda item: answered.set() if isinstance(item, Answered) else None
            if name == MAIN:
                session.post(Asked(1, DescribeSystem()))
            met[name].set()

        return Listener(settings.data_dir, Hello(name, 1), settings.actors, MetricsRegistry(), opened)

    async with AsyncExitStack() as stack:
        for name in met:
            listener = listening(name)
            listener.open()
            stack.push_async_callback(listener.close)
        service = SystemService(settings, "warm_up", 1)
        await service.start()
        stack.push_async_callback(service.stop)
        for event in (*met.values(), answered):
            await event.wait()
