"""Which node owns which system, as it was read of the store last: a hint where to ask, never the truth.

A node that is named may have lost the system since. It says so when it is asked, and its commits are fenced. The store
is read every few seconds, and sooner when the hint was wrong. Where a node's gateway is, the keeper knows: it looks at
the nodes with each beat.
"""

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Final, Protocol

from maestro import logs
from maestro.store.base import StoreError

#: Seconds between two readings, and the least of it when one is asked for.
EVERY: Final = 5.0
SOONEST: Final = 1.0


class Source(Protocol):
    """Where it is read."""

    async def owners(self) -> Mapping[str, str]:
        """Return all systems, each with the node that owns it; empty: nobody does. Raises `StoreError`."""


class Owners:
    """Whose each system is."""

    def __init__(self) -> None:
        self._owners: Mapping[str, str] = {}
        self._sorted: tuple[str, ...] = ()
        self._sooner = asyncio.Event()
        #: Whether the store was read once: before that nothing is known, which is not the same as no system.
        self.seen = False

    def see(self, owners: Mapping[str, str]) -> None:
        """Take what was read."""
        if owners.keys() != self._owners.keys():
            self._sorted = tuple(sorted(owners))
        self._owners, self.seen = owners, True

    def systems(self) -> tuple[str, ...]:
        """Return the ids of all systems of the cluster, sorted."""
        return self._sorted

    def knows(self, system_id: str) -> bool:
        """Whether it is a system of the cluster, as far as is known."""
        return system_id in self._owners

    def of(self, system_id: str) -> str:
        """Return the node that owns a system; empty: nobody, or it is not known."""
        return self._owners.get(system_id, "")

    def read_sooner(self) -> None:
        """Have the store read soon: what is known turned out to be old."""
        self._sooner.set()

    async def keep(self, source: Source) -> None:
        """Read the store now and again, for as long as it is wanted. Waits for a store that is away."""
        log = logs.get(part="nodes")
        away = False
        while True:
            self._sooner.clear()
            began = time.monotonic()
            try:
                owners = await source.owners()
            except StoreError as problem:
                if not away:
                    log.warning("nodes.not_read", cause=str(problem))
                away = True
            else:
                away = False
                self.see(owners)
            with suppress(TimeoutError):
                async with asyncio.timeout(EVERY):
                    await self._sooner.wait()
            await asyncio.sleep(began + SOONEST - time.monotonic())
