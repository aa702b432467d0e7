"""A system's life from start to stop, played some times before the fork: the actors share what it leaves in memory.

CPython writes into code it runs for the first time, and so do the libraries into what they set up once; after the fork,
each of 200 processes would have its own copy of all those pages. CPython adapts code only when it has run some times.
"""

import asyncio
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

from maestro.actors.service_thread import new_loop
from maestro.links.link import Hello
from maestro.links.service import Address, Asked
from maestro.messages import DescribeSystem
from maestro.settings.model import Settings
from maestro.store.base import StoreError
from maestro.system.service import SystemService

#: Lives that are played: CPython adapts a function when it is called for the eighth time.
_TIMES: Final = 9


class _Nowhere:
    def send(self, address: Address, message: object) -> None:
        """Send it to nobody."""


def warm_up(settings: Settings) -> None:
    """Start and stop a system's service, some times, with a store in a folder of its own. No thread is left of it."""
    loop = new_loop()
    try:
        with suppress(OSError, StoreError), tempfile.TemporaryDirectory(prefix="maestro-") as folder:  # then without
            for _ in range(_TIMES):
                loop.run_until_complete(_play(settings.model_copy(update={"data_dir": Path(folder)})))
    finally:
        loop.close()


async def _play(settings: Settings) -> None:
    service = SystemService(settings, "warm_up", 1, _Nowhere())
    await service.start()
    for epoch, role in enumerate(("ingress", "cascade"), 2):
        service.receive(Hello(role, epoch), None)
    service.receive(Asked(1, DescribeSystem()), None)
    await asyncio.sleep(0)
    await service.stop()
