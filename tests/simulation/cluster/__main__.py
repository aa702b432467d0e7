"""Run simulated clusters: `python -m tests.simulation.cluster --seeds 0..1000`."""

import argparse
import sys
import time
from collections import Counter

from tests.simulation.cluster.take_over import take_overs
from tests.simulation.cluster.world import run


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.cluster", description=__doc__)
    parser.add_argument("--seeds", default="0..200", help="A..B: from A up to, not including, B")
    parser.add_argument("--keep-going", action="store_true", help="count failures instead of stopping at the first")
    parser.add_argument("--take-overs", action="store_true", help="only lose one node in each world, and measure")
    arguments = parser.parse_args()
    first, _, last = arguments.seeds.partition("..")
    seeds = range(int(first), int(last or int(first) + 1))
    if arguments.take_overs:
        took = sorted(seconds for seed in seeds for seconds in take_overs(seed))
        print(f"{len(took)} take-overs: median {took[len(took) // 2]:.2f} s, longest {took[-1]:.2f} s")  # noqa: T201
        return 0
    began, failures, counts = time.perf_counter(), Counter[str](), Counter[str]()
    for seed in seeds:
        try:
            counts.update(run(seed).watch.counts)
        except Exception as problem:  # noqa: BLE001 - whatever breaks, the seed is the finding
            failures[f"{type(problem).__name__}: {str(problem)[:60]}"] += 1
            print(f"seed {seed}: {type(problem).__name__}: {problem}")  # noqa: T201 - a command line tool
            if not arguments.keep_going:
                for now, *note in problem.engine.history:  # type: ignore[attr-defined]
                    print("  ", f"{now:.3f}", *note)  # noqa: T201
                return 1
    seconds = time.perf_counter() - began
    print(f"{len(seeds)} worlds in {seconds:.1f} s, {failures.total()} failed; {dict(counts)}")  # noqa: T201
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
