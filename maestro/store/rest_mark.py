"""The mark of a system at rest: a small file beside its store, there exactly while no process may have the store open.

A system that is passivated, or stopped while it is at rest, closes its store and then leaves the mark; its next life
removes the mark before it opens the store. So one look whether the file is there proves, at that moment, that the
system is at rest and that its lock is open: nobody is asked for that. What is in the file answers what lists of all
systems ask.

The mark is not synced. The loss of power, a restored backup or other settings make one that says nothing; so at each
start of Maestro those that are not to be trusted are removed (`keep_trusted`), and their systems are started.

In a cluster the mark is stored in PostgreSQL as well (`Stores.rested`). The node that claims the system leaves the file
beside it from there (`maestro.keeper`), so that a system at rest gets no process by a take-over.
"""

import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final

import msgspec

from maestro import whole_file
from maestro.events import SYSTEM_ID
from maestro.store.base import StoreError
from maestro.store.places import store_folder, store_path

#: The mark stands beside the store, under its name with this behind it.
_SUFFIX: Final = ".rest"


class RestMark(msgspec.Struct, frozen=True):
    """What a system left behind when it came to rest."""

    #: What it was at rest under: the version of Maestro, and the settings that its rules follow.
    basis: str
    #: The store once it was closed (`maestro.store.door.Stores.states`).
    state: str
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
            return decoded(self._path(system_id).read_bytes())
        except OSError:
            return None

    def leave(self, system_id: str, mark: RestMark) -> None:
        """Leave the mark, whole at once. The store must be closed. Raises `StoreError`."""
        path = self._path(system_id)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            whole_file.replace(path, encoded(mark), sync=False)
        except OSError as problem:
            raise StoreError(f"{path}: cannot be written: {problem.strerror}") from problem

    def remove(self, system_id: str) -> None:
        """Remove the mark, if there is one, before the store is opened.

        Raises:
            StoreError: it cannot be removed; the store must not be opened.
        """
        _remove(self._path(system_id))

    def marked(self) -> list[str]:
        """Return the systems that have a mark."""
        return [name for name in self._names() if SYSTEM_ID.fullmatch(name)]

    def keep_trusted(self, states: Mapping[str, str], basis: str, except_for: Collection[str] = ()) -> list[str]:
        """Remove the marks that say nothing any more; return the systems of the others. No process may be about.

        Args:
            states: of the stores as they are now.
            basis: what a mark must have been left under; empty: none is trusted.
            except_for: systems whose marks are not trusted.

        Raises:
            StoreError: one cannot be removed: its system would be taken for one at rest.
        """
        trusted = []
        for name in self._names():
            mark = self.read(name) if SYSTEM_ID.fullmatch(name) else None
            if (
                mark is not None
                and mark.basis == basis != ""
                and mark.state == states.get(name)
                and name not in except_for
            ):
                trusted.append(name)
            else:
                _remove(self._path(name))
        return trusted

    def _names(self) -> list[str]:
        try:
            found = [entry.name for entry in os.scandir(store_folder(self._data_dir))]
        except FileNotFoundError:
            return []
        return sorted(name.removesuffix(f".db{_SUFFIX}") for name in found if name.endswith(f".db{_SUFFIX}"))

    def _path(self, system_id: str) -> Path:
        path = store_path(self._data_dir, system_id)
        return path.with_name(path.name + _SUFFIX)


def encoded(mark: RestMark) -> bytes:
    """Return a mark as it is stored."""
    return msgspec.msgpack.encode(mark)


def decoded(content: bytes) -> RestMark | None:
    """Return a stored mark; None: it is none."""
    try:
        return msgspec.msgpack.decode(content, type=RestMark)
    except msgspec.DecodeError:
        return None


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as problem:
        raise StoreError(f"{path}: cannot be removed: {problem.strerror}") from problem
