"""The benchmark: one table, every row beside the floor measured in the same run. `scripts/bench` runs it."""

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.bench import Bench, BenchError
from benchmarks.figures import Row, middle
from benchmarks.report import machine, print_failed, print_missed, print_row, write_json
from benchmarks.table import Measure, rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the events and units, one run of each row")
    parser.add_argument("--rows", default="", help="names of rows (or what they begin with), by commas")
    parser.add_argument("--runs", type=int, default=0, help="runs of each row; the median is shown")
    parser.add_argument("--json", type=Path, default=Path("build/bench.json"), help="where the figures go")
    parser.add_argument("--list", action="store_true", help="print the names of the rows")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that all that was started is ended
    every = rows(quick=options.quick)
    wanted = [prefix for prefix in options.rows.split(",") if prefix]
    for prefix in wanted:
        if not any(name.startswith(prefix) for name in every):
            parser.error(f"--rows: no row begins with {prefix}; there are {', '.join(every)}")
    chosen = {
        name: one for name, one in every.items() if not wanted or any(name.startswith(prefix) for prefix in wanted)
    }
    if options.list:
        print(*chosen, sep="\n")
        return
    sys.exit(measure(chosen, options.runs or (1 if options.quick else 3), options.json))


def measure(chosen: dict[str, Measure], runs: int, json: Path) -> int:
    """Measure the rows, print each, write them all; return 1 when one of them could not be measured."""
    measured: list[Row] = []
    failed: dict[str, str] = {}
    began = time.monotonic()
    print(machine(), flush=True)
    with tempfile.TemporaryDirectory(prefix="maestro-bench-") as folder:
        bench = Bench(Path(folder))
        try:
            bench.node.start()
            for name, one in chosen.items():
                try:
                    found = several(one, bench, 1 if one.once else runs)
                except Exception as problem:  # noqa: BLE001 - the other rows are measured all the same
                    failed[name] = f"{type(problem).__name__}: {problem}"
                    print_failed(name, failed[name])
                    continue
                measured += found
                for row in found:
                    print_row(row)
        finally:
            bench.node.close()
    print_missed(measured, failed, time.monotonic() - began)
    write_json(json, measured, failed)
    return 1 if failed else 0


def several(one: Measure, bench: Bench, runs: int) -> list[Row]:
    """Measure `runs` times; return the median of each row. Raises `BenchError` when a run takes too long."""
    results = []
    for _ in range(runs):
        with _limited(one.limit):
            results.append(one.measure(bench))
    lists = [result if isinstance(result, list) else [result] for result in results]
    return [middle(same) for same in zip(*lists, strict=True)]


@contextmanager
def _limited(seconds: int) -> Iterator[None]:
    """Raise `BenchError` within the context when it lasts longer."""

    def late(*_: object) -> None:
        raise BenchError(f"a run takes longer than {seconds} s")

    signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)


if __name__ == "__main__":
    main()
