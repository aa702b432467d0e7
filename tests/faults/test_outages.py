"""Each sibling is away for two minutes: under load, while nothing happens, and within a run.

Nothing is given up: no event is on an error queue, the order is kept, the system says that it is stalled and by whom,
and all of it ends by itself once the sibling is back.
"""

import asyncio
import time
from pathlib import Path

import pytest

from tests.faults.figures import note
from tests.support.cli import maestro
from tests.support.siblings import How
from tests.support.stage import eventually, stage, unit
from tests.support.tenant import Tenant, new_tenant

pytestmark = pytest.mark.timeout(400)
AWAY = 120.0
#: Seconds between two events of the busy system.
PAUSE = 0.5
#: A call that failed is tried again after a minute at most.
BACK_WITHIN = 90.0
#: Which sibling fails how, and whether events that impact nobody need it.
OUTAGES: tuple[tuple[str, How, bool], ...] = (
    ("discovery", 400, True),
    ("apicore", 400, True),
    ("domain", 503, True),
    ("process_memory", "reset", False),
    ("event_manager", 400, False),
)


async def test_each_sibling_is_away_for_two_minutes(tmp_path: Path) -> None:
    """All of them at once, each with a Maestro of its own."""
    for service, *_ in OUTAGES:
        (tmp_path / service).mkdir()
    ended = await asyncio.gather(*(outage(tmp_path / one[0], *one) for one in OUTAGES), return_exceptions=True)
    problems = {service: what for (service, *_), what in zip(OUTAGES, ended, strict=True) if what is not None}
    assert problems == {}


async def outage(folder: Path, service: str, how: How, needed: bool) -> None:  # noqa: FBT001 - a row of the table
    async with stage(folder) as it:
        metadata = {"type": "row", "rid": "r1", "branch": "master", "changeTrack": "update"}
        it.siblings.default_entities = [{"id": "r1", "_metadata": metadata}]  # so that each event waits for looks
        busy, idle, running = [await new_tenant(it) for _ in range(3)]
        for tenant in (busy, idle):
            await tenant.publish("before")
            await tenant.commits_are("before")
        it.mute.add(running.system)
        running.impacts("i", unit("p1"))
        running.impacts("r1", unit("p9"))
        doc = await running.approved("i")
        sent = await running.sent(1)

        it.siblings.goes_away(service, how)
        began = time.monotonic()
        await it.answer(sent, "r1")
        names = await load(busy, began)
        await eventually(lambda: stalled_by(running, service), "the run is stalled")
        assert (await running.proceed())["_status"] == 403, "it waits under its lock"
        if needed:
            await eventually(lambda: stalled_by(busy, service), "the busy one is stalled")
        ran = await maestro(it, "doctor", "--json")
        assert ran.code == 1
        assert service in ran.out
        it.siblings.heal()
        healed = time.monotonic()

        await idle.publish("after")
        await idle.commits_are("before", "after")
        await it.answer(await sent_within(running, 2), "r9")
        await it.reaches(doc, "finished", BACK_WITHIN)
        await busy.siblings.wait_for(lambda: len(busy.commits) > len(names), BACK_WITHIN)
        note(f"{service} away for {AWAY:.0f} s", all_done_after=round(time.monotonic() - healed, 1))
        assert busy.commits == ["before", *names], "in order, each once"
        assert running.commits == ["i", "r1", "r9"]
        for tenant in (busy, idle, running):
            assert (await tenant.open_again())["stalled"] is None
            await tenant.depth_is(tenant.queues.persist_error, 0)


async def load(tenant: Tenant, began: float) -> list[str]:
    """Publish until the outage is over; return the names."""
    names: list[str] = []
    while time.monotonic() - began < AWAY:
        names.append(f"i{len(names)}")
        await tenant.publish(names[-1])
        await asyncio.sleep(PAUSE)
    return names


async def stalled_by(tenant: Tenant, service: str) -> bool:
    stalled, metrics = await tenant.stalled_by(service), await tenant.it.metrics()
    return stalled and any(line.startswith(f'maestro_stalled_seconds{{system="{tenant.system}"}}') for line in metrics)


async def sent_within(tenant: Tenant, count: int) -> dict[str, object]:
    await tenant.siblings.wait_for(lambda: len(tenant.sends()) >= count, BACK_WITHIN)
    return await tenant.sent(count)
