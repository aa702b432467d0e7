"""PostgreSQL's primary is killed under load and its synchronous standby promoted: nothing acknowledged is lost.

The nodes name both servers in their URL, and find the one that takes writes by themselves.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from tests.faults import invariants
from tests.faults.figures import note
from tests.faults.load import Load
from tests.faults.watching import watched
from tests.support.cluster import LEASE, cluster
from tests.support.lacking import lacking
from tests.support.postgres import PASSWORD, PostgresNode, find_programs
from tests.support.stage import eventually

pytestmark = [pytest.mark.rabbitmq, pytest.mark.postgres, pytest.mark.alone, pytest.mark.timeout(600)]
SYSTEMS = tuple(f"s{number}" for number in range(6))
#: Seconds in which everything must commit again; generous, for a machine of two cores that runs all of it.
HEALED = 120.0
#: Commits that need nothing of the database any more, by system: what is recorded before it is begun.
IN_HAND = Counter(dict.fromkeys(SYSTEMS, 2))


@pytest.fixture
def primary() -> Iterator[PostgresNode]:
    """A server of this test's own, which it may lose."""
    if find_programs() is None:
        lacking("PostgreSQL")
    node = PostgresNode()
    try:
        node.start()
        yield node
    finally:
        node.close()


@pytest.fixture
def standby(primary: PostgresNode) -> Iterator[PostgresNode]:
    """Its synchronous standby."""
    node = PostgresNode(follows=primary)
    try:
        node.start()
        primary.wait_for_standby()
        yield node
    finally:
        node.close()


def system_of(instance: str) -> str:
    return instance.partition(".")[0]


@pytest.mark.parametrize("away", [0.0, 2 * LEASE], ids=["at once", "after all leases are over"])
async def test_a_promoted_standby_carries_on(
    tmp_path: Path, vhost_url: str, primary: PostgresNode, standby: PostgresNode, dice: Random, away: float
) -> None:
    database = await asyncio.to_thread(primary.create_database)
    both = f"127.0.0.1:{primary.port},127.0.0.1:{standby.port}"
    url = f"postgresql://postgres:{PASSWORD}@{both}/{database}?target_session_attrs=read-write"
    load = Load(SYSTEMS, 100, dice, impacting=0.03)
    environ = {**load.environ, "MAESTRO_STORE__URL": url}
    async with cluster(tmp_path, vhost_url, primary, database, SYSTEMS, nodes=3, **environ) as it:
        load.prepare(it)
        async with watched(it.nodes, SYSTEMS) as watcher:
            deciding = asyncio.create_task(load.decide(it))
            await load.publish(it, 20)
            publishing = asyncio.create_task(load.publish(it, 80))
            await asyncio.to_thread(primary.kill)
            lost = time.monotonic()
            await asyncio.sleep(away)
            await asyncio.to_thread(standby.promote)
            it.server = standby
            since, before = time.monotonic(), Counter(map(system_of, it.siblings.commits))

            async def go_on() -> bool:
                """Whether every system has committed more than what it may have had in hand."""
                return {*(Counter(map(system_of, it.siblings.commits)) - before - IN_HAND)} == {*SYSTEMS}

            await eventually(go_on, "all systems commit again", HEALED)
            note(
                f"PostgreSQL's primary killed, the standby promoted, lease {LEASE:g} s",
                promoted=round(since - lost, 2), healed=round(time.monotonic() - since, 2),
            )  # fmt: skip
            await publishing
            await load.settled(it)
            deciding.cancel()
        figures = await invariants.check(it, load, watcher, crashes=0)
        note("a promoted standby", **figures)
