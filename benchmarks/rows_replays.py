"""Rows of a reprocessing: many replays in line, and one that grows by cascade."""

import time
from itertools import pairwise

from benchmarks.bench import Bench, BenchError, Stage, run, wait_for
from benchmarks.figures import Row, percentiles
from benchmarks.processes import CpuMeter, per_event, pids, pss_megabytes

SYSTEM = "sys0"
STEPS_SHOWN = 20


def replays(bench: Bench, count: int) -> Row:
    """Approve a reprocessing of `count` units, whose replays are executed at once."""
    with bench.stage([SYSTEM]) as stage, stage.serving():
        document = _pending(stage, count)
        meter = CpuMeter(stage.maestro.data_dir)
        stage.double.reset()
        began = time.monotonic()
        stage.maestro.approve(document)
        wait_for(lambda: stage.double.state()["finished"] == 1, "the reprocessing is finished", 60 + count / 5)
        took = time.monotonic() - began
        cpu = per_event(meter.used(), count)
        made = stage.double.state()["calls"]
        sends = stage.double.sends()
        floor = run("benchmarks.floors", "calls", stage.double.port, 1, 2, "replay")
    if len(sends) != count:
        raise BenchError(f"{len(sends)} replays were sent, not {count}")
    gaps = percentiles([(after - before) / 1e9 for before, after in pairwise(sends)])
    more = gaps | {"cpu us/replay": cpu, "cpu us/replay, all": round(sum(cpu.values()), 1)}
    more["calls/replay"] = round(made / count, 2)
    return Row(f"{count:,} replays, fast executor", count / took, "replays/s", 500, floor=floor, more=more)


def growth(bench: Bench, limit: int, per_step: int) -> list[Row]:
    """Let each replay impact `per_step` new units until there are `limit`; compare a step's time early and late."""
    with bench.stage([SYSTEM]) as stage, stage.serving():
        stage.double.config(grow_to=limit, per_step=per_step)
        document = _pending(stage, per_step)
        stage.double.reset()
        stage.double.config(grow_to=limit, per_step=per_step)
        stage.maestro.approve(document)
        steps = limit // per_step
        wait_for(lambda: stage.double.state()["sends"] >= steps, "the document has grown", 600, pause=0.2)
        names = pids(stage.maestro.data_dir)
        memory = pss_megabytes(names[f"system {SYSTEM}"])
        sends = stage.double.sends()[: steps + 1]
        mirrored = stage.double.state()["mirrored"]
        stage.maestro.cancel(document)
    times = [(after - before) / 1e9 for before, after in pairwise(sends)]
    early, late = percentiles(times[:STEPS_SHOWN])["p50 ms"], percentiles(times[-STEPS_SHOWN:])["p50 ms"]
    more = {"first steps p50 ms": early, "last steps p50 ms": late, "mirrored": mirrored} | percentiles(times)
    name = f"growth by cascade to {limit:,} units"
    return [
        Row(f"{name}: last steps / first steps", late / early, "x", 1.5, at_most=True, more=more),
        Row(f"{name}: memory of the system", memory, "MB (PSS)", 300, at_most=True),
    ]


def _pending(stage: Stage, units: int) -> str:
    """Publish an event that impacts `units` instances; return the id of its reprocessing."""
    with stage.publisher() as publisher:
        publisher.event(SYSTEM, f"hold-{units}-")
        found = wait_for(lambda: stage.maestro.pending(SYSTEM), "a reprocessing is pending", 120)
    id_: str = found[0]["id"]
    return id_
