"""How the board's file is laid out: 64-byte records of eight aligned 8-byte words, the first of them the header.

A word is read and written whole (one `mov`), through `memoryview.cast("Q")` only: `struct.pack_into` writes byte by
byte, and a fifth of the reads beside it saw zero. All that an answer rests on is in *one* word, epoch and state
together, so that there is nothing to tear and no sequence number to repair after a writer that died.

    header  magic | layout and number of slots | the board's id | - - - - -
    slot    identity (2 words) | epoch and state | publications | heartbeat | - - -
"""

import fcntl
import hashlib
import os
import struct
import sys
from enum import IntEnum
from typing import Final

#: Bytes of a record: a cache line, so that owners do not slow each other down.
RECORD: Final = 64
WORDS: Final = RECORD // 8
MAGIC: Final = int.from_bytes(b"MAESTROB", "big")
LAYOUT: Final = 1

#: Words of the header.
HEADER_MAGIC, HEADER_LAYOUT, HEADER_ID = range(3)
#: Words of a slot. The second word of the identity is never 0 in a slot that is taken, and is written last.
IDENTITY, IDENTITY_END, STATE, PUBLISHED, BEAT = range(5)

#: `struct flock` of 64-bit Linux: type, whence, start, length, pid.
_FLOCK: Final = struct.Struct("@hhqqi4x")
#: Whether this machine's `struct flock` and shared mappings are those that the board counts on.
SUPPORTED: Final = sys.platform == "linux" and sys.maxsize > 2**32


class State(IntEnum):
    """What an owner says of its system's lock; the low two bits of the state word."""

    #: Ask the owner.
    UNKNOWN = 1
    #: Events may proceed.
    OPEN = 2
    #: A reprocessing is running with lock.
    LOCKED = 3


def state_word(epoch: int, state: State) -> int:
    """Return the word that says: the owner of that epoch says that state. An epoch has 62 bits at most."""
    return epoch << 2 | state


def identity(system_id: str) -> tuple[int, int]:
    """Return the two words that name a system: 127 bits of a digest; the second is never 0."""
    digest = hashlib.blake2b(system_id.encode(), digest_size=16).digest()
    return int.from_bytes(digest[:8], "big"), int.from_bytes(digest[8:], "big") | 1


def header_layout(slots: int) -> int:
    """Return the header's word of layout and number of slots."""
    return LAYOUT << 32 | slots


def find(words: "memoryview[int]", slots: int, wanted: tuple[int, int]) -> tuple[int | None, int | None]:
    """Look for a system: (its slot, None), (None, the slot where it belongs), or (None, None) when all are taken.

    Slots are numbered from 1. One that is taken stays its system's for as long as the board is there, so a search may
    end at the first free one.
    """
    first = wanted[0] % slots
    for step in range(slots):
        slot = (first + step) % slots + 1
        at = slot * WORDS
        if words[at + IDENTITY_END] == 0:
            return None, slot
        if (words[at + IDENTITY], words[at + IDENTITY_END]) == wanted:
            return slot, None
    return None, None


def lock_question(slot: int) -> bytes:
    """Return what to put to `fcntl(F_GETLK)`: could somebody else lock this slot?"""
    return _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, slot * RECORD, RECORD, 0)


def held_by(slot: int, pid: int) -> bytes:
    """Return the kernel's answer to it while that process lives and owns the slot."""
    return _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, slot * RECORD, RECORD, pid)
