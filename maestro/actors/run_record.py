"""One Maestro per data folder: the run lock, and the record of a run's processes for the next one to clean up after.

The lock is held by the kernel for as long as the main process lives. `run.json` names every process with its start
time, so that only what this run started is ever killed, however long ago it died. A record that cannot be read names
nobody, so nobody is killed: what may live on, frozen, still owns its stores, by their locks or by PostgreSQL's fence,
and nothing is done for them here until it has ended.
"""

import fcntl
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

from maestro import whole_file
from maestro.actors import processes
from maestro.actors.errors import AlreadyRunning, FolderUnusable
from maestro.actors.processes import Process

_END_TIMEOUT: Final = 5.0


class RecordUnreadable(RuntimeError):  # noqa: N818 - a fact
    """The record of a run's processes cannot be read, as the loss of power may leave it."""


class RunRecord(msgspec.Struct, frozen=True):
    """What `run.json` says."""

    run_id: str
    main: Process
    #: By what they are: "admin", "supervisor", "ingress", "cascade", "system <id>".
    actors: dict[str, Process] = {}


class RunFolder:
    """The data folder as one run's own."""

    def __init__(self, folder: Path) -> None:
        self._lock_path = folder / "run.lock"
        self._record_path = folder / "run.json"
        self._folder = folder
        self._lock = -1
        #: What of an earlier run could not be ended.
        self.left: list[Process] = []
        #: Why it is not known which processes an earlier run had; empty: it is.
        self.unknown = ""

    def acquire(self) -> None:
        """Take the run lock, and kill what an earlier run left behind.

        Raises:
            AlreadyRunning: another main process holds the lock.
            FolderUnusable: the folder cannot be made, or written.
        """
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            lock = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as problem:
            raise FolderUnusable(self._folder, problem) from problem
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = int(os.read(lock, 20) or b"0")
            os.close(lock)
            raise AlreadyRunning(pid) from None
        os.ftruncate(lock, 0)
        os.pwrite(lock, str(os.getpid()).encode(), 0)
        self._lock = lock
        self.left = self.clean_up()

    @property
    def held(self) -> bool:
        """Whether the folder is ours."""
        return self._lock >= 0

    def clean_up(self) -> list[Process]:
        """SIGKILL the recorded actors that still live; return those that could not be ended."""
        try:
            record = self.read()
        except RecordUnreadable as problem:
            self.unknown = str(problem)
            return []
        return [] if record is None else processes.end(record.actors.values(), _END_TIMEOUT)

    def read(self) -> RunRecord | None:
        """Return the record, None without one. Raises `RecordUnreadable`."""
        path = self._record_path
        try:
            return msgspec.json.decode(path.read_bytes(), type=RunRecord)
        except FileNotFoundError:
            return None
        except OSError as problem:
            raise RecordUnreadable(f"{path}: cannot be read: {problem.strerror}") from problem
        except msgspec.DecodeError as problem:
            raise RecordUnreadable(f"{path}: is damaged: {problem}") from problem

    def write(self, record: RunRecord) -> None:
        """Replace the record in one step."""
        whole_file.replace(self._record_path, msgspec.json.format(msgspec.json.encode(record)), sync=False)

    def release(self, *, ended: bool = True) -> None:
        """Give up the lock; the record is removed when all of the run has `ended`."""
        if self.held:
            if ended:
                self._record_path.unlink(missing_ok=True)
            os.close(self._lock)
            self._lock = -1


def processes_of(names: Iterable[tuple[str, int]]) -> dict[str, Process]:
    """Return the identities of the named pids that run."""
    found = {name: processes.process(pid) for name, pid in names if pid > 0}
    return {name: process for name, process in found.items() if process.started}
