"""Several nodes on one PostgreSQL and one RabbitMQ: who serves what, and what happens when a node comes or goes."""

from pathlib import Path

import pytest

from tests.support.cluster import cluster
from tests.support.postgres import PostgresNode
from tests.support.stage import event

pytestmark = [pytest.mark.rabbitmq, pytest.mark.postgres, pytest.mark.timeout(400)]
SYSTEMS = tuple(f"s{number}" for number in range(6))


async def test_two_nodes_share_the_systems(
    tmp_path: Path, vhost_url: str, postgres_node: PostgresNode, database: str
) -> None:
    async with cluster(tmp_path, vhost_url, postgres_node, database, SYSTEMS, nodes=2) as it:
        owners = await it.all_owned()
        assert set(owners.values()) == {"node1", "node2"}
        for system in SYSTEMS:
            await it.publish(event(f"{system}.i1", system), system=system)
        await it.siblings.wait_for(lambda: len(it.siblings.commits) == len(SYSTEMS), 60)
