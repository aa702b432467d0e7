"""Rows of persist events that impact nothing: two calls each, Discovery and Domain."""

import time

from benchmarks.bench import SETTLED, Bench, Stage, run
from benchmarks.figures import Row, percentiles
from benchmarks.processes import CpuMeter, per_event

WARM_UP = 20
#: The start of more systems than these goes on for seconds: each declares the queues that it may need.
FEW = 10


def no_impact(
    bench: Bench, systems: int, latency: float, count: int, wanted: float | None, name: str = "", payload: int = 600
) -> Row:
    """Publish `count` events, each with a payload of so many bytes, as fast as RabbitMQ takes them.

    Measured until the last one's commit.
    """
    ids = [f"sys{n}" for n in range(systems)]
    with bench.stage(ids) as stage, stage.serving():
        stage.double.config(latency=latency)
        _warm_up(stage)
        if systems > FEW:
            time.sleep(SETTLED)
        meter = CpuMeter(stage.maestro.data_dir)
        with stage.publisher() as publisher:
            body = "x" * payload
            began = time.monotonic_ns()
            for n in range(count):
                publisher.event(ids[n % systems], payload=body)
            stage.committed(count, 60 + count / 20)
        used = meter.used()
        took = (stage.double.commits()[-1][1] - began) / 1e9
        floor = run("benchmarks.floors", "calls", stage.double.port, systems, 2)
    title = name or f"no-impact events, {systems} system{'s' * (systems > 1)}, siblings {latency * 1000:g} ms"
    cpu = per_event(used, count)
    more = {"cpu us/event": cpu, "cpu us/event, all": round(sum(cpu.values()), 1), "events": count}
    return Row(title, count / took, "events/s", wanted, floor=floor, more=more)


def paced(bench: Bench, systems: int, rate: float, seconds: float) -> Row:
    """Publish at a steady rate and measure each event from publish to commit."""
    ids = [f"sys{n}" for n in range(systems)]
    with bench.stage(ids) as stage, stage.serving():
        _warm_up(stage)
        count = int(rate * seconds)
        with stage.publisher() as publisher:
            began = time.monotonic()
            for n in range(count):
                time.sleep(max(0.0, began + n / rate - time.monotonic()))
                publisher.event(ids[n % systems])
            stage.committed(count, 60)
        times = [(at - int(instance.rpartition("-")[2])) / 1e9 for instance, at in stage.double.commits()]
    found = percentiles(times)
    return Row(f"publish to commit, {systems} systems, {rate:g} events/s", found["p50 ms"], "ms (p50)", more=found)


def _warm_up(stage: Stage) -> None:
    with stage.publisher() as publisher:
        for system in stage.systems:
            for _ in range(WARM_UP):
                publisher.event(system)
    stage.committed(WARM_UP * len(stage.systems), 60)
    time.sleep(0.3)
    stage.double.reset()
