"""kill -9 of every process of Maestro at once, again and again, while events flow."""

import asyncio
import time
from pathlib import Path
from random import Random

import pytest

from tests.faults import invariants
from tests.faults.figures import note
from tests.faults.killing import all_gone, kill_everything
from tests.faults.load import Load
from tests.faults.watching import Watcher
from tests.support.stage import stage

pytestmark = pytest.mark.rabbitmq
#: One start in so many is killed before it is done.
HASTY = 4


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("kills", "events", "systems"), [pytest.param(3, 300, 3, marks=pytest.mark.quick), (20, 5000, 5)]
)
async def test_everything_is_killed_while_events_flow(
    tmp_path: Path, vhost_url: str, dice: Random, kills: int, events: int, systems: int
) -> None:
    names = [f"s{number}" for number in range(systems)]
    load = Load(names, events // systems, dice)
    starts: list[float] = []
    async with stage(tmp_path, vhost_url, tuple(names), **load.environ, MAESTRO_LOG__LEVEL="warning") as it:
        load.prepare(it)
        it.siblings.latency = 0.001
        async with Watcher(it, names) as watcher:
            deciding = asyncio.create_task(load.decide(it))
            for number in range(kills):
                publishing = asyncio.create_task(load.publish(it, events // systems // kills + 1))
                await asyncio.sleep(dice.uniform(0.1, 2.0))
                kill_everything(it, dice)
                await all_gone(it)
                began = time.monotonic()
                hasty = number % HASTY == HASTY - 1
                await it.start(wait=not hasty)
                if not hasty:
                    starts.append(time.monotonic() - began)
                await publishing
            await load.publish(it, events)
            if it.process is not None and it.process.returncode is not None:
                await it.start()
            await load.settled(it)
            deciding.cancel()
        figures = await invariants.check(it, load, watcher, crashes=kills)
    assert figures["events"] == events // systems * systems
    note("kill everything", kills=kills, slowest_start=round(max(starts), 2), **figures)
