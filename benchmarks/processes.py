"""CPU time and memory of Maestro's processes, from /proc."""

import time
from dataclasses import dataclass
from pathlib import Path

import orjson

#: Of a process' clock id, as `clock_getcpuclockid(3)` makes it.
_CPUCLOCK_SCHED = 2


def pids(data_dir: Path) -> dict[str, int]:
    """Return Maestro's processes by what they are, from its own record."""
    record = orjson.loads((data_dir / "run.json").read_bytes())
    return {"main": record["main"]["pid"], **{name: one["pid"] for name, one in record["actors"].items()}}


def cpu_seconds(pid: int) -> float:
    """Return what all threads of a process used, those that ended too, from its CPU clock.

    `/proc/<pid>/stat` counts in hundredths of a second: too coarse for two hundred processes that do next to nothing.
    """
    return time.clock_gettime(~pid << 3 | _CPUCLOCK_SCHED)


def pss_megabytes(pid: int) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def reset_peak(pid: int) -> float:
    """Forget how much memory a process had at most; return what it has now, in MB (RSS)."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")
    return _status_megabytes(pid, "VmRSS:")


def peak_megabytes(pid: int) -> float:
    """Return how much memory (RSS) a process had at most since `reset_peak`."""
    return _status_megabytes(pid, "VmHWM:")


def _status_megabytes(pid: int, field: str) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024


def kind(name: str) -> str:
    """Name the group a process is counted in."""
    return "systems" if name.startswith("system ") else name


@dataclass
class CpuMeter:
    """CPU time of all processes since it was made."""

    data_dir: Path

    def __post_init__(self) -> None:
        self._pids = pids(self.data_dir)
        self._before = {name: cpu_seconds(pid) for name, pid in self._pids.items()}

    def used(self) -> dict[str, float]:
        """Return CPU seconds by kind of process."""
        total: dict[str, float] = {}
        for name, pid in self._pids.items():
            total[kind(name)] = total.get(kind(name), 0.0) + cpu_seconds(pid) - self._before[name]
        return {name: seconds for name, seconds in total.items() if seconds > 0}


def per_event(used: dict[str, float], count: int) -> dict[str, float]:
    """Return microseconds of CPU an event, by kind of process."""
    return {name: round(1e6 * seconds / count, 1) for name, seconds in sorted(used.items(), key=lambda one: -one[1])}
