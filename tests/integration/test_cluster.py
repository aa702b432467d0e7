"""Several nodes on one PostgreSQL and one RabbitMQ: who serves what, and what happens when a node comes or goes."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest

from tests.support.cli import maestro
from tests.support.cluster import Cluster, ClusterNode, cluster
from tests.support.postgres import PostgresNode
from tests.support.stage import START_PATIENCE, Stage, event, eventually, stage, unit

pytestmark = [pytest.mark.rabbitmq, pytest.mark.postgres, pytest.mark.timeout(600)]
SYSTEMS = tuple(f"s{number}" for number in range(6))


@pytest.fixture
async def it(tmp_path: Path, vhost_url: str, postgres_node: PostgresNode, database: str) -> AsyncIterator[Cluster]:
    async with cluster(tmp_path, vhost_url, postgres_node, database, SYSTEMS, nodes=2) as it:
        yield it


async def committed(it: Stage, name: str) -> None:
    """Publish an event of each system, and wait until all are committed, each once."""
    for system in SYSTEMS:
        await it.publish(event(f"{system}.{name}", system), system=system)
    await it.siblings.wait_for(lambda: {f"{system}.{name}" for system in SYSTEMS} <= {*it.siblings.commits}, 60)
    assert len(it.siblings.commits) == len({*it.siblings.commits})


async def checks(it: Cluster, system: str, status: int) -> None:
    """See that every node answers a lock check of a system so."""
    for node in it.nodes:
        answer = await node.get(f"/v1.0.0/gateway/{system}/proceed", ok=False)
        assert answer["_status"] == status, (node.name, answer)


async def owns_nothing(it: Cluster, node: ClusterNode) -> None:
    async def nothing() -> bool:
        return node.name not in (await it.owners()).values()

    await eventually(nothing, f"{node.name} owns nothing", START_PATIENCE)


async def test_nodes_share_hand_over_and_take_in(it: Cluster) -> None:
    first, second = it.nodes
    owners = await it.all_owned()
    assert set(owners.values()) == {"node1", "node2"}
    await committed(it, "i1")

    # A system in a run stays until the run ends; all else goes.
    busy = next(system for system, owner in owners.items() if owner == first.name)
    it.mute.add(busy)
    it.siblings.impacts[f"{busy}.h"] = [unit(f"{busy}.u")]
    await it.publish(event(f"{busy}.h", busy), system=busy)
    doc = await second.pending(busy)  # asked of the node that does not own it
    await second.decide(doc, "approve")
    await it.siblings.wait_for(lambda: bool(it.replays(busy)), 60)
    await checks(it, busy, 403)
    assert "hands its systems over" in (await maestro(first, "drain", first.name)).out

    async def only_the_busy_one() -> bool:
        return [system for system, owner in (await it.owners()).items() if owner == first.name] == [busy]

    await eventually(only_the_busy_one, f"{first.name} owns {busy} only", START_PATIENCE)
    shown = await maestro(second, "nodes")
    assert next(line.split()[:3] for line in shown.out.splitlines() if "node1" in line) == ["node1", "drains", "1"]

    async def says_why() -> bool:
        return f"node1 waits for: {busy} (is in a run)" in (await maestro(second, "nodes")).out

    await eventually(says_why, "what is waited for is said", START_PATIENCE)
    await checks(it, busy, 403)
    it.mute.clear()
    await it.answer(it.replays(busy)[0])
    await it.reaches(doc, "finished")
    await owns_nothing(it, first)
    await checks(it, busy, 200)
    await committed(it, "i2")

    # It can be stopped now, and nobody notices; back, it takes its share again.
    commits = len(it.siblings.commits)
    await first.stop()
    assert (await it.rows())[first.name]["beat"] == 0
    await committed(it, "i3")
    assert len(it.siblings.commits) == commits + len(SYSTEMS)
    await first.start()

    async def shares() -> bool:
        return {*(await it.owners()).values()} == {"node1", "node2"}

    await eventually(shares, "both own systems again", START_PATIENCE)
    await committed(it, "i4")
    told = (await maestro(second, "nodes", "--json")).json
    assert [(one["name"], one["live"]) for one in told["nodes"]] == [
        ("node1", True),
        ("node2", True),
    ]


async def test_a_node_without_its_database_does_nothing_and_goes_on_by_itself(
    it: Cluster, postgres_node: PostgresNode
) -> None:
    await it.all_owned()
    await committed(it, "i1")
    postgres_node.freeze()
    try:
        for node in it.nodes:

            async def refuses(node: ClusterNode = node) -> bool:
                answer = await node.get("/readyz", ok=False)
                return answer["_status"] == 503 and "lease" in str(answer)

            await eventually(refuses, f"{node.name} says that its lease is over", START_PATIENCE)
            assert (await node.get(f"/v1.0.0/gateway/{SYSTEMS[0]}/proceed", ok=False))["_status"] == 503
        for system in SYSTEMS:
            await it.publish(event(f"{system}.i2", system), system=system)
        await asyncio.sleep(2)
        assert not [name for name in it.siblings.commits if name.endswith("i2")]
    finally:
        postgres_node.thaw()
    await it.siblings.wait_for(lambda: len({*it.siblings.commits}) == 2 * len(SYSTEMS), 120)
    assert len(it.siblings.commits) == 2 * len(SYSTEMS)


async def test_what_is_at_rest_gets_no_process_by_a_take_over(
    tmp_path: Path, vhost_url: str, postgres_node: PostgresNode, database: str
) -> None:
    environ = {"MAESTRO_ACTORS__IDLE_AFTER": "1"}
    async with cluster(tmp_path, vhost_url, postgres_node, database, SYSTEMS, nodes=2, **environ) as it:
        await it.all_owned()
        await committed(it, "i1")
        it.siblings.impacts["s0.h"] = [unit("s0.u")]
        await it.publish(event("s0.h", "s0"), system="s0")
        await it.pending("s0")
        rest = set(SYSTEMS) - {"s0"}

        async def all_rest() -> bool:
            listed = (await it.get("/v1.0.0/systems", ok=False))["list"]
            return {one["id"] for one in listed if one["state"] == "passivated"} == rest

        await eventually(all_rest, "all rest but s0", START_PATIENCE)
        lost = it.node((await it.all_owned())["s0"])
        other = next(node for node in it.nodes if node is not lost)
        before = len(created(other))
        await lost.kill()
        await it.all_owned(by=[other.name])

        async def goes_on() -> bool:
            return (await other.get("/v1.0.0/reprocessing/s0/pending", ok=False))["_status"] == 200

        await eventually(goes_on, "s0 answers", START_PATIENCE)
        await eventually(all_rest, "all rest but s0", START_PATIENCE)
        assert created(other)[before:] == ["s0"]
        doc = await other.pending("s0")
        await other.decide(doc, "skip")
        await committed(it, "i2")


def created(node: ClusterNode) -> list[str]:
    """Return the systems of the processes that a node has started, in that order."""
    lines = [orjson.loads(line) for line in node.log.read_text().splitlines() if '"actor created"' in line]
    return [line["system"] for line in lines if line["system"]]


async def test_one_maestro_becomes_a_cluster(
    tmp_path: Path, vhost_url: str, postgres_node: PostgresNode, database: str
) -> None:
    """As docs/cluster.md has it: its stores move to PostgreSQL, which becomes the cluster's, then others join."""
    url = postgres_node.url(database)
    async with stage(tmp_path, vhost_url, systems=SYSTEMS) as it:
        await committed(it, "i1")
        it.siblings.impacts["s0.h"] = [unit("s0.u")]
        await it.publish(event("s0.h", "s0"), system="s0")
        doc = await it.pending("s0")
        await it.publish(event("s0.w", "s0"), system="s0")

        async def waits() -> bool:
            return bool((await it.get("/v1.0.0/systems/s0"))["waiting"])

        await eventually(waits, "an event waits")
        await it.stop()

        # Its stores are in PostgreSQL from now on.
        it._environ |= {"MAESTRO_STORE__URL": url}
        moved = await maestro(it, "store", "migrate", "--to", "postgresql")
        assert moved.code == 0, moved
        # It is a node, and what it has is the cluster's.
        it._environ |= {
            "MAESTRO_CLUSTER__NAME": "grid",
            "MAESTRO_CLUSTER__NODE": "north",
            "MAESTRO_CLUSTER__LEASE": "3",
        }
        refused = await maestro(it, "adopt")
        assert "cluster" in refused.err
        claimed = await maestro(it, "store", "claim")
        assert claimed.code == 0, claimed
        await it.start()
        (tmp_path / "south").mkdir()
        second = Stage(tmp_path / "south", vhost_url, SYSTEMS, it._environ | {"MAESTRO_CLUSTER__NODE": "south"})
        second.siblings, second.http, second.broker = it.siblings, it.http, it.broker
        try:
            await second.start()

            async def share() -> bool:
                owners = postgres_node.execute("SELECT node FROM maestro.systems", database)
                return {node for (node,) in owners} == {"north", "south"}

            await eventually(share, "both own systems", START_PATIENCE)
            assert (await second.pending("s0")) == doc
            await second.decide(doc, "approve")
            await it.reaches(doc, "finished")
            await it.siblings.wait_for(lambda: "s0.w" in it.siblings.commits, 60)
            await committed(it, "i2")
            assert (await maestro(it, "doctor")).out.count("lives, and owns") == 2
        finally:
            await second.stop()
