"""`GET /metrics`: what all processes measured, gathered when it is asked for.

    Prometheus ──GET──> gateway ──Measure──> each system      (at once, with one deadline for all)
                           └──── what the supervisor was told by ingress and cascade; /proc for CPU and memory

A system that does not answer in time is `maestro_system_up 0` and does not keep the others waiting.
"""

import asyncio
import os
import platform
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec
from aiohttp import hdrs, web

from maestro import __version__
from maestro.http.actor_client import ActorClient, answer_of
from maestro.http.exposition import Merged, rendered
from maestro.http.usage import usage_of
from maestro.messages.answers import Code
from maestro.messages.questions import Measure
from maestro.telemetry import definitions as metrics
from maestro.telemetry.metrics import ActorState, MetricsRegistry, Snapshot

#: Seconds the systems have to answer, and the parts to say whether they are ready.
TIMEOUT: Final = 1.5
_SNAPSHOT: Final = msgspec.json.Decoder(Snapshot)

Measured = tuple[str, Snapshot | None]


class Scraper:
    """Gathers all metrics; a request that comes meanwhile shares the answer. `own`: the gateway's."""

    def __init__(self, actor_client: ActorClient, own: MetricsRegistry, timeout: float = TIMEOUT) -> None:
        self._actor_client = actor_client
        self._own = own
        self._timeout = timeout
        self._gathering: asyncio.Task[Merged] | None = None

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer a scrape, in the format that it accepts."""
        if self._gathering is None or self._gathering.done():
            self._gathering = asyncio.create_task(self._gather(), name="metrics")
        merged = await asyncio.shield(self._gathering)
        # Tens of milliseconds with many systems: lock checks must not wait for it.
        text, content_type = await asyncio.to_thread(rendered, merged, request.headers.get(hdrs.ACCEPT, ""))
        return web.Response(body=text, headers={hdrs.CONTENT_TYPE: content_type})

    async def _gather(self) -> Merged:
        ready = asyncio.create_task(self._ready())
        systems = await asyncio.gather(*map(self._ask, self._actor_client.systems()))
        gateway = ActorState(
            "gateway", "", os.getpid(), running=True, restarts=0, snapshot=self._actor_client.measured()
        )
        actors = (*self._actor_client.actors(), gateway)
        passivated = self._actor_client.passivated()
        return await asyncio.to_thread(_merge, await ready, systems, passivated, actors, self._own.snapshot())

    async def _ready(self) -> bool:
        try:
            async with asyncio.timeout(self._timeout):
                return not await self._actor_client.readiness()
        except TimeoutError:
            return False

    async def _ask(self, system_id: str) -> Measured:
        answer = await answer_of(self._actor_client, system_id, Measure(), self._timeout)
        return system_id, _SNAPSHOT.decode(answer.body) if answer.code is Code.OK else None


def _merge(
    ready: bool,  # noqa: FBT001 - one fact among the metrics
    systems: Sequence[Measured],
    passivated: int,
    actors: Iterable[ActorState],
    own: Snapshot,
) -> Merged:
    merged = Merged()
    merged.one(metrics.READY, float(ready))
    merged.one(metrics.SYSTEMS, len(systems) - passivated, "active")
    merged.one(metrics.SYSTEMS, passivated, "passivated")
    merged.one(metrics.BUILD, 1.0, __version__, platform.python_version())
    merged.add(own)
    for system_id, snapshot in systems:
        merged.one(metrics.SYSTEM_UP, float(snapshot is not None), system=system_id)
        if snapshot is not None:
            merged.add(snapshot, actor="system", system=system_id)
    for actor in actors:
        _add_actor(merged, actor)
    return merged


def _add_actor(merged: Merged, actor: ActorState) -> None:
    whose = {"actor": actor.actor, "system": actor.system}
    merged.one(metrics.ACTOR_UP, float(actor.running), **whose)
    merged.one(metrics.RESTARTS, actor.restarts, **whose)
    if actor.snapshot is not None:
        merged.add(actor.snapshot, **whose)
    used = usage_of(actor.pid) if actor.pid else None
    if used is not None:
        merged.one(metrics.CPU, used.cpu, **whose)
        merged.one(metrics.MEMORY, used.resident, **whose)
