"""Whatever happens to the owner, no check is told "open" between the taking of the lock and its giving up."""

import os
import random
import signal
import time
from collections import Counter
from pathlib import Path

from maestro.board.layout import STATE, WORDS, State, find, identity
from maestro.board.reader import OPEN
from tests.support.board_owner import Owner, Truth
from tests.unit.board.conftest import Board

LIVES = 25


class Watcher:
    """Checks over and over, and knows better."""

    def __init__(self, board: Board, truth: Path) -> None:
        self.board = board
        self.truth = Truth(truth)
        self.seen: Counter[str] = Counter()

    def watch(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.check()

    def check(self) -> None:
        before = self.truth.held
        seen = self.board.reader.look("sysA")
        held = before % 2 == 1 and before == self.truth.held
        assert not (held and seen == OPEN), "told open under the lock"
        self.seen["unknown" if seen is None else "open" if seen == OPEN else "locked"] += 1
        self.seen["under lock"] += held


def test_a_writer_at_full_speed_is_never_read_torn(board: Board, tmp_path: Path) -> None:
    truth = tmp_path / "truth"
    watcher = Watcher(board, truth)
    owner = board.start("sysA", 2**61 + 12345, truth).ready()
    board.follow("sysA", owner.epoch, owner.pid)
    words = memoryview(board.file.map).cast("Q")
    slot, _ = find(words, board.file.slots, identity("sysA"))
    assert slot is not None
    legal = {owner.epoch << 2 | state for state in State}
    assert {words[slot * WORDS + STATE] for _ in range(200_000)} <= legal
    words.release()
    watcher.watch(1.0)
    assert watcher.seen["open"] > 100
    assert watcher.seen["locked"] > 100


def test_killed_frozen_and_followed_by_another_at_any_moment(board: Board, tmp_path: Path) -> None:
    chance = random.Random(6)
    truth = tmp_path / "truth"
    watcher = Watcher(board, truth)
    next_owner = board.start("sysA", 1, truth).ready()
    for epoch in range(2, LIVES + 2):
        owner = next_owner
        if chance.random() < 0.8:  # else the directory comes late: this life is never believed
            board.follow("sysA", owner.epoch, owner.pid)
        watcher.watch(chance.uniform(0.002, 0.03))
        if chance.random() < 0.3:
            freeze_and_thaw(owner, watcher, chance)
        next_owner = board.start("sysA", epoch, truth)  # it waits for the slot
        watcher.watch(chance.uniform(0.0, 0.2))
        os.kill(owner.pid, signal.SIGKILL)
        watcher.watch(0.005)
        owner.end()
        next_owner.ready()
    assert watcher.seen["under lock"] > 100
    assert watcher.seen["open"] > 100
    assert watcher.seen["locked"] > 100
    assert watcher.seen["unknown"] > 100


def freeze_and_thaw(owner: Owner, watcher: Watcher, chance: random.Random) -> None:
    os.kill(owner.pid, signal.SIGSTOP)
    watcher.watch(chance.uniform(0.002, 0.02))
    os.kill(owner.pid, signal.SIGCONT)
