"""The gateway's side of the board: is this system locked, as far as that can be *proven* without asking?

A sight is believed when, in this order,

1. the state word names the epoch that the directory names,
2. the heartbeat is fresh, and
3. the kernel says that the process which the directory names still holds the slot.

The order matters: an owner that is alive after the word was read was alive when it was read. `docs/lock_board.md`
has the whole argument.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from fcntl import F_GETLK, fcntl
from typing import Final, NamedTuple

from maestro.board.file import BoardFile
from maestro.board.layout import (
    BEAT,
    PUBLISHED,
    STATE,
    WORDS,
    State,
    find,
    held_by,
    identity,
    lock_question,
    state_word,
)

#: `look` says: events may proceed.
OPEN: Final = 0


class Owner(NamedTuple):
    """Who owns a system now, as the directory has it."""

    system_id: str
    epoch: int
    pid: int


@dataclass(frozen=True, slots=True)
class _Place:
    """Where to look for an owner's word, and what proves it."""

    state: int
    published: int
    beat: int
    open: int
    locked: int
    question: bytes
    proof: bytes


class BoardReader:
    """Reads a board. `fresh`: how old an owner's last heartbeat may be, in seconds."""

    def __init__(self, board: BoardFile, fresh: float) -> None:
        self._fresh_ns = int(fresh * 1e9)
        self._slots = board.slots
        self._fd = board.fd
        self._words = memoryview(board.map).cast("Q")
        self._owners: dict[str, Owner] = {}
        self._places: dict[str, _Place] = {}
        #: Systems that came when all slots were taken. None is ever freed, so they need not be searched for again.
        self._without: set[str] = set()

    def follow(self, owners: Iterable[Owner]) -> None:
        """Believe these owners, and no others, from now on."""
        self._owners = {owner.system_id: owner for owner in owners}
        self._places = {}

    def look(self, system_id: str) -> int | None:
        """Return `OPEN`, a positive number when locked, or None: ask.

        The number is another one each time an owner publishes, so what is known about a lock holds as long as it
        stays the same.
        """
        place = self._places.get(system_id) or self._find(system_id)
        if place is None:
            return None
        words = self._words
        word = words[place.state]
        if word == place.open:
            seen = OPEN
        elif word == place.locked:
            seen = words[place.published]
        else:
            return None
        if time.monotonic_ns() - words[place.beat] > self._fresh_ns:
            return None
        if fcntl(self._fd, F_GETLK, place.question) != place.proof:
            return None
        return seen

    def close(self) -> None:
        """Let go of the board."""
        self._words.release()

    def _find(self, system_id: str) -> _Place | None:
        owner = self._owners.get(system_id)
        if owner is None or system_id in self._without:
            return None
        slot, free = find(self._words, self._slots, identity(system_id))
        if slot is None:
            if free is None:
                self._without.add(system_id)
            return None
        at = slot * WORDS
        place = _Place(
            state=at + STATE,
            published=at + PUBLISHED,
            beat=at + BEAT,
            open=state_word(owner.epoch, State.OPEN),
            locked=state_word(owner.epoch, State.LOCKED),
            question=lock_question(slot),
            proof=held_by(slot, owner.pid),
        )
        self._places[system_id] = place
        return place
