"""The heartbeats on the board, for who only wants to know whether the owners are at work.

The file is read, not mapped, and closed at once: a process that forks owners must not hand them a descriptor of it, for
the record lock that proves an owner goes when *any* descriptor of the file is closed in its process.
"""

from pathlib import Path
from typing import Final

from maestro.board.file import find_board
from maestro.board.layout import BEAT, STATE, WORDS, find, identity

_NOTHING: Final = memoryview(b"").cast("Q")


class Pulse:
    """The heartbeats as they were when `look` was called last."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._path: Path | None = None
        self._words = _NOTHING
        self._slots: dict[str, int] = {}

    def look(self) -> None:
        """Read the board, if there is one."""
        path = find_board(self._data_dir)
        if path != self._path:
            self._path, self._slots = path, {}
        try:
            data = path.read_bytes() if path is not None else b""
        except OSError:
            data = b""
        self._words = memoryview(data).cast("Q") if len(data) % (WORDS * 8) == 0 else _NOTHING

    def beat(self, system_id: str, epoch: int) -> float:
        """Return when that life of the system's owner last beat, by the monotonic clock in seconds; 0: never."""
        slot = self._slots.get(system_id) or self._find(system_id)
        at = slot * WORDS
        if slot == 0 or at + BEAT >= len(self._words) or self._words[at + STATE] >> 2 != epoch:
            return 0.0
        return self._words[at + BEAT] / 1e9

    def _find(self, system_id: str) -> int:
        slots = len(self._words) // WORDS - 1
        slot, _ = find(self._words, slots, identity(system_id)) if slots > 0 else (None, None)
        if slot is None:
            return 0
        self._slots[system_id] = slot
        return slot
