"""Rows of decisions: many at once, and one about very many units."""

import tempfile
import time

from benchmarks.bench import SETTLED, Bench, Publisher, Stage, background, one_waiting, run, wait_for
from benchmarks.figures import Row, percentiles
from benchmarks.rows_locks import listens
from maestro.ports import free_port

CONNECTIONS = 32
SYSTEM = "sys0"
#: Origins that a system fetches at the same time.
ORIGINS_AT_ONCE = 16


def decisions(bench: Bench, systems: int, rounds: int) -> Row:
    """Approve a reprocessing of each system from 32 connections, over and over; each is answered when durable."""
    ids = [f"sys{n}" for n in range(systems)]
    times: list[float] = []
    with bench.stage(ids) as stage, stage.serving(), stage.publisher() as publisher:
        time.sleep(SETTLED)
        for number in range(rounds):
            found = _decide_all(stage, publisher, done=systems * (number + 1))
            times += found if number else []  # the first one warms up
    found = percentiles(times)
    floor = _durable_handler(systems, rounds)
    name = f"decisions, {CONNECTIONS} connections over {systems} systems: p99"
    more = found | {"decisions": len(times), "floor": floor}
    return Row(name, found["p99 ms"], "ms", 20, at_most=True, floor=floor["p99 ms"], more=more)


def _decide_all(stage: Stage, publisher: Publisher, done: int) -> list[float]:
    """Have each system hold an event, approve them all, and wait until `done` runs are finished."""
    for system in stage.systems:
        publisher.event(system, "hold-1-")
    held = [wait_for(lambda one=system: stage.maestro.pending(one), "all are pending") for system in stage.systems]
    found: list[float] = run("benchmarks.decide", stage.maestro.port, CONNECTIONS, *(one[0]["id"] for one in held))
    wait_for(lambda: stage.double.state()["finished"] == done, "all runs are finished")
    return found


def _durable_handler(systems: int, rounds: int) -> dict[str, float]:
    """Measure a handler that syncs a file of its own for each system before it answers."""
    port = free_port()
    times: list[float] = []
    with tempfile.TemporaryDirectory() as folder, background("benchmarks.floors", "durable", port, folder):
        wait_for(lambda: listens(port), "the durable handler listens")
        for number in range(rounds):
            found = run("benchmarks.decide", port, CONNECTIONS, *(f"sys{n}" for n in range(systems)))
            times += found if number else []
    return percentiles(times)


def large_document(bench: Bench, units: int) -> list[Row]:
    """Hold an event for `units` units, approve it, and let its run start; questions of that system go on meanwhile."""
    with bench.stage([SYSTEM]) as stage, stage.serving(), stage.publisher() as publisher:
        stage.double.config(executing=0)
        with stage.asking(one_waiting(SYSTEM)) as idle:
            time.sleep(2)
        with stage.asking(one_waiting(SYSTEM)) as opening:
            began = time.monotonic()
            publisher.event(SYSTEM, f"hold-{units}-")
            document = _pending(stage)
            pending = time.monotonic() - began
        with stage.asking(one_waiting(SYSTEM)) as deciding:
            approve = stage.maestro.approve(document)
            wait_for(lambda: stage.double.state()["sends"] == 1, "the first replay is sent", 120)
            time.sleep(1)
        floor = run("benchmarks.floors", "calls", stage.double.port, ORIGINS_AT_ONCE, 2, "origin")
        stage.maestro.cancel(document)
    name = f"a document of {units:,} units"
    quiet = idle.found[one_waiting(SYSTEM)]
    return [
        Row(f"{name}: pending in", pending, "s", 8, at_most=True, floor=units / floor),
        Row(f"{name}: approve in", approve, "s", 0.5, at_most=True),
        Row(f"{name}: questions while it opens, longest", opening.slowest, "ms", 100, at_most=True,
            floor=quiet["max ms"], more=opening.found[one_waiting(SYSTEM)]),
        Row(f"{name}: questions while its run starts, longest", deciding.slowest, "ms", 100, at_most=True,
            floor=quiet["max ms"], more=deciding.found[one_waiting(SYSTEM)]),
    ]  # fmt: skip


def _pending(stage: Stage) -> str:
    """Wait until the system is blocked by a pending reprocessing; return its id. Its units are not asked for."""
    wait_for(lambda: stage.maestro.system(SYSTEM)["state"] == "pending", "it is pending", 120, pause=0.1)
    id_: str = stage.maestro.pending(SYSTEM)[0]["id"]
    return id_
