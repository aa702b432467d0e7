"""Rows of a cluster: what three nodes do beside one, and how long the systems of a killed node are without an owner.

Three nodes, PostgreSQL and RabbitMQ share this machine. The systems are written into the database while the nodes run,
most of them at rest, as they would be after a while.
"""

import asyncio
import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg

from benchmarks.bench import SETTLED, Bench, Maestro, Publisher, Stage, wait_for
from benchmarks.figures import Row
from benchmarks.processes import CpuMeter, cpu_seconds, per_event, pids
from benchmarks.rows_events import no_impact, publish_all, warm_up
from maestro.broker.topology import SystemQueues
from maestro.settings.loading import load_settings
from maestro.store.installation import begin_start
from maestro.store.postgres.stores import PostgresStores
from maestro.store.rest_mark import RestMark, encoded
from maestro.system.rest_basis import rest_basis
from tests.faults.watching import processes_of
from tests.support.postgres import PostgresNode

CLUSTER = "bench"
#: The first one is killed.
NODES = ("north", "east", "south")
_LEFT = "SELECT count(*) FROM maestro.systems WHERE node IN ('', 'north')"
#: Seconds in which all systems are owned and consumed at first, and again.
_MADE, _HEALED = 600.0, 120.0


def take_over(bench: Bench, systems: int, active: int, wanted: float) -> list[Row]:
    """Kill all processes of one node of three; `active` of the systems have a process, the others are at rest."""
    ids = [f"sys{n:05d}" for n in range(systems)]
    server = PostgresNode(f"max_connections={active + 100}", "shared_buffers=64MB")
    try:
        server.start()
        database = server.create_database()
        asyncio.run(_prepare(server.url(database)))
        with bench.stage([]) as stage, _nodes(stage, server.url(database)) as nodes:
            lost, *others = nodes.values()
            _write_systems(server.url(database), lost, ids, active)
            _until_consumed(stage, ids, _MADE)
            owners = dict(server.execute("SELECT id, node FROM maestro.systems", database))
            theirs = [one for one in ids if owners[one] == NODES[0]]
            awake = [one for one in theirs if one < ids[active]]
            _until_answered(list(nodes.values()), ids[:active], _MADE)
            processes = sum(map(_systems, others))
            began = time.monotonic()
            _kill(lost)
            owned = _until_owned(lambda: server.execute(_LEFT, database)[0][0]) - began
            with ThreadPoolExecutor() as looks:
                answers = looks.submit(_until_answered, others, awake, _HEALED)
                consumed = _until_consumed(stage, theirs, _HEALED) - began
                answered = answers.result() - began
            started = sum(map(_systems, others)) - processes
            woken = _wake(stage, theirs[-1])
    finally:
        server.close()
    name = f"take-over, {systems:,} systems, {active} of them active, a node of three is killed"
    more = {"its systems": len(theirs), "of them active": len(awake), "processes started": started,
            "an event of one at rest commits, s": round(woken, 2)}  # fmt: skip
    return [
        Row(f"{name}: all owned", owned, "s", wanted, at_most=True, more=more),
        Row(f"{name}: all consumed", consumed, "s", wanted, at_most=True),
        Row(f"{name}: all active ones answer", answered, "s", wanted, at_most=True),
    ]  # fmt: skip


async def _prepare(url: str) -> None:
    """Make the cluster's tables."""
    with tempfile.TemporaryDirectory() as folder:
        await PostgresStores(url, 30.0, Path(folder), CLUSTER).enter(begin_start(Path(folder)))


def throughput(bench: Bench, systems: int, latency: float, count: int) -> Row:
    """Publish events that impact nothing: three nodes with PostgreSQL on the same cores. The floor is one node alone.

    Says what an event costs each part, and what it costs one node with its stores in SQLite.
    """
    ids = [f"sys{n}" for n in range(systems)]
    alone = no_impact(bench, systems, latency, count, None)
    server = PostgresNode("max_connections=200", "shared_buffers=64MB")
    try:
        server.start()
        database = server.create_database()
        asyncio.run(_prepare(server.url(database)))
        with bench.stage(ids) as stage, _nodes(stage, server.url(database)) as nodes:
            _until_consumed(stage, ids, _MADE)
            stage.double.config(latency=latency)
            warm_up(stage)
            time.sleep(SETTLED)
            meters = [CpuMeter(node.data_dir) for node in nodes.values()]
            others = {"PostgreSQL": server.processes(), "RabbitMQ": [bench.node.pid]}
            before = {name: sum(map(cpu_seconds, one)) for name, one in others.items()}
            took = publish_all(stage, count)
            used = {name: sum(map(cpu_seconds, one)) - before[name] for name, one in others.items()}
            for name, seconds in ((name, seconds) for meter in meters for name, seconds in meter.used().items()):
                used[name] = used.get(name, 0.0) + seconds
    finally:
        server.close()
    cpu = per_event(used, count)
    more = {"cpu us/event": cpu, "cpu us/event, all": round(sum(cpu.values()), 1), "events": count,
            "one node": alone.more}  # fmt: skip
    name = f"no-impact events, {systems} systems over three nodes, PostgreSQL, siblings {latency * 1000:g} ms"
    return Row(name, count / took, "events/s", floor=alone.value, more=more)


@contextmanager
def _nodes(stage: Stage, url: str) -> Iterator[dict[str, Maestro]]:
    """Run three nodes, by name; each is ready, and owns nothing yet."""
    cluster = {"MAESTRO_CLUSTER__NAME": CLUSTER, "MAESTRO_STORE__URL": url}
    nodes: dict[str, Maestro] = {}
    try:
        for name in NODES:
            folder = stage.maestro.data_dir.parent / name
            folder.mkdir()
            nodes[name] = Maestro(folder, stage.maestro.environment | cluster | {"MAESTRO_CLUSTER__NODE": name})
            nodes[name].start([])
        yield nodes
    finally:
        for node in nodes.values():
            _kill(node)
            node.process.wait()


def _kill(node: Maestro) -> None:
    """Kill all processes of a node."""
    for pid in processes_of(node.data_dir):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _write_systems(url: str, node: Maestro, ids: Sequence[str], active: int) -> None:
    """Have these systems in the database, free; the first ones have no mark."""
    basis = rest_basis(load_settings(None, os.environ | node.environment))
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        with cursor.copy("COPY maestro.rest_marks (system, state, mark) FROM STDIN") as marks:
            for system in ids[active:]:
                body = b'{"id":"%s","state":"passivated","queues":{}}' % system.encode()
                todo = b'{"total":0,"counts":{},"items":[],"errors":0,"failed":0,"lastFailure":""}'
                empty = b'{"samples":[],"distributions":[]}'
                marks.write_row((system, "bench 0", encoded(RestMark(basis, "bench 0", 1.0, body, todo, empty, b"{}"))))
        with cursor.copy("COPY maestro.systems (id, epoch, life, number, lock) FROM STDIN") as rows:
            for system in ids:
                rows.write_row((system, 1, "bench", 0, 2))


def _systems(node: Maestro) -> int:
    """Return how many systems have a process at a node."""
    return sum(name.startswith("system ") for name in pids(node.data_dir))


def _until_owned(left: Callable[[], int]) -> float:
    """Wait until no system is the dead node's or nobody's; return when (monotonic)."""
    wait_for(lambda: left() == 0, "all systems are owned", _HEALED, pause=0.05)
    return time.monotonic()


def _until_consumed(stage: Stage, systems: Sequence[str], seconds: float) -> float:
    """Wait until the queues of these systems are consumed; return when (monotonic)."""
    publisher = Publisher(stage.url)
    try:
        for system in systems:
            queue = SystemQueues(system).persist
            wait_for(lambda queue=queue: publisher.consumed(queue), f"{queue} is consumed", seconds)
    finally:
        publisher.close()
    return time.monotonic()


def _until_answered(nodes: Sequence[Maestro], systems: Sequence[str], seconds: float) -> float:
    """Wait until the processes of these systems answer at one of the nodes; return when (monotonic)."""
    for number, system in enumerate(systems):
        node = nodes[number % len(nodes)]
        wait_for(lambda node=node, system=system: _answers(node, system), f"{system} answers", seconds, pause=0.05)
    return time.monotonic()


def _answers(node: Maestro, system: str) -> bool:
    with suppress(OSError):
        return node.system(system)["state"] == "open"
    return False


def _wake(stage: Stage, system: str) -> float:
    """Publish an event of a system at rest; return the seconds until it is committed."""
    publisher = Publisher(stage.url)
    try:
        stage.double.reset()
        began = time.monotonic()
        publisher.event(system)
        stage.committed(1, 60)
        return time.monotonic() - began
    finally:
        publisher.close()
