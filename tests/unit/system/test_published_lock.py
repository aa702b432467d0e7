"""What a service shows of its lock. An owner is not shown its own record lock, so others than this process look."""

import asyncio
from pathlib import Path

import pytest

from maestro.board.errors import SlotHeld
from maestro.board.file import BoardFile
from maestro.board.layout import BEAT, STATE, WORDS, State, find, identity, state_word
from maestro.messages.answers import Answer, Code
from maestro.rules.state import Lock
from maestro.settings.model import ActorSettings, HttpSettings, Settings
from maestro.system.published_lock import PublishedLock
from tests.support.board_owner import Owner

LOCK = Lock("r1", "ana", 0.0, 0, 2)


class Shown:
    """The words that a published lock wrote."""

    def __init__(self, board: BoardFile) -> None:
        self.words = memoryview(board.map).cast("Q")
        slot, _ = find(self.words, board.slots, identity("sysA"))
        self.at = (slot or 0) * WORDS

    def word(self, which: int) -> int:
        return self.words[self.at + which]


async def test_each_change_is_shown_to_the_shell_and_on_the_board(tmp_path: Path) -> None:
    board = BoardFile(tmp_path)
    settings = Settings(data_dir=tmp_path, actors=ActorSettings(replace_after=2.0))  # its heart beats fast
    lock = PublishedLock(settings, "sysA", 5, "it is starting")
    assert lock.answer == Answer(Code.UNAVAILABLE, message="it is starting")
    lock.take_slot()
    lock.take_slot()
    shown = Shown(board)
    assert shown.word(STATE) == state_word(5, State.UNKNOWN)
    lock.publish(None)
    assert (lock.answer.code, shown.word(STATE)) == (Code.OK, state_word(5, State.OPEN))
    lock.publish(LOCK)
    assert (lock.answer.code, shown.word(STATE)) == (Code.LOCKED, state_word(5, State.LOCKED))
    lock.unknown("disk full")
    assert (lock.answer.message, shown.word(STATE)) == ("disk full", state_word(5, State.UNKNOWN))
    first = shown.word(BEAT)
    async with asyncio.timeout(5):
        while shown.word(BEAT) == first:  # noqa: ASYNC110 - shared memory offers no event
            await asyncio.sleep(0.002)
    lock.publish(None)
    lock.close()
    lock.close()
    assert shown.word(STATE) == state_word(5, State.UNKNOWN)
    shown.words.release()
    board.close()


async def test_a_slot_that_another_process_holds_is_not_taken(tmp_path: Path) -> None:
    board = BoardFile(tmp_path)
    other = Owner(tmp_path, "sysA", 4)
    try:
        other.ready()
        lock = PublishedLock(Settings(data_dir=tmp_path), "sysA", 5, "")
        with pytest.raises(SlotHeld):
            lock.take_slot()
        other.end()
        lock.take_slot()
        lock.close()
    finally:
        other.end()
        board.close()


@pytest.mark.parametrize("enabled", [True, False])
async def test_without_a_board_only_the_shell_is_told(tmp_path: Path, enabled: bool) -> None:  # noqa: FBT001
    board = None if enabled else BoardFile(tmp_path)
    lock = PublishedLock(Settings(data_dir=tmp_path, http=HttpSettings(lock_board=enabled)), "sysA", 5, "")
    lock.take_slot()
    lock.publish(LOCK)
    assert lock.answer.code is Code.LOCKED
    lock.close()
    if board is not None:
        board.close()
