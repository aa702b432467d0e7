"""Says what was measured: a line for each row while it runs, and JSON at the end."""

import os
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from benchmarks.figures import Row

_LINE = "{:<66} {:>12} {:<9} {:>11} {:>12} {:>6}  {}"
HEADER = _LINE.format("work", "measured", "", "wanted", "floor", "ratio", "")


def machine() -> str:
    """Return what it ran on, and the table's head."""
    model = next(
        (line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
         if line.startswith("model name")), platform.machine(),
    )  # fmt: skip
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    load = os.getloadavg()[0]
    system = f"Python {platform.python_version()}, Linux {platform.release()}"
    facts = f"{os.cpu_count()} x {model}, {memory:.0f} GiB, {system}, load before the run {load:.1f}"
    return f"{facts}\n\n{HEADER}"


def print_row(row: Row) -> None:
    wanted = "" if row.wanted is None else f"{'<=' if row.at_most else '>='} {_number(row.wanted)}"
    floor = "" if row.floor is None else _number(row.floor)
    ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
    verdict = {True: "met", False: "MISSED", None: ""}[row.met]
    print(_LINE.format(row.name, _number(row.value), row.unit, wanted, floor, ratio, verdict))
    if row.more:
        print("    " + "; ".join(f"{name}: {_shown(value)}" for name, value in row.more.items()), flush=True)


def print_failed(name: str, reason: str) -> None:
    """Say that a row has no figure."""
    print(f"{name}: NO FIGURE: {reason}", flush=True)


def print_missed(rows: Sequence[Row], failed: Mapping[str, str], seconds: float) -> None:
    """Say how many figures are missed, and where it is written why."""
    missed = sum(row.met is False for row in rows)
    print(f"\n{len(rows)} figures in {seconds / 60:.0f} min; {missed} missed, {len(failed)} rows without a figure")
    if missed:
        print('Why, and what was tried: docs/performance.md, "What is missed, or nearly, and why"')


def write_json(path: Path, rows: Sequence[Row], failed: Mapping[str, str]) -> None:
    """Write the figures of a run, and why some rows have none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    facts = {"machine": machine().splitlines()[0], "at": datetime.now(UTC).isoformat(timespec="seconds")}
    content = facts | {"rows": [row.as_json() for row in rows], "failed": dict(failed)}
    path.write_bytes(orjson.dumps(content, option=orjson.OPT_INDENT_2))


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name} {_shown(one)}" for name, one in value.items()) + "}"
    return str(value)
