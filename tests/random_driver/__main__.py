"""`python -m tests.random_driver --seeds 0..10000`: walk; of a seed that fails say what broke."""

import argparse
import sys
import time
import traceback
from collections import Counter

from tests.random_driver import doubts, walk


def main() -> int:
    """Walk the seeds asked for; return 1 if one failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.random_driver", description=__doc__)
    parser.add_argument("--seeds", default="0..800", help="A..B: from A up to, not including, B")
    parser.add_argument("--doubts", action="store_true", help="walks whose commits end in doubt")
    parser.add_argument("--trace", action="store_true", help="print where it broke")
    arguments = parser.parse_args()
    first, _, last = arguments.seeds.partition("..")
    began, failures, steps = time.perf_counter(), Counter[str](), 0
    walk_one = doubts.walk if arguments.doubts else walk.walk
    seeds = range(int(first), int(last or int(first) + 1))
    for seed in seeds:
        try:
            steps += walk_one(seed)
        except Exception as problem:  # noqa: BLE001 - whatever breaks, the seed is the finding
            failures[f"{type(problem).__name__}: {str(problem)[:50]}"] += 1
            print(f"seed {seed}: {type(problem).__name__}: {str(problem)[:300]}")  # noqa: T201 - a command line tool
            if arguments.trace:
                traceback.print_exc()
    seconds = time.perf_counter() - began
    print(f"{len(seeds)} seeds, {steps} steps in {seconds:.1f} s, {failures.total()} failed")  # noqa: T201 - as above
    for what, count in failures.most_common(12):
        print(f"{count:6} {what}")  # noqa: T201 - as above
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
