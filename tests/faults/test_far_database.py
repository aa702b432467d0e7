"""A node of three is far from PostgreSQL: each statement takes its time, and more than a beat may have.

It keeps its lease, or others take its systems over in order. It stays far until all is done, and then is a node again.
"""

import asyncio
import time
from pathlib import Path
from random import Random

import pytest

from tests.faults import invariants
from tests.faults.figures import note
from tests.faults.load import Load
from tests.faults.watching import watched
from tests.support.cluster import cluster
from tests.support.postgres import PostgresNode
from tests.support.stage import START_PATIENCE, eventually

pytestmark = [pytest.mark.rabbitmq, pytest.mark.postgres, pytest.mark.alone, pytest.mark.timeout(900)]
SYSTEMS = tuple(f"s{number}" for number in range(6))


@pytest.mark.parametrize(("delay", "jitter"), [(0.05, 0.1), (0.2, 0.2)])
async def test_a_node_is_far_from_postgresql(
    tmp_path: Path, vhost_url: str, postgres_node: PostgresNode, database: str, dice: Random,
    delay: float, jitter: float,
) -> None:  # fmt: skip
    """Delay and jitter: seconds of each way."""
    load = Load(SYSTEMS, 60, dice, impacting=0.02)
    async with cluster(tmp_path, vhost_url, postgres_node, database, SYSTEMS, nodes=3, **load.environ) as it:
        load.prepare(it)
        async with watched(it.nodes, SYSTEMS) as watcher:
            deciding = asyncio.create_task(load.decide(it))
            await load.publish(it, 20)
            owners = list((await it.all_owned()).values())
            node = it.node(max(set(owners), key=owners.count))
            before = (await it.rows())[node.name]["incarnation"]
            node.store.delay, node.store.jitter = delay, jitter
            since = time.monotonic()
            await load.publish(it, 40)
            await load.settled(it)
            settled = time.monotonic() - since
            kept = (await it.rows())[node.name]["incarnation"] == before
            deciding.cancel()
        figures = await invariants.check(it, load, watcher, crashes=1)
        note(
            f"a node of three, {1000 * delay:g} ms and up to {1000 * jitter:g} ms more from PostgreSQL each way",
            lease_kept=kept, settled=round(settled, 1), **figures,
        )  # fmt: skip
        node.store.delay = node.store.jitter = 0.0

        async def back() -> bool:
            return bool((await it.rows())[node.name]["beat"] > 0)

        await eventually(back, f"{node.name} is a node again", START_PATIENCE)
