"""Calls that find out what is so: what Discovery names, what API core calls an instance, whether a sibling is there.

Discovery fails open when API core does. So its answer about a run counts only when API core answers after it, and one
about an event is given with how many tries of API core had failed by then: the rules compare.
"""

import asyncio
import time
from collections.abc import Awaitable, Iterable
from typing import Final

from msgspec import structs

from maestro import logs
from maestro.platform import Platform, SiblingError, SiblingRefused
from maestro.rules import commands as do
from maestro.rules import facts
from maestro.rules.demanding import rows_of
from maestro.rules.facts import Fact
from maestro.rules.impact import DISCOVERY, Impacted, Origin, UnitKey, odd_timestamp
from maestro.rules.ledger import Footprint, merged
from maestro.rules.state import System
from maestro.statuses import INSTANCE_FINISHED
from maestro.system.canaries import Canaries
from maestro.system.ledger import Ledger
from maestro.telemetry.definitions import DISCOVERY_SECONDS, EVENT, LOOKS
from maestro.telemetry.metrics import MetricsRegistry

#: Units whose origin event is fetched, and whose status is looked at, side by side: each sibling gets half of them.
ORIGINS_AT_ONCE: Final = 32


class Asking:
    """The questions of one system."""

    def __init__(
        self, system: System, platform: Platform, ledger: Ledger, canaries: Canaries, registry: MetricsRegistry
    ) -> None:
        self._system = system
        self._platform = platform
        self._ledger = ledger
        self._canaries = canaries
        self._registry = registry
        self._log = logs.get(system=system.id)
        self._unknown_told = False
        #: How timestamps were found to be odd; each is told once in this life.
        self._oddities_told: set[str] = set()

    @property
    def api_failures(self) -> int:
        """Tries of API core that have failed in this life."""
        return self._platform.failures("apicore")

    def tries(self, what: str) -> int | None:
        """Return how often to try a question of `what`: as set; once while it is found out why it failed."""
        return 1 if what in self._system.troubles else None

    async def impacted(
        self,
        instance_id: str,
        branch: str,
        kind: str,
        what: str = "",
        *,
        surely: bool = False,
        tries: int | None = None,
    ) -> tuple[tuple[Impacted, ...], Footprint | None]:
        """Ask Discovery for `what` and, where the ledger has something to say, Domain and the ledger beside it.

        `surely`: Discovery's answer counts only when API core answers after it; else it is asked again.
        """
        tries = self.tries(what) if tries is None else tries
        named = self._named(instance_id, kind, tries, surely=surely)
        if not self._system.keeps_ledger:
            return await named, None
        asked = self._system.ledger.whole
        footprint: Footprint
        units, footprint = await together(
            named, self._platform.domain.footprint(self._system.id, instance_id, tries=tries)
        )
        self._canaries.answered("domain", instance_id)
        found = await self._ledger.named(footprint, branch)
        return merged(units, found), structs.replace(footprint, asked=asked)

    async def rows(self, instance_id: str, footprint: Footprint | None) -> int | None:
        """Return how many rows a commit creates, changes or destroys; Domain is asked if a policy wants to know, once.

        `footprint`: of the commit, if it is known. None: no policy wants to know, or Domain does not say.
        """
        if footprint is not None:
            return rows_of(footprint)
        if not self._system.rules.looks_at_rows:
            return None
        try:
            return rows_of(await self._platform.domain.footprint(self._system.id, instance_id, tries=1))
        except SiblingError as problem:
            self._log.warning("how many rows change is not known", instance=instance_id, cause=str(problem))
            return None

    async def _named(self, instance_id: str, kind: str, tries: int | None, *, surely: bool) -> tuple[Impacted, ...]:
        started = time.perf_counter()

        async def ask_surely() -> tuple[Impacted, ...]:
            units = await self._ask(instance_id, 1)
            await self._platform.apicore.instance(instance_id, tries=1)
            return units

        try:
            return await (self._platform.retried(ask_surely, tries) if surely else self._ask(instance_id, tries))
        finally:
            self._registry.observe(DISCOVERY_SECONDS, time.perf_counter() - started, kind)

    async def _ask(self, instance_id: str, tries: int | None) -> tuple[Impacted, ...]:
        units = await self._platform.discovery.impacted(self._system.id, instance_id, tries=tries)
        self._canaries.answered("discovery", instance_id, units=bool(units))
        return units

    async def finished(self, instance_id: str, tries: int | None) -> bool:
        """Return whether an instance that Discovery names is finished. Of one that API core does not know it is."""
        instance = await self._platform.apicore.instance(instance_id, tries=tries)
        return instance is None or instance.status == INSTANCE_FINISHED

    async def origins(self, units: Iterable[Impacted], tries: int | None = None) -> tuple[Origin, ...]:
        """Fetch each instance's origin event once; that of an instance that has none is empty."""
        units = tuple(units)
        by_instance: dict[str, list[Impacted]] = {}
        for unit in units:
            by_instance.setdefault(unit.instance_id, []).append(unit)
        left = iter(by_instance.items())
        found: dict[UnitKey, Origin] = {}

        async def fetch() -> None:
            # A few tasks, not one for each: thousands of tasks would begin, and end, in one turn of the loop.
            for instance_id, named in left:
                origin = await self._platform.process_memory.origin(instance_id, tries=tries)
                # What the ledger names is committed.
                doubtful = any(unit.named == DISCOVERY for unit in named)
                finished = not doubtful or await self.finished(instance_id, tries)
                if origin is not None:
                    self._canaries.answered("process_memory", instance_id)
                    self._look_at(origin.timestamp, instance_id)
                event, timestamp = (origin.event, origin.timestamp) if origin is not None else (b"", "")
                found.update((unit.key, Origin(unit, event, timestamp, finished)) for unit in named)

        await together(*(fetch() for _ in range(min(ORIGINS_AT_ONCE, len(by_instance)))))
        return tuple(found[unit.key] for unit in units)

    def _look_at(self, timestamp: str, instance_id: str) -> None:
        """Tell of a timestamp that is not as the platform writes them, once of each kind: they come by the thousand."""
        oddity = odd_timestamp(timestamp)
        if oddity and oddity not in self._oddities_told:
            self._oddities_told.add(oddity)
            self._log.warning(
                f"the timestamp of an origin event {oddity}; said once", instance=instance_id, timestamp=timestamp[:100]
            )

    async def again(self, command: do.AskAgain) -> Fact:
        """Carry out `AskAgain`."""
        units = await self._named(command.instance_id, EVENT, None, surely=True)
        return facts.AskedAgain(command.key, command.token, units)

    async def footprint(self, command: do.AskFootprint) -> Fact:
        """Carry out `AskFootprint`: one try, for a look is awaited meanwhile."""
        found = await self._platform.domain.footprint(self._system.id, command.instance_id, tries=1)
        return facts.FootprintFound(command.token, found)

    async def look(self, command: do.Look) -> Fact:
        """Carry out `Look`."""
        instance = await self._platform.apicore.instance(command.instance_id, tries=1)
        status = None if instance is None else instance.status
        if status is None and not self._unknown_told:
            self._unknown_told = True
            self._log.warning(
                "API core knows no such instance: Discovery will not name it; said once", instance=command.instance_id
            )
        found = INSTANCE_FINISHED if status == INSTANCE_FINISHED else "not_yet"
        self._registry.count(LOOKS, "unknown" if status is None else found)
        return facts.Looked(command.key, command.token, status, self.api_failures)

    async def set_finished(self, command: do.SetFinished) -> Fact:
        """Carry out `SetFinished`."""
        try:
            await self._platform.apicore.set_instance_status(command.instance_id, INSTANCE_FINISHED, tries=1)
        except SiblingRefused as problem:
            return facts.FinishedRefused(command.key, command.token, str(problem))
        self._registry.count(LOOKS, "set")
        self._log.info("set finished, for the platform did not in time", instance=command.instance_id)
        return facts.FinishedSet(command.key, command.token, self.api_failures)

    async def canary(self, command: do.AskCanary) -> Fact:
        """Carry out `AskCanary`."""
        answered = await self._canaries.ask(command.sibling)
        return facts.CanaryAsked(command.what, command.token, bool(answered), known=answered is not None)


async def together(*work: Awaitable[object]) -> tuple:  # type: ignore[type-arg]  # as asyncio.gather's, for any number
    """Await all; when one fails, cancel the rest and raise what it raised."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        return tuple(await asyncio.gather(*tasks))
    except BaseException:
        for task in tasks:
            task.cancel()
        raise
