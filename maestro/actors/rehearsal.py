"""A system's life from start to stop, played once before the fork, so that the actors share what it leaves in memory.

CPython writes into code it runs for the first time, and so do the libraries into what they set up once; after the fork,
each of 200 processes would have its own copy of all those pages.
"""

import asyncio
import tempfile
from contextlib import suppress
from pathlib import Path

from maestro.actors.service_thread import new_loop
from maestro.runtime.service import Address
from maestro.runtime.system import SystemService
from maestro.settings import Settings
from maestro.store.base import StoreError


class _Nowhere:
    def send(self, address: Address, message: object) -> None:
        """Send it to nobody."""


def rehearse(settings: Settings) -> None:
    """Start and stop a system's service with an empty store in a folder of its own. No thread is left of it."""
    loop = new_loop()
    try:
        with suppress(OSError, StoreError), tempfile.TemporaryDirectory(prefix="maestro-") as folder:  # then without
            loop.run_until_complete(_play(settings.model_copy(update={"data_dir": Path(folder)})))
    finally:
        loop.close()


async def _play(settings: Settings) -> None:
    service = SystemService(settings, "rehearsal", 1, _Nowhere())
    await service.start()
    await asyncio.sleep(0)
    await service.stop()
