"""Whose the broker's events are, as the ingress actor shows it to all other processes of this run: the *lease*.

One small file in the data folder, mapped by everybody who asks. One word of it says what is known. While ingress holds
the broker's owner message it also holds the kernel's record lock on the file, which goes with its process, however that
ends: effects are carried out only while both are true.
"""

import fcntl
import mmap
import os
import struct
from contextlib import suppress
from enum import IntEnum
from pathlib import Path
from typing import Final

from maestro import whole_file

#: Bytes of the file, and of the record that is locked.
_SIZE: Final = 4096
_RECORD: Final = 8
_FLOCK: Final = struct.Struct("hhqqi")
#: Longest text of a reason, in bytes; it starts after the first two words.
_REASON_AT: Final = 16
_REASON_MAX: Final = 1024


class Standing(IntEnum):
    """What is known of whose the broker's events are (semantics: Who owns the broker's events)."""

    #: Nothing yet, in this start.
    UNKNOWN = 0
    #: Ours, and the message that says so is held.
    HELD = 1
    #: Ours when it was known last; the broker is out of reach, or has not said yet. Effects wait.
    AWAY = 2
    #: Another installation's.
    REFUSED = 3
    #: There is nobody to share with: the embedded broker.
    ALONE = 4
    #: Our cluster's, and another node of it holds the message.
    SHARED = 5


#: Lock checks and decisions are answered from the store.
_ANSWERING: Final = frozenset({Standing.HELD, Standing.AWAY, Standing.ALONE, Standing.SHARED})


def lease_path(data_dir: Path) -> Path:
    """Return where the lease of a data folder is."""
    return data_dir / "owner.lease"


def make_lease(data_dir: Path, standing: Standing) -> None:
    """Make the lease of a new start. The data folder is this process's own by now."""
    # A new file: a process of an earlier start may still have the old one mapped.
    whole_file.replace(lease_path(data_dir), bytes([standing]).ljust(_SIZE, b"\0"), sync=False)


class LeaseReader:
    """What every process but ingress knows of the lease."""

    def __init__(self, data_dir: Path) -> None:
        self._fd = os.open(lease_path(data_dir), os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._bytes = memoryview(mmap.mmap(self._fd, _SIZE, access=mmap.ACCESS_READ))
        except BaseException:
            os.close(self._fd)
            raise
        self._words = self._bytes[:_REASON_AT].cast("Q")

    @property
    def standing(self) -> Standing:
        """What is known."""
        return Standing(self._words[0])

    @property
    def answers(self) -> bool:
        """Whether lock checks and decisions may be answered."""
        return self._words[0] in _ANSWERING

    @property
    def acts(self) -> bool:
        """Whether effects may be begun: the owner message is held here, and who holds it lives; or nobody shares."""
        standing = self._words[0]
        return standing == Standing.ALONE or (standing == Standing.HELD and self._holder_lives())

    @property
    def reason(self) -> str:
        """Why it is not held, for people."""
        size = min(self._words[1], _REASON_MAX)
        return bytes(self._bytes[_REASON_AT : _REASON_AT + size]).decode(errors="replace")

    def close(self) -> None:
        """Let go of it."""
        if self._fd >= 0:
            self._words.release()
            self._bytes.release()
            os.close(self._fd)
            self._fd = -1

    def _holder_lives(self) -> bool:
        question = _FLOCK.pack(fcntl.F_RDLCK, os.SEEK_SET, 0, _RECORD, 0)
        return bool(_FLOCK.unpack(fcntl.fcntl(self._fd, fcntl.F_GETLK, question))[0] != fcntl.F_UNLCK)


class LeaseHolder:
    """Ingress's side. A process has one only: closing any descriptor of the file here would drop the lock."""

    def __init__(self, data_dir: Path) -> None:
        self._fd = os.open(lease_path(data_dir), os.O_RDWR | os.O_CLOEXEC)
        self._bytes = memoryview(mmap.mmap(self._fd, _SIZE))
        self._words = self._bytes[:_REASON_AT].cast("Q")

    @property
    def standing(self) -> Standing:
        """What was shown last."""
        return Standing(self._words[0])

    def show(self, standing: Standing, reason: str = "") -> None:
        """Show what is known from now on, and why it is not held.

        Raises:
            BlockingIOError, PermissionError: another process holds the lease; a held one is not shown then.
        """
        if standing is Standing.HELD:
            fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB, _RECORD, 0)
        text = reason.encode()[:_REASON_MAX]
        self._bytes[_REASON_AT : _REASON_AT + len(text)] = text
        self._words[1] = len(text)
        self._words[0] = standing
        if standing is not Standing.HELD:
            fcntl.lockf(self._fd, fcntl.LOCK_UN, _RECORD, 0)

    def close(self) -> None:
        """Let go of it; what was shown stays, and is believed no more than the lock allows."""
        if self._fd >= 0:
            with suppress(OSError):
                self._words.release()
                self._bytes.release()
                os.close(self._fd)
            self._fd = -1
