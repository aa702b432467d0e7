"""The retried outbox: messages to siblings that decide nothing, delivered in order, kept until delivered."""

import asyncio

from maestro import logs
from maestro.platform import Platform, SiblingError, SiblingRefused
from maestro.reprocessing.state import Errand, ErrandKind, System
from maestro.runtime.engine import Engine

#: Pauses between two rounds of tries, in seconds, and rounds before an errand is given up (about a day).
PAUSE, PAUSE_MAX, ROUNDS = 1.0, 300.0, 300


class Errands:
    """Delivers a system's errands, one at a time, oldest first."""

    def __init__(self, system: System, engine: Engine, platform: Platform) -> None:
        self._system = system
        self._engine = engine
        self._platform = platform
        self._log = logs.get(system=system.id)
        self._more = asyncio.Event()

    def nudge(self) -> None:
        """There may be an errand."""
        if self._system.errands:
            self._more.set()

    async def run(self) -> None:
        """Deliver errands for ever."""
        while True:
            self._more.clear()
            while self._system.errands:
                await self._deliver(next(iter(self._system.errands.values())))
            await self._more.wait()

    async def _deliver(self, errand: Errand) -> None:
        for tried in range(ROUNDS):
            try:
                with logs.correlated(instance=errand.instance_id):
                    await self._send(errand)
                break
            except SiblingRefused as problem:
                self._log.error("errand refused", errand=errand.kind, instance=errand.instance_id, cause=str(problem))
                break
            except SiblingError as problem:
                self._log.warning("errand late", errand=errand.kind, instance=errand.instance_id, cause=str(problem))
                await asyncio.sleep(min(PAUSE * 2**tried, PAUSE_MAX))
        else:
            self._log.error("errand given up", errand=errand.kind, instance=errand.instance_id)
        del self._system.errands[errand.number]
        self._engine.write_later([self._engine.repository.errand_done(errand.number)])

    async def _send(self, errand: Errand) -> None:
        if errand.kind is ErrandKind.STATUS:
            await self._platform.apicore.set_instance_status(errand.instance_id, errand.text)
            return
        event = self._engine.repository.error_event(errand)
        if event is not None:
            await self._platform.event_manager.send(event)
