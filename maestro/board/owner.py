"""The owner's side of the board: one system's slot, written by one process only.

The kernel's record lock on the slot is the proof that this process lives. It belongs to the process: it goes with it,
however that ends, and no forked child keeps it. It also goes when *any* descriptor of the file is closed here, so a
process opens the board once.
"""

import fcntl
import mmap
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from maestro.board.errors import BoardError, SlotHeld
from maestro.board.file import board_id, size_of
from maestro.board.layout import (
    BEAT,
    HEADER_ID,
    HEADER_LAYOUT,
    HEADER_MAGIC,
    IDENTITY,
    IDENTITY_END,
    LAYOUT,
    MAGIC,
    PUBLISHED,
    RECORD,
    STATE,
    WORDS,
    State,
    find,
    identity,
    state_word,
)

#: Seconds to wait while another system takes its slot, which takes microseconds, and between two looks.
_TAKING: Final = 1.0
_LOOK: Final = 0.002


class OwnedSlot:
    """A system's slot on the board at `path`; its state is `UNKNOWN` until something is published.

    From here on nothing that an earlier owner said is believed, so take the slot before the store is opened: what
    this owner does then finds no older "open" on the board.

    Raises:
        SlotHeld: another process has this system's slot.
        BoardError: there is no slot for it, or this is no board. Go without.
    """

    def __init__(self, path: Path, system_id: str, epoch: int) -> None:
        self._epoch = epoch
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise BoardError(f"{path}: {error.strerror}") from error
        try:
            self._words = self._mapped(path)
            self._at = self._take(identity(system_id)) * WORDS
        except BaseException:
            os.close(self._fd)
            raise
        self.publish(State.UNKNOWN)
        self.beat()

    def publish(self, state: State) -> None:
        """Show a state. When this returns, every check that begins sees it."""
        self._words[self._at + PUBLISHED] += 1
        self._words[self._at + STATE] = state_word(self._epoch, state)

    def beat(self) -> None:
        """Say that the owner is at work; who has not said so for a while is not believed."""
        self._words[self._at + BEAT] = time.monotonic_ns()

    def close(self) -> None:
        """Give the slot up. Twice is no error."""
        if self._fd >= 0:
            self.publish(State.UNKNOWN)
            self._words.release()
            os.close(self._fd)
            self._fd = -1

    def _mapped(self, path: Path) -> "memoryview[int]":
        size = os.fstat(self._fd).st_size
        if size < size_of(1) or size % RECORD:
            raise BoardError(f"{path}: is no lock board")
        words = memoryview(mmap.mmap(self._fd, size)).cast("Q")
        self._slots = words[HEADER_LAYOUT] & 0xFFFF_FFFF
        right = (
            words[HEADER_MAGIC] == MAGIC
            and words[HEADER_LAYOUT] >> 32 == LAYOUT
            and words[HEADER_ID] == board_id(path)
            and size == size_of(self._slots)
        )
        if not right:
            raise BoardError(f"{path}: is not this run's lock board")
        return words

    def _take(self, wanted: tuple[int, int]) -> int:
        slot, _ = find(self._words, self._slots, wanted)
        if slot is None:
            slot = self._new(wanted)
        if not self._lock(slot):
            raise SlotHeld("another process shows this system's lock")
        return slot

    def _new(self, wanted: tuple[int, int]) -> int:
        """Take a free slot, one system at a time: the header's record is locked meanwhile."""
        deadline = time.monotonic() + _TAKING
        while not self._lock(0):
            if time.monotonic() >= deadline:
                raise SlotHeld("another process is taking a slot, and does not get done")
            time.sleep(_LOOK)
        try:
            slot, free = find(self._words, self._slots, wanted)
            if slot is not None:
                return slot
            if free is None:
                raise BoardError(f"all {self._slots} slots of the lock board are taken")
            self._words[free * WORDS + IDENTITY] = wanted[0]
            self._words[free * WORDS + IDENTITY_END] = wanted[1]
            return free
        finally:
            fcntl.lockf(self._fd, fcntl.LOCK_UN, RECORD, 0)

    def _lock(self, record: int) -> bool:
        with suppress(BlockingIOError, PermissionError):  # either, says POSIX, when another process has it
            fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB, RECORD, record * RECORD)
            return True
        return False
