"""Rows of the ledger: its look-ups, and a commit that would write very many rows."""

import asyncio
import random
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median

from benchmarks.bench import Bench, one_waiting, run
from benchmarks.figures import Row
from benchmarks.ledgers import READ, row_base, write_ledger
from benchmarks.processes import peak_megabytes, pids, reset_peak
from benchmarks.rows_events import ledgers
from maestro.rules.ledger import Footprint, base_key
from maestro.store.sqlite import open_store
from maestro.system.ledger import Ledger

RUNS = 9
#: Rows of the ledger beside which a large commit is judged.
SOME_ROWS = 10_000


def look_up(bench: Bench, rows: int, wanted_rows: int) -> list[Row]:
    """Ask a ledger of `rows` rows whom a commit of `wanted_rows` rows impacts: nobody, or all readers of these."""
    found = []
    with tempfile.TemporaryDirectory(dir=bench.folder) as folder:
        path = Path(folder) / "one.db"
        write_ledger(path, rows)
        floor = run("benchmarks.floors", "sqlite", path, wanted_rows)
        known = max(1, rows // (2 * READ + 1)) * READ
        random.seed(1)
        asked = {
            "none was read": [base_key("conta", f"other-{n}", "") for n in range(wanted_rows)],
            "all were read": [row_base(n) for n in random.sample(range(known), min(wanted_rows, known))],
        }
        store = open_store(path)
        try:
            ledger = Ledger(store, lambda: None)
            for what, bases in asked.items():
                footprint = Footprint((("master", tuple(bases)),))
                took, longest = asyncio.run(_timed(lambda footprint=footprint: ledger.named(footprint, "master")))
                name = f"ledger of {rows:,} rows: {wanted_rows:,} looked up, {what}"
                more = {"longest turn of the loop ms": round(longest, 1)}
                found.append(Row(name, took, "ms", 20, at_most=True, floor=floor, more=more))
        finally:
            store.close()
    return found


async def _timed(ask: Callable[[], Awaitable[object]]) -> tuple[float, float]:
    """Return the median of the times of several runs, and the longest time for which nothing else ran, in ms."""
    turns: list[float] = []

    async def beside() -> None:
        last = time.perf_counter()
        while True:
            await asyncio.sleep(0)
            now = time.perf_counter()
            turns.append(now - last)
            last = now

    times = []
    watching = asyncio.ensure_future(beside())
    for _ in range(RUNS):
        began = time.perf_counter()
        await ask()
        times.append(time.perf_counter() - began)
    watching.cancel()
    return 1000 * median(times), 1000 * max(turns)


def large_commit(bench: Bench, size: int) -> list[Row]:
    """Judge an event whose `entities` are `size` bytes: memory of its system, and how long questions wait meanwhile."""
    with bench.stage(["sys0", "sys1"]) as stage:
        ledgers(bench, stage.maestro.data_dir, ["sys0"], SOME_ROWS)
        stage.double.config(large=size)
        with stage.serving(), stage.publisher() as publisher:
            publisher.event("sys0")
            stage.committed(1, 60)
            with stage.asking(one_waiting("sys0"), one_waiting("sys1")) as idle:
                time.sleep(2)
            pid = pids(stage.maestro.data_dir)["system sys0"]
            before = reset_peak(pid)
            with stage.asking(one_waiting("sys0"), one_waiting("sys1")) as busy:
                began = time.monotonic()
                publisher.event("sys0", "large-")
                stage.committed(2, 120)
                took = time.monotonic() - began
                publisher.event("sys0")  # judged once the ledger knows all of the one before
                stage.committed(3, 120)
            memory = peak_megabytes(pid) - before
        floor = run("benchmarks.floors", "get", stage.double.port, "/instance/sys0--large-1/entities")
    name = f"entities of {size // 1_000_000} MB"
    own, other = busy.found[one_waiting("sys0")], busy.found[one_waiting("sys1")]
    quiet = idle.found[one_waiting("sys1")]
    return [
        Row(f"{name}: publish to commit", took, "s", floor=floor),
        Row(f"{name}: memory on top", memory, "MB (peak)", 50, at_most=True, more={"before": round(before, 1)}),
        Row(f"{name}: questions of its system, longest", own["max ms"], "ms", 100, at_most=True,
            floor=idle.found[one_waiting("sys0")]["max ms"], more=own),
        Row(f"{name}: questions of another, longest", other["max ms"], "ms", 100, at_most=True,
            floor=quiet["max ms"], more=other),
    ]  # fmt: skip
