"""The benchmark: one table, every row beside the floor measured in the same run. `scripts/bench` runs it."""

import argparse
import signal
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.figures import Row, middle
from benchmarks.report import machine, print_missed, print_row, write_json
from benchmarks.rows_events import no_impact, paced
from benchmarks.rows_locks import double_alone, lock_checks
from benchmarks.rows_replays import growth, replays
from benchmarks.rows_scale import consume, drain, start

Measure = Callable[[Bench], Row | list[Row]]


def rows(scale: float, seconds: float) -> dict[str, Measure]:
    """Return what is measured, by name; `scale` multiplies the number of events."""

    def events(systems: int, latency: float, count: int, wanted: float | None) -> Measure:
        return partial(no_impact, systems=systems, latency=latency, count=int(count * scale), wanted=wanted)

    def sized(payload: int, count: int) -> Measure:
        title = f"the same, {payload // 1000:,} kB of payload each"
        return partial(events(1, 0.0, count, None), name=title, payload=payload)

    return {
        "double": partial(double_alone, seconds=seconds),
        "events-1-5ms": events(1, 0.005, 1000, 90),
        "events-8-5ms": events(8, 0.005, 6000, 650),
        "events-50-5ms": events(50, 0.005, 15000, 2000),
        "events-8-0ms": events(8, 0.0, 20000, 3600),
        "events-1-0ms": events(1, 0.0, 15000, 2000),
        "payload-1k": sized(1_000, 5000),
        "payload-10k": sized(10_000, 5000),
        "payload-100k": sized(100_000, 1000),
        "payload-1m": sized(1_000_000, 250),
        "consume": partial(consume, count=int(20000 * scale)),
        "replays": partial(replays, count=int(1000 * scale)),
        "growth": partial(growth, limit=int(20000 * scale), per_step=20),
        "drain": partial(drain, count=int(10000 * scale), live=2000),
        "start": partial(start, systems=int(200 * scale), documents=100, units=100, idle_seconds=4 * seconds),
        "paced": partial(paced, systems=8, rate=200, seconds=seconds * 2),
        "locks-1": partial(lock_checks, systems=1, seconds=seconds),
        "locks-50": partial(lock_checks, systems=50, seconds=seconds),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="about a minute: few events, one run each")
    parser.add_argument("--only", nargs="*", default=[], help="names of rows (or what they begin with)")
    parser.add_argument("--runs", type=int, default=0, help="runs of each row; the median is shown")
    parser.add_argument("--json", type=Path, default=Path("build/bench.json"), help="where the figures go")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that all that was started is ended
    runs = options.runs or (1 if options.quick else 3)
    chosen = {
        name: measure
        for name, measure in rows(0.2 if options.quick else 1.0, 2.0 if options.quick else 5.0).items()
        if not options.only or any(name.startswith(prefix) for prefix in options.only)
    }
    found: dict[str, list[Row]] = {}
    print(machine(), flush=True)
    with tempfile.TemporaryDirectory(prefix="maestro-bench-") as folder:
        bench = Bench(Path(folder))
        try:
            bench.node.start()
            for name, measure in chosen.items():
                found[name] = several(measure, bench, runs)
                for row in found[name]:
                    print_row(row)
        finally:
            bench.node.close()
    measured = [row for some in found.values() for row in some]
    print_missed(measured)
    write_json(options.json, measured)


def several(measure: Measure, bench: Bench, runs: int) -> list[Row]:
    """Measure `runs` times; return the median of each row."""
    results = [measure(bench) for _ in range(runs)]
    lists = [result if isinstance(result, list) else [result] for result in results]
    return [middle(same) for same in zip(*lists, strict=True)]


if __name__ == "__main__":
    main()
