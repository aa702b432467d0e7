"""Rows of lock checks: `proceed`, asked before nearly every event of the platform."""

import asyncio
import socket
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from statistics import mean

from benchmarks.bench import SETTLED, Bench, background, run, wait_for
from benchmarks.figures import Row
from benchmarks.processes import CpuMeter, per_event
from maestro.ports import free_port
from maestro.store.installation import begin_start
from maestro.store.postgres.stores import PostgresStores
from tests.support.postgres import PostgresNode

CONNECTIONS = 32
#: Turns of a row and its floor, where the two are measured by turns.
TURNS = 4
PROCEED = "/v1.0.0/gateway/{}/proceed"


def lock_checks(bench: Bench, systems: int, seconds: float) -> list[Row]:
    """Ask from 32 connections, of one system or of many at random; beside a bare aiohttp handler."""
    ids = [f"sys{n}" for n in range(systems)]
    paths = [PROCEED.format(system) for system in ids]
    floor = bare_handler(seconds, paths)
    with bench.stage(ids) as stage, stage.serving():
        time.sleep(SETTLED)
        meter = CpuMeter(stage.maestro.data_dir)
        found = run("benchmarks.http_load", stage.maestro.port, CONNECTIONS, seconds, *paths)
        used = meter.used()
    count = int(found["rate"] * (seconds + 0.5))
    name = f"lock checks, 32 connections, {systems} system{'s' * (systems > 1)}"
    more = {key: found[key] for key in ("p50 ms", "p90 ms", "p99 ms", "statuses")}
    more |= {"cpu us/check": per_event(used, count), "floor p99 ms": floor["p99 ms"]}
    rate = Row(name, found["rate"], "checks/s", floor["rate"], floor=floor["rate"], more=more)
    worst = Row(f"{name}: p99", found["p99 ms"], "ms", 1.2 * floor["p99 ms"], at_most=True, floor=floor["p99 ms"])
    return [rate, worst]


def bare_handler(seconds: float, paths: list[str]) -> dict[str, float]:
    """Measure a handler that answers 200 and nothing else."""
    port = free_port()
    with background("benchmarks.floors", "handler", port):
        wait_for(lambda: listens(port), "the bare handler listens")
        found: dict[str, float] = run("benchmarks.http_load", port, CONNECTIONS, seconds, *paths)
    return found


def remote_lock_checks(_bench: Bench, systems: int, seconds: float) -> list[Row]:
    """Ask a gateway that owns none of the systems from 32 connections; by turns with a bare aiohttp handler.

    PostgreSQL runs on the same machine: what it takes is not there for the gateway.
    """
    ids = [f"sys{n}" for n in range(systems)]
    paths = [PROCEED.format(system) for system in ids]
    node = PostgresNode()
    ports = free_port(), free_port()
    try:
        node.start()
        url = node.url(node.create_database())
        asyncio.run(_stored(url, ids))
        with background("benchmarks.floors", "handler", ports[0]), background("benchmarks.gateway", ports[1], url):
            for port in ports:
                wait_for(partial(listens, port), "it listens")
            turns = [
                [run("benchmarks.http_load", port, CONNECTIONS, seconds / 2, *paths) for port in ports]
                for _ in range(TURNS)
            ]
    finally:
        node.close()
    floor, rate = (mean(found["rate"] for found in one) for one in zip(*turns, strict=True))
    last_floor, last = turns[-1]
    name = f"lock checks of another node's systems, 32 connections, {systems} system{'s' * (systems > 1)}"
    more = {key: last[key] for key in ("p50 ms", "p90 ms", "p99 ms", "statuses")}
    more |= {"floor p99 ms": last_floor["p99 ms"]}
    return [Row(name, rate, "checks/s", 0.8 * floor, floor=floor, more=more)]


async def _stored(url: str, ids: Sequence[str]) -> None:
    """Have these systems in a database, their locks open."""
    with tempfile.TemporaryDirectory() as folder:
        stores = PostgresStores(url, 30.0, Path(folder))
        await stores.enter(begin_start(Path(folder)))
        for system in ids:
            store = await stores.open(system)
            store.show_lock(b"")
            await store.commit([], durable=True)
            store.close()
            await store.ended()


def double_alone(bench: Bench, seconds: float) -> list[Row]:
    """Measure the double: what it can do at once, and how long its 5 ms are."""
    with bench.stage(["sys0"]) as stage:
        path = "/v1.0.0/discovery/entities?systemID=sys0&instanceID=sys0--1"
        at_once = run("benchmarks.http_load", stage.double.port, CONNECTIONS, seconds, path)
        stage.double.config(latency=0.005)
        slow = run("benchmarks.http_load", stage.double.port, 1, seconds, path)
    return [
        Row("the double alone, 32 connections", at_once["rate"], "calls/s", more=at_once),
        Row("the double alone, 1 connection, 5 ms", slow["rate"], "calls/s", more=slow),
    ]


def listens(port: int) -> bool:
    """Whether somebody listens on a port of this machine."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
