"""The node's lease, as the main process shows it to all processes of the node: until when it is believed.

A node of a cluster owns its systems for as long as it beats in PostgreSQL. Each beat that is answered moves the moment
until which nobody can have taken its systems over. That moment is one word of a small file in the data folder, mapped
by everybody who asks. A process that was frozen reads it when it goes on, and finds that its time is over: it begins no
effect, acknowledges nothing and answers no lock check.

    believed until | events held until | version of the systems owned

Moments are nanoseconds of CLOCK_BOOTTIME: one clock for all processes of a machine, which nobody sets, and which goes
on while the machine sleeps. Without a cluster there is no such file, and everything is believed.
"""

import mmap
import os
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from maestro import whole_file
from maestro.settings.model import Settings

_SIZE: Final = 4096
_BELIEVED, _EVENTS, _VERSION = range(3)


def boot_time() -> float:
    """Return the time in seconds of CLOCK_BOOTTIME."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) / 1e9


def _lease_path(data_dir: Path) -> Path:
    return data_dir / "node.lease"


def _systems_path(data_dir: Path) -> Path:
    return data_dir / "node.systems"


class NodeLeaseHolder:
    """The main process's side: a new file, which says that nothing is believed. The data folder is its own by now."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        # New files: a process of an earlier start may still have the old ones mapped.
        whole_file.replace(_systems_path(data_dir), b"", sync=False)
        whole_file.replace(_lease_path(data_dir), bytes(_SIZE), sync=False)
        descriptor = os.open(_lease_path(data_dir), os.O_RDWR | os.O_CLOEXEC)
        try:
            self._words = memoryview(mmap.mmap(descriptor, _SIZE)).cast("Q")
        finally:
            os.close(descriptor)

    @property
    def believed_until(self) -> float:
        """Until when the lease is believed, in seconds of CLOCK_BOOTTIME."""
        return self._words[_BELIEVED] / 1e9

    def believe(self, until: float) -> None:
        """Have the lease believed until then, in seconds of CLOCK_BOOTTIME; 0: not any more."""
        self._words[_BELIEVED] = int(max(0.0, until) * 1e9)

    def others_hold_events(self, until: float) -> None:
        """Another node holds the owner message; that is believed until then. 0: none does, as far as is known."""
        self._words[_EVENTS] = int(max(0.0, until) * 1e9)

    def own(self, system_ids: Iterable[str]) -> None:
        """Say which systems this node owns. When this returns, every look that begins sees it. Raises `OSError`."""
        whole_file.replace(_systems_path(self._data_dir), "\n".join(sorted(system_ids)).encode(), sync=False)
        self._words[_VERSION] += 1

    def close(self) -> None:
        """Believe nothing any more."""
        self.believe(0)
        self._words.release()


class NodeView:
    """What any process knows of the node's lease. Without a cluster everything is believed, and every system owned."""

    def __init__(self, settings: Settings) -> None:
        self._alone = not settings.cluster.name
        self._data_dir = settings.data_dir
        self._words: memoryview[int] | None = None
        self._version = 0
        self._owned: frozenset[str] = frozenset()

    @property
    def alone(self) -> bool:
        """Whether there is no cluster."""
        return self._alone

    @property
    def believed(self) -> bool:
        """Whether nobody can have taken this node's systems over, at this moment."""
        return self._alone or self._until(_BELIEVED)

    @property
    def over_for(self) -> float:
        """Seconds since the lease was over; 0 while it is believed."""
        if self.believed:
            return 0.0
        words = self._mapped()
        return max(0.0, boot_time() - words[_BELIEVED] / 1e9) if words is not None else 0.0

    @property
    def events_held(self) -> bool:
        """Whether another node of the cluster says that it holds the owner message."""
        return not self._alone and self._until(_EVENTS)

    @property
    def refusal(self) -> str:
        """Why nothing may be answered or done; empty: it may."""
        if self.believed:
            return ""
        return "cluster: this node's lease is not believed: PostgreSQL has not confirmed it in time"

    def owned(self) -> frozenset[str] | None:
        """Return the systems that this node owns; None without a cluster: all that come."""
        if self._alone:
            return None
        words = self._mapped()
        if words is not None and words[_VERSION] != self._version:
            version = words[_VERSION]  # first: a list that is newer than its version is read again
            with suppress(OSError):
                self._owned = frozenset(_systems_path(self._data_dir).read_text().split())
                self._version = version
        return self._owned

    def close(self) -> None:
        """Let go of it."""
        if self._words is not None:
            self._words.release()
            self._words = None

    def _until(self, word: int) -> bool:
        words = self._mapped()
        return words is not None and time.clock_gettime_ns(time.CLOCK_BOOTTIME) < words[word]

    def _mapped(self) -> "memoryview[int] | None":
        if self._words is None:
            with suppress(OSError, ValueError):
                descriptor = os.open(_lease_path(self._data_dir), os.O_RDONLY | os.O_CLOEXEC)
                try:
                    self._words = memoryview(mmap.mmap(descriptor, _SIZE, access=mmap.ACCESS_READ)).cast("Q")
                finally:
                    os.close(descriptor)
        return self._words
