"""`python -m tests.simulation --seeds 0..1000`: run seeds; of one that fails print the end of its history."""

import argparse
import sys
import time
from collections import Counter

from tests.simulation.world import run


def main() -> int:
    """Run the seeds asked for; return 1 if one failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", default="0..500", help="A..B: from A up to, not including, B")
    parser.add_argument("--trace", type=int, default=40, help="notes to print of a failing seed; 0: all")
    parser.add_argument("--keep-going", action="store_true", help="count failures instead of stopping at the first")
    parser.add_argument("--unlucky", action="store_true", help="power is lost in runs when that does most harm")
    arguments = parser.parse_args()
    first, _, last = arguments.seeds.partition("..")
    began, failures, notes = time.perf_counter(), Counter[str](), Counter[str]()
    seeds = range(int(first), int(last or int(first) + 1))
    for seed in seeds:
        try:
            notes.update(str(note[1]) for note in run(seed, unlucky=arguments.unlucky).history)
        except Exception as problem:  # noqa: BLE001 - whatever breaks, the seed is the finding
            failures[f"{type(problem).__name__}: {str(problem)[:60]}"] += 1
            print(f"seed {seed}: {type(problem).__name__}: {problem}")  # noqa: T201 - a command line tool
            if not arguments.keep_going:
                for now, *note in problem.engine.history[-arguments.trace :]:  # type: ignore[attr-defined]
                    print("  ", f"{now:.3f}", *note)  # noqa: T201
                return 1
    seconds = time.perf_counter() - began
    print(f"{len(seeds)} seeds in {seconds:.1f} s, {failures.total()} failed; {dict(notes)}")  # noqa: T201
    for what, count in failures.most_common():
        print(f"{count:6} {what}")  # noqa: T201
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
