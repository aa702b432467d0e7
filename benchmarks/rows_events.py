"""Rows of persist events that impact nothing: three calls each, Discovery, Domain, and API core's look."""

import itertools
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from benchmarks.bench import SETTLED, Bench, Stage, run
from benchmarks.figures import Row, percentiles
from benchmarks.ledgers import write_ledger
from benchmarks.processes import CpuMeter, per_event
from maestro.store.places import store_path

WARM_UP = 20
#: The start of more systems than these goes on for seconds: each declares the queues that it may need.
FEW = 10
FLOOR_QUEUE = "floor.queue"
TRUST = {"MAESTRO_PLATFORM__FINISHED": "trust"}


def no_impact(
    bench: Bench,
    systems: int,
    latency: float,
    count: int,
    wanted: float | None,
    *,
    what: str = "no-impact events",
    floor: str = "event",
    ledger: int = 0,
    finished_after: float = 0.0,
    settings: Mapping[str, str] | None = None,
) -> Row:
    """Publish `count` events as fast as RabbitMQ takes them. Measured until the last one's commit.

    Args:
        floor: the kind of `floors.calls` that makes an event's calls.
        ledger: rows of each system's ledger; 0: none has begun.
        finished_after: seconds from a commit until its instance is `finished`.
        settings: environment of Maestro.
    """
    ids = [f"sys{n}" for n in range(systems)]
    with bench.stage(ids, **(settings or {})) as stage:
        if ledger:
            ledgers(bench, stage.maestro.data_dir, ids, ledger)
        with stage.serving():
            stage.double.config(latency=latency)
            warm_up(stage)
            stage.double.config(finished_after=finished_after)
            if systems > FEW:
                time.sleep(SETTLED)
            meter = CpuMeter(stage.maestro.data_dir)
            took = publish_all(stage, count)
            used = meter.used()
            seen = stage.double.state()
            alone = run("benchmarks.floors", "calls", stage.double.port, systems, 2, floor)
    title = f"{what}, {systems} system{'s' * (systems > 1)}, siblings {latency * 1000:g} ms"
    cpu = per_event(used, count)
    more = {"cpu us/event": cpu, "cpu us/event, all": round(sum(cpu.values()), 1), "events": count}
    more |= {"calls/event": round(seen["calls"] / count, 2), "looks/s": round(seen["looks"] / took, 1)}
    if seen["statuses_set"]:
        more["set finished"] = seen["statuses_set"]
    return Row(title, count / took, "events/s", wanted, floor=alone, more=more)


def sized(bench: Bench, payload: int, count: int, wanted: float | None) -> Row:
    """Publish events with a payload of so many bytes; beside a consumer that only acknowledges them."""
    with bench.stage(["sys0"]) as stage, stage.serving():
        warm_up(stage)
        meter = CpuMeter(stage.maestro.data_dir)
        body = "x" * payload
        with stage.publisher() as publisher:
            began = time.monotonic_ns()
            for _ in range(count):
                publisher.event("sys0", payload=body)
            stage.committed(count, 60 + count / 20)
            used = meter.used()
            took = (stage.double.commits()[-1][1] - began) / 1e9
            publisher.declare(FLOOR_QUEUE)
            with ThreadPoolExecutor(1) as beside:
                floor = beside.submit(run, "benchmarks.floors", "consume", stage.url, FLOOR_QUEUE, count)
                for _ in range(count):
                    publisher.event("sys0", payload=body, queue=FLOOR_QUEUE)
                consumed = floor.result()
    cpu = per_event(used, count)
    more = {"cpu us/event": cpu, "cpu us/event, all": round(sum(cpu.values()), 1), "events": count}
    name = f"payload of {payload // 1000:,} kB, 1 system, siblings 0 ms"
    return Row(name, count / took, "events/s", wanted, floor=consumed, more=more)


def paced(bench: Bench, systems: int, rate: float, seconds: float) -> Row:
    """Publish at a steady rate and measure each event from publish to commit."""
    ids = [f"sys{n}" for n in range(systems)]
    with bench.stage(ids) as stage, stage.serving():
        warm_up(stage)
        count = int(rate * seconds)
        with stage.publisher() as publisher:
            began = time.monotonic()
            for n in range(count):
                time.sleep(max(0.0, began + n / rate - time.monotonic()))
                publisher.event(ids[n % systems])
            stage.committed(count, 60)
        times = [(at - int(instance.rpartition("-")[2])) / 1e9 for instance, at in stage.double.commits()]
        floor = run("benchmarks.floors", "calls", stage.double.port, 1, 2, "trusted")
    found = percentiles(times)
    name = f"publish to commit, {systems} systems, {rate:g} events/s"
    return Row(name, found["p50 ms"], "ms (p50)", floor=1000 / floor, more=found)


def delayed(bench: Bench, after: float, seconds: float, rate: float) -> Row:
    """Publish at a steady rate while instances are `finished` some time after their commit: how many looks that costs.

    Events of one system wait for each other's looks then. Behind a backlog looks stay under 100 a second in all.
    """
    ids = [f"sys{n}" for n in range(8)]
    with bench.stage(ids) as stage, stage.serving():
        warm_up(stage)
        stage.double.config(finished_after=after)
        before = stage.double.state()
        with _publishing(stage, ids, rate) as counts:
            time.sleep(seconds)
            seen = stage.double.state()
            published = counts[0]
    commits = seen["commits"] - before["commits"]
    looks = (seen["looks"] - before["looks"]) / seconds
    more = {"commits/s": round(commits / seconds, 1), "published/s": round(published / seconds, 1)}
    more |= {"looks/commit": round(looks * seconds / max(1, commits), 2), "set finished": seen["statuses_set"]}
    name = f"`finished` {after:g} s after the commit, 8 systems, {rate:g} events/s: looks at API core"
    # A look for each commit is the least. Only behind a backlog are they bounded.
    return Row(name, looks, "looks/s", 100.0 if after >= 1 else None, at_most=True, floor=commits / seconds, more=more)


@contextmanager
def _publishing(stage: Stage, ids: Sequence[str], rate: float) -> Iterator[list[int]]:
    """Publish beside, in a thread, until the context is left; yields what counts the events."""
    counts, stopped = [0], False

    def publish() -> None:
        with stage.publisher() as publisher:
            began = time.monotonic()
            for n in itertools.count():
                time.sleep(max(0.0, began + n / rate - time.monotonic()))
                if stopped:
                    return
                publisher.event(ids[n % len(ids)])
                counts[0] = n + 1

    with ThreadPoolExecutor(1) as beside:
        publishing = beside.submit(publish)
        try:
            yield counts
        finally:
            stopped = True
        publishing.result()


def ledgers(bench: Bench, data_dir: Path, systems: Sequence[str], rows: int) -> None:
    """Give each system a ledger of so many rows: one is written, once, and copied."""
    made = bench.folder / f"ledger-{rows}"
    if not made.exists():
        made.mkdir()
        write_ledger(made / "one.db", rows)
    for system in systems:
        path = store_path(data_dir, system)
        path.parent.mkdir(parents=True, exist_ok=True)
        for file in made.iterdir():
            shutil.copy(file, path.with_name(file.name.replace("one.db", path.name)))


def publish_all(stage: Stage, count: int) -> float:
    """Publish `count` events, of each system in turn; return the seconds until the last one's commit."""
    with stage.publisher() as publisher:
        began = time.monotonic_ns()
        for n in range(count):
            publisher.event(stage.systems[n % len(stage.systems)])
        stage.committed(count, 60 + count / 20)
    return (stage.double.commits()[-1][1] - began) / 1e9


def warm_up(stage: Stage) -> None:
    """Let each system commit some events, and forget that the double saw them."""
    with stage.publisher() as publisher:
        for system in stage.systems:
            for _ in range(WARM_UP):
                publisher.event(system)
    stage.committed(WARM_UP * len(stage.systems), 60)
    time.sleep(0.3)
    stage.double.reset()
