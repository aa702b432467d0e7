"""CPU time and memory of a process, as Linux tells them."""

import os
from pathlib import Path
from typing import Final, NamedTuple

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
#: Places after the process's name in /proc/<pid>/stat: user and system time, resident pages.
_USER, _SYSTEM, _RESIDENT = 11, 12, 21


class Usage(NamedTuple):
    """CPU time in seconds since the process's start, resident memory in bytes."""

    cpu: float
    resident: int


def usage_of(pid: int) -> Usage | None:
    """Return what a process uses; None when there is no such process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    fields = stat[stat.rindex(b")") + 2 :].split()  # the name may hold spaces and brackets
    return Usage((int(fields[_USER]) + int(fields[_SYSTEM])) / _TICKS, int(fields[_RESIDENT]) * _PAGE)
