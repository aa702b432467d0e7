"""RabbitMQ as a cluster under a cluster of Maestro: the node that Maestro is connected to dies, or stands still.

Every Maestro node names the broker's nodes in the same order, so all of them are connected to the first. The platform
is connected to another one.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from random import Random

import orjson
import pytest

from tests.faults import invariants
from tests.faults.figures import note
from tests.faults.load import Load
from tests.faults.watching import watched
from tests.support.cluster import Cluster, cluster
from tests.support.lacking import lacking
from tests.support.postgres import PostgresNode
from tests.support.rabbitmq import RabbitMQCluster, RabbitMQNode, find_server
from tests.support.stage import Stage, eventually

pytestmark = [pytest.mark.rabbitmq, pytest.mark.postgres, pytest.mark.alone, pytest.mark.timeout(600)]
SYSTEMS = tuple(f"s{number}" for number in range(6))
#: Seconds in which everything must commit again; generous, for a machine of two cores that runs all of it.
HEALED = 120.0


@pytest.fixture(scope="module")
def brokers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMQCluster]:
    """Three nodes of RabbitMQ; the last test here leaves one that may still be on its way back."""
    if find_server() is None:
        lacking("rabbitmq-server")
    nodes = RabbitMQCluster(tmp_path_factory.mktemp("brokers"))
    try:
        nodes.start()
        yield nodes
    finally:
        nodes.close()


async def kill(broker: RabbitMQNode, healed: Callable[[str], Awaitable[None]]) -> None:
    await asyncio.to_thread(broker.kill)
    await healed("killed")
    await asyncio.to_thread(broker.start)


async def freeze(broker: RabbitMQNode, healed: Callable[[str], Awaitable[None]]) -> None:
    await asyncio.to_thread(broker.freeze)
    await healed("frozen")
    broker.thaw()


def broker_of_most(it: Cluster, brokers: RabbitMQCluster) -> RabbitMQNode:
    """Return the broker's node that the ingress of most nodes of Maestro is connected to."""
    found = [connected_to(node) for node in it.nodes]
    most = max(set(found), key=found.count)
    return next(broker for broker in brokers.nodes if most == f"127.0.0.1:{broker.port}")


def connected_to(node: Stage) -> str:
    lines = [orjson.loads(line) for line in node.log.read_bytes().splitlines() if b"broker.connected" in line]
    return str([line["node"] for line in lines if line["actor"] == "ingress"][-1])


@pytest.mark.parametrize("happens", [kill, freeze])
async def test_the_other_nodes_of_the_broker_carry_on(
    tmp_path: Path, brokers: RabbitMQCluster, postgres_node: PostgresNode, database: str, dice: Random,
    happens: Callable[[RabbitMQNode, Callable[[str], Awaitable[None]]], Awaitable[None]],
) -> None:  # fmt: skip
    vhost = f"test-{happens.__name__}"
    await asyncio.to_thread(brokers.create_vhost, vhost)
    load = Load(SYSTEMS, 100, dice, impacting=0.03)
    # Leases are not what is tested: a machine that has a broker to start as well keeps longer ones.
    environ = {**load.environ, "MAESTRO_BROKER__URL": brokers.url(vhost), "MAESTRO_CLUSTER__LEASE": "10"}
    platform = brokers.url(vhost, first=1)
    async with cluster(tmp_path, platform, postgres_node, database, SYSTEMS, nodes=3, **environ) as it:
        load.prepare(it)
        lives = {name: row["incarnation"] for name, row in (await it.rows()).items()}

        async def healed(how: str) -> None:
            """Wait until every system has committed an event that the broker took after this."""
            since, accepted = time.monotonic(), len(load.accepted)

            async def go_on() -> bool:
                committed = {*load.accepted[accepted:]} & {*it.siblings.commits}
                return {name.partition(".")[0] for name in committed} == {*SYSTEMS}

            await eventually(go_on, "all systems commit again", HEALED)
            note(f"the node of RabbitMQ that most are connected to, {how}", healed=round(time.monotonic() - since, 2))

        async with watched(it.nodes, SYSTEMS) as watcher:
            deciding = asyncio.create_task(load.decide(it))
            await load.publish(it, 20)
            publishing = asyncio.create_task(load.publish(it, 80))
            await happens(broker_of_most(it, brokers), healed)
            await publishing
            await load.settled(it)
            deciding.cancel()
        lost = sum(row["incarnation"] != lives[name] for name, row in (await it.rows()).items())
        figures = await invariants.check(it, load, watcher, crashes=lost)
        note(f"a node of RabbitMQ, {happens.__name__}", leases_lost=lost, **figures)
