"""A cluster on one machine: several `maestro serve`, one PostgreSQL, one RabbitMQ, one double of the siblings.

Each node reaches PostgreSQL through a proxy of its own, `node.store`, which can cut it off; unless its environment
says otherwise.

    async with cluster(tmp_path, vhost_url, postgres_node, database, ("sysA", "sysB"), nodes=3) as it:
        await it.publish(event("i1"))
        owner = await it.owner("sysA")
        owner.freeze()

`it` is a `Stage`: its broker, siblings and first node. What is asked of it is asked of a node that answers.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp

from tests.faults.watching import processes_of
from tests.support.postgres import PostgresNode
from tests.support.stage import START_PATIENCE, Stage, eventually
from tests.support.tcp_proxy import TcpProxy

#: Seconds of the leases, which the tests wait out.
LEASE = 3.0


class ClusterNode(Stage):
    """One node, with the broker, the siblings and the HTTP client of its cluster."""

    def __init__(self, name: str, cluster: "Cluster") -> None:
        folder = cluster.folder / name
        folder.mkdir()
        self.store = TcpProxy(cluster.store_port)
        store_url = cluster.store_url.replace(f":{cluster.store_port}/", f":{self.store.port}/")
        environ = {"MAESTRO_STORE__URL": store_url, **cluster.environ_of_nodes, "MAESTRO_CLUSTER__NODE": name}
        super().__init__(folder, cluster.broker_url, (), environ)
        self.name = name
        self.siblings = cluster.siblings
        self.frozen = False

    @property
    def runs(self) -> bool:
        """Whether its main process is there."""
        return self.process is not None and self.process.returncode is None

    def freeze(self) -> None:
        """Stop all of its processes where they stand."""
        self.frozen = True
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let them go on."""
        self.frozen = False
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        for pid in processes_of(self.folder / "data"):
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    async def kill(self) -> None:
        """SIGKILL all of its processes."""
        self._signal(signal.SIGKILL)
        await super().kill()


class Cluster(Stage):
    """All of them. As a stage it is its siblings, its broker, and whichever node answers."""

    def __init__(
        self,
        folder: Path,
        broker_url: str,
        store: PostgresNode,
        database: str,
        systems: Iterable[str],
        count: int,
        environ: dict[str, str],
    ) -> None:
        super().__init__(folder, broker_url, tuple(systems), {})
        self.broker_url = broker_url
        #: The server that is asked who owns what.
        self.server, self._database = store, database
        self.store_url, self.store_port = store.url(database), store.port
        self.environ_of_nodes = {
            "MAESTRO_STORE__TIMEOUT": "2",
            "MAESTRO_CLUSTER__NAME": "tests",
            "MAESTRO_CLUSTER__LEASE": str(LEASE),
            "MAESTRO_LOG__LEVEL": "info",
            **environ,
        }
        self.nodes = [ClusterNode(f"node{number}", self) for number in range(1, count + 1)]
        self.log = self.nodes[0].log

    async def start(self, *, wait: bool = True) -> None:
        """Start all nodes, and wait until each of them answers for every system."""
        for node in self.nodes:
            node.http, node.broker = self.http, self.broker
            await node.store.accept()
        await asyncio.gather(*(node.start(wait=wait) for node in self.nodes))

    async def close(self) -> None:
        """End everything."""
        try:
            await super().close()
        finally:
            for node in self.nodes:
                await node.store.__aexit__(None, None, None)

    async def stop(self) -> int | None:
        """Stop all nodes that run."""
        for node in self.nodes:
            if node.frozen:
                node.thaw()
        await asyncio.gather(*(node.stop() for node in self.nodes))
        return None

    async def _call(self, method: str, path: str, body: Any, *, ok: bool) -> Any:
        """Ask the first node that takes the connection; one that is frozen would, and say nothing.

        One that is far from its store is the last to be asked, as a load balancer would have it that looks at `readyz`.
        """
        problem: Exception = AssertionError("no node runs")
        for node in sorted(self.nodes, key=lambda node: node.store.delay):
            if node.runs and not node.frozen:
                try:
                    return await node._call(method, path, body, ok=ok)
                except (aiohttp.ClientError, TimeoutError) as refused:
                    problem = refused
        raise problem

    # --- who owns what, as the database has it --------------------------------------------------------------------

    async def owners(self) -> dict[str, str]:
        """Return the node that owns each system; empty: none."""
        rows = await asyncio.to_thread(self.server.execute, "SELECT id, node FROM maestro.systems", self._database)
        return dict(rows)

    async def rows(self) -> dict[str, dict[str, Any]]:
        """Return each node's row."""
        statement = "SELECT node, row_to_json(nodes) FROM maestro.nodes"
        return dict(await asyncio.to_thread(self.server.execute, statement, self._database))

    async def all_owned(self, *, by: Iterable[str] = ()) -> dict[str, str]:
        """Wait until every system has an owner, one of these if they are given; return who owns what."""
        allowed = {*by} or {node.name for node in self.nodes}

        async def found() -> dict[str, str] | None:
            owners = await self.owners()
            return owners if {*owners} >= {*self.siblings.systems} and {*owners.values()} <= allowed else None

        return await eventually(found, f"all systems are owned by {sorted(allowed)}", START_PATIENCE)

    async def some_owned(self, *, by: str) -> None:
        """Wait until a node owns a system."""

        async def found() -> bool:
            return by in (await self.owners()).values()

        await eventually(found, f"{by} owns a system", START_PATIENCE)

    def node(self, name: str) -> ClusterNode:
        """Return a node by its name."""
        return next(node for node in self.nodes if node.name == name)


@asynccontextmanager
async def cluster(
    folder: Path,
    broker_url: str,
    store: PostgresNode,
    database: str,
    systems: Iterable[str],
    *,
    nodes: int,
    **environ: str,
) -> AsyncIterator[Cluster]:
    """Have a cluster while the context is open. `environ` adds to each node's environment."""
    it = Cluster(folder, broker_url, store, database, systems, nodes, environ)
    try:
        await it.open()
        yield it
    finally:
        await it.close()
