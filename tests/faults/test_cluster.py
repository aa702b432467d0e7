"""A node of three ends, stands still or is upgraded under load: others take over, and nothing else happens.

A node that stood still wakes as a zombie: its lease is over. It commits nothing, acknowledges nothing, answers no lock
check, and joins again as a new node.
"""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
import pytest

from tests.faults import invariants
from tests.faults.figures import note
from tests.faults.load import Load
from tests.faults.watching import processes_of, watched
from tests.support.cli import maestro
from tests.support.cluster import LEASE, Cluster, ClusterNode, cluster
from tests.support.postgres import PostgresNode
from tests.support.stage import eventually

pytestmark = [pytest.mark.rabbitmq, pytest.mark.postgres, pytest.mark.alone, pytest.mark.timeout(600)]
SYSTEMS = tuple(f"s{number}" for number in range(6))
#: Seconds in which the systems of a node that is gone must be served again; generous, for a machine of two cores that
#: runs three nodes, PostgreSQL and RabbitMQ.
HEALED = 60.0


async def taken_over(it: Cluster, lost: ClusterNode) -> float:
    """Wait until the others own everything, and everything commits again; return how long that took."""
    since, commits = time.monotonic(), len(it.siblings.commits)
    owned = [system for system, owner in (await it.owners()).items() if owner == lost.name]
    await it.all_owned(by=[node.name for node in it.nodes if node is not lost])

    async def go_on() -> bool:
        seen = {name.partition(".")[0] for name in it.siblings.commits[commits:]}
        return seen >= {*owned}

    await eventually(go_on, f"{owned} commit again", HEALED)
    return time.monotonic() - since


async def busiest(it: Cluster) -> ClusterNode:
    owners = list((await it.all_owned()).values())
    return it.node(max(set(owners), key=owners.count))


async def kill(it: Cluster, node: ClusterNode) -> None:
    await node.kill()
    await taken_over_and_noted(it, node, "killed")
    await node.start(wait=False)


async def freeze(it: Cluster, node: ClusterNode) -> None:
    node.freeze()
    await taken_over_and_noted(it, node, "frozen")
    former = processes_of(node.folder / "data") - {node.process.pid} if node.process is not None else set()
    node.thaw()
    await says_nothing_before_it_is_a_node_again(it, node)
    assert "everything it owned has ended" in node.log.read_text()
    assert not former & processes_of(node.folder / "data"), "processes of the former life went on"


async def says_nothing_before_it_is_a_node_again(it: Cluster, node: ClusterNode) -> None:
    """See that a woken node answers no lock check before it has joined again."""
    deadline = time.monotonic() + HEALED
    while True:
        answers = [await status_of(node, system) for system in SYSTEMS]
        if (await it.rows())[node.name]["beat"] > 0:  # asked after the answers: it was none when they were given
            return
        assert {*answers} <= {0, 503}
        assert time.monotonic() < deadline, f"{node.name} does not join again"


async def status_of(node: ClusterNode, system: str) -> int:
    """Return the status of a lock check; 0: there is no answer."""
    try:
        return int((await node.get(f"/v1.0.0/gateway/{system}/proceed", ok=False))["_status"])
    except (aiohttp.ClientError, TimeoutError):
        return 0


async def cut(it: Cluster, node: ClusterNode) -> None:
    """Cut the node off from PostgreSQL only: RabbitMQ and the siblings are still there for it."""
    await node.store.refuse()
    await taken_over_and_noted(it, node, "cut off from PostgreSQL")
    await node.store.accept()


async def taken_over_and_noted(it: Cluster, node: ClusterNode, how: str) -> None:
    note(f"a node of three, {how}, lease {LEASE:g} s", healed=round(await taken_over(it, node), 2))


@pytest.mark.parametrize("happens", [kill, freeze, cut])
async def test_the_others_take_over(
    tmp_path: Path, vhost_url: str, postgres_node: PostgresNode, database: str, dice: Random,
    happens: Callable[[Cluster, ClusterNode], Any],
) -> None:  # fmt: skip
    load = Load(SYSTEMS, 150, dice, impacting=0.02)
    environ = {**load.environ, "MAESTRO_LOG__LEVEL": "info"}
    async with cluster(tmp_path, vhost_url, postgres_node, database, SYSTEMS, nodes=3, **environ) as it:
        load.prepare(it)
        async with watched(it.nodes, SYSTEMS) as watcher:
            deciding = asyncio.create_task(load.decide(it))
            await load.publish(it, 30)
            publishing = asyncio.create_task(load.publish(it, 120))
            node = await busiest(it)
            await happens(it, node)
            await publishing

            async def back() -> bool:
                row = (await it.rows())[node.name]
                return bool(row["beat"] > 0)

            await eventually(back, f"{node.name} is a node again", HEALED)
            await load.settled(it)
            deciding.cancel()
        figures = await invariants.check(it, load, watcher, crashes=1)
        note(f"cluster, {happens.__name__}", **figures)


async def test_a_rolling_upgrade_loses_nothing(
    tmp_path: Path, vhost_url: str, postgres_node: PostgresNode, database: str, dice: Random
) -> None:
    load = Load(SYSTEMS, 150, dice, impacting=0.05)
    async with cluster(tmp_path, vhost_url, postgres_node, database, SYSTEMS, nodes=3, **load.environ) as it:
        load.prepare(it)
        await it.all_owned()
        async with watched(it.nodes, SYSTEMS) as watcher:
            deciding = asyncio.create_task(load.decide(it))
            publishing = asyncio.create_task(load.publish(it, 150))
            for node in it.nodes:
                others = [one.name for one in it.nodes if one is not node]
                began = time.monotonic()
                await maestro(node, "drain", node.name)
                await it.all_owned(by=others)
                note("a node of three is drained under load", seconds=round(time.monotonic() - began, 2))
                assert await node.stop() == 0
                await node.start()
                await it.some_owned(by=node.name)
            await publishing
            await load.settled(it)
            deciding.cancel()
        figures = await invariants.check(it, load, watcher, crashes=0)
        assert load.decided, "nothing was decided meanwhile"
        note("rolling upgrade", decided=len(load.decided), **figures)
