"""The mark of a system at rest: a small file beside its store, there exactly while no process may have the store open.

A system that is passivated, or stopped while it is at rest, closes its store and then leaves the mark; its next life
removes the mark before it opens the store. So one look whether the file is there proves, at that moment, that the
system is at rest and that its lock is open: nobody is asked for that. What is in the file answers what lists of all
systems ask.

The mark is not synced. The loss of power, a restored backup or other settings make one that says nothing; so at each
start of Maestro those that are not to be trusted are removed (`keep_trusted`), and their systems are started.
"""

import os
from collections.abc import Collection
from pathlib import Path
from typing import Final

import msgspec

from maestro import whole_file
from maestro.events import SYSTEM_ID
from maestro.store.base import StoreError
from maestro.store.places import LOGS, store_folder, store_path

#: The mark stands beside the store, under its name with this behind it.
_SUFFIX: Final = ".rest"

#: Size in bytes, time of the last change in nanoseconds, and inode of a store's file.
FileState = tuple[int, int, int]


class RestMark(msgspec.Struct, frozen=True):
    """What a system left behind when it came to rest."""

    #: What it was at rest under: the version of Maestro, and the settings that its rules follow.
    basis: str
    #: The store's file once it was closed.
    file: FileState
    #: When it came to rest, in seconds since the epoch.
    at: float
    #: Answers as JSON, as they are for as long as it rests: to `DescribeSystem`, `ListTodo`, `Measure` and
    #: `AwaitChange`.
    described: bytes = b""
    todo: bytes = b""
    measured: bytes = b""
    watched: bytes = b""
    #: The `cursor` of its newest reprocessing; empty: it has none.
    newest: str = ""


class RestMarks:
    """The marks in a data folder."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._prefix: Final = f"{store_folder(data_dir)}/"

    def has(self, system_id: str) -> bool:
        """Whether the system is at rest now. Costs one system call."""
        return os.access(f"{self._prefix}{system_id}.db{_SUFFIX}", os.F_OK)

    def read(self, system_id: str) -> RestMark | None:
        """Return the mark; None: the system is not at rest."""
        try:
            return _decode(self._path(system_id).read_bytes())
        except OSError:
            return None

    def leave(self, system_id: str, mark: RestMark) -> None:
        """Leave the mark, whole at once. The store must be closed. Raises `StoreError`."""
        path = self._path(system_id)
        try:
            whole_file.replace(path, msgspec.msgpack.encode(mark), sync=False)
        except OSError as problem:
            raise StoreError(f"{path}: cannot be written: {problem.strerror}") from problem

    def remove(self, system_id: str) -> None:
        """Remove the mark, if there is one, before the store is opened.

        Raises:
            StoreError: it cannot be removed; the store must not be opened.
        """
        _remove(self._path(system_id))

    def keep_trusted(self, basis: str, except_for: Collection[str] = ()) -> list[str]:
        """Remove the marks that say nothing any more; return the systems of the others. No process may be about.

        Args:
            basis: what a mark must have been left under; empty: none is trusted.
            except_for: systems whose marks are not trusted.

        Raises:
            StoreError: one cannot be removed: its system would be taken for one at rest.
        """
        folder = store_folder(self._data_dir)
        try:
            names = {entry.name for entry in os.scandir(folder)}
        except FileNotFoundError:
            return []
        trusted = []
        for name in sorted(name for name in names if name.endswith(f".db{_SUFFIX}")):
            system_id = name.removesuffix(f".db{_SUFFIX}")
            mark = self.read(system_id) if SYSTEM_ID.fullmatch(system_id) else None
            open_still = any(f"{system_id}.db{log}" in names for log in LOGS)
            if (
                mark is not None
                and mark.basis == basis != ""
                and not open_still
                and system_id not in except_for
                and mark.file == file_state(store_path(self._data_dir, system_id))
            ):
                trusted.append(system_id)
            else:
                _remove(folder / name)
        return trusted

    def _path(self, system_id: str) -> Path:
        path = store_path(self._data_dir, system_id)
        return path.with_name(path.name + _SUFFIX)


def file_state(path: Path) -> FileState | None:
    """Return the state of a file, which no process may have open for that; None: it is not there."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns, found.st_ino


def _decode(content: bytes) -> RestMark | None:
    try:
        return msgspec.msgpack.decode(content, type=RestMark)
    except msgspec.DecodeError:
        return None


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as problem:
        raise StoreError(f"{path}: cannot be removed: {problem.strerror}") from problem
