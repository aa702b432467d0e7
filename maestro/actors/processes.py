"""Processes by identity: pid and start time, so that a reused pid is never taken for the process it was.

Linux only: /proc, pidfds and PR_SET_PDEATHSIG.
"""

import ctypes
import gc
import os
import select
import signal
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from msgspec import Struct

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_CHILD_SUBREAPER: Final = 36
_PR_GET_CHILD_SUBREAPER: Final = 37
_PR_SET_MEMORY_MERGE: Final = 67
_LIBC: Final = ctypes.CDLL(None, use_errno=True)
#: "1": the kernel merges equal pages.
_KSM_RUN: Final = Path("/sys/kernel/mm/ksm/run")
#: Fields of /proc/<pid>/stat behind the command: state, parent, and start time in clock ticks since boot.
_STATE, _PARENT, _START = 0, 1, 19


class Process(Struct, frozen=True):
    """One life of a pid. `started` is in clock ticks since boot; 0: it was gone when it was looked at."""

    pid: int
    started: int

    @property
    def alive(self) -> bool:
        """Whether it still runs; a zombie does not."""
        return self.started != 0 and started_at(self.pid) == self.started

    def kill(self) -> None:
        """SIGKILL it, if it is still the one meant."""
        if self.alive:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)


#: Who never lived.
NOBODY: Final = Process(0, 0)


def adopts_orphans() -> bool:
    """Whether orphans become this process's children: it is PID 1 of a container, or was made to adopt them."""
    adopts = ctypes.c_int(0)
    _LIBC.prctl(_PR_GET_CHILD_SUBREAPER, ctypes.byref(adopts), 0, 0, 0)
    return os.getpid() == 1 or bool(adopts.value)


def reap() -> list[int]:
    """Collect every child that has ended, so that none stays a zombie; return their pids."""
    reaped = []
    with suppress(ChildProcessError):  # there is none left
        while (pid := os.waitpid(-1, os.WNOHANG)[0]) != 0:
            reaped.append(pid)
    return reaped


def child_alive(child: Process) -> bool:
    """Whether a process that was forked here still runs: one system call, where `Process.alive` reads a file."""
    try:
        return os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
    except ChildProcessError:  # it has ended, and somebody has collected it
        return False


class Watch:
    """The ends of some processes, by name: one system call for all, where `Process.alive` reads a file for each."""

    def __init__(self, watched: Mapping[str, Process]) -> None:
        self._poll = select.poll()
        self._names: dict[int, str] = {}
        self._gone: list[str] = []
        for name, each in watched.items():
            try:
                fd = os.pidfd_open(each.pid)
            except OSError:
                self._gone.append(name)
                continue
            self._names[fd] = name
            self._poll.register(fd, select.POLLIN)
            if not each.alive:  # its pid may be another's by now
                self._gone.append(name)

    def ended(self) -> list[str]:
        """Return the names of those that have ended."""
        return self._gone or [self._names[fd] for fd, _ in self._poll.poll(0)]

    def close(self) -> None:
        """Watch no more."""
        for fd in self._names:
            os.close(fd)
        self._names = {}
        self._poll = select.poll()


class _Lineage:
    """Who forked this process, as known from before the fork."""

    forker: int = os.getpid()


def process(pid: int) -> Process:
    """Return the identity of `pid` as it runs now."""
    return Process(pid, started_at(pid))


def started_at(pid: int) -> int:
    """Return when `pid` started, in clock ticks since boot; 0 when it is gone or a zombie."""
    fields = _stat(pid)
    return 0 if fields is None or fields[_STATE] in ("Z", "X") else int(fields[_START])


def parent(pid: int) -> int:
    """Return the parent of `pid`; 0 when it is gone."""
    fields = _stat(pid)
    return 0 if fields is None else int(fields[_PARENT])


def children(pid: int) -> list[int]:
    """Return the pids whose parent is `pid`. Reads all of /proc: for starts and ends, not for the hot path."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            fields = _stat(int(entry.name))
            if fields is not None and int(fields[_PARENT]) == pid:
                found.append(int(entry.name))
    return found


def begin_lineage() -> None:
    """Note this process as the forker of those to come, without dying with its own parent."""
    _Lineage.forker = os.getpid()


def die_with_forker() -> None:
    """Have the kernel kill this process when its parent dies, and exit at once if that was before we asked.

    To be called first thing after a fork, by a process whose parent called this or `begin_lineage` itself.
    """
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != _Lineage.forker:
        os._exit(1)
    _Lineage.forker = os.getpid()


def adopt_orphans() -> None:
    """Become the parent of descendants that lose theirs, so that `children` finds a daemon that is being started."""
    _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end(processes: Iterable[Process], timeout: float) -> list[Process]:
    """SIGKILL them all and wait for their end, at most `timeout` seconds; return those that still live."""
    left = [each for each in processes if each.alive]
    for each in left:
        each.kill()
    return gone(left, timeout)


def gone(processes: Iterable[Process], timeout: float) -> list[Process]:
    """Wait for their end, at most `timeout` seconds; return those that still live."""
    deadline = time.monotonic() + timeout
    left = [each for each in processes if each.alive]
    while left and time.monotonic() < deadline:
        time.sleep(0.02)
        left = [each for each in left if each.alive]
    return left


def _stat(pid: int) -> list[str] | None:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:  # noqa: PTH123 - half of Path's time
            text = file.read()
    except OSError:
        return None
    return text[text.rindex(")") + 2 :].split()


def trim_memory() -> None:
    """Give freed memory back to the kernel, and leave what is there out of later collections: it lasts.

    After the imports the C library keeps some MB, and a full collection of the main process takes 45 ms.
    """
    gc.unfreeze()  # what an earlier life left
    gc.collect()
    with suppress(AttributeError):  # not every C library has it
        _LIBC.malloc_trim(0)
    gc.freeze()


def merge_memory() -> None:
    """Let the kernel merge equal pages of this process and of all it forks from now on, with those of others that do.

    Actors copy pages that they share with their forker when a reference count in them changes, and end up with many
    equal copies. It happens only while root has the kernel do it (`/sys/kernel/mm/ksm/run`).

    Raises:
        OSError: the kernel cannot (before Linux 6.4, or built without KSM).
    """
    if _LIBC.prctl(_PR_SET_MEMORY_MERGE, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "PR_SET_MEMORY_MERGE")


def memory_is_merged() -> bool:
    """Whether the kernel merges equal pages now, of those that let it."""
    try:
        return _KSM_RUN.read_text().strip() == "1"
    except OSError:
        return False
