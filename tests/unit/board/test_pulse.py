"""The heartbeats, as one sees them who only watches."""

import time
from pathlib import Path

from maestro.board.file import BoardFile
from maestro.board.owner import OwnedSlot
from maestro.board.pulse import Pulse


def test_without_a_board_no_heart_is_seen_to_beat(tmp_path: Path) -> None:
    pulse = Pulse(tmp_path)
    pulse.look()
    assert pulse.beat("sysA", 1) == 0.0


def test_a_heartbeat_is_seen_and_only_that_of_the_life_meant(tmp_path: Path) -> None:
    board = BoardFile(tmp_path, slots=7, folders=(tmp_path,))
    pulse = Pulse(tmp_path)
    pulse.look()
    assert pulse.beat("sysA", 5) == 0.0
    owner = OwnedSlot(board.path, "sysA", 5)
    assert pulse.beat("sysA", 5) == 0.0  # as of the last look
    pulse.look()
    seen = pulse.beat("sysA", 5)
    assert time.monotonic() - 5 < seen <= time.monotonic()
    assert pulse.beat("sysA", 6) == 0.0
    assert pulse.beat("sysB", 5) == 0.0
    owner.beat()
    pulse.look()
    assert pulse.beat("sysA", 5) > seen
    owner.close()
    board.close()
    pulse.look()
    assert pulse.beat("sysA", 5) == 0.0


def test_another_board_is_searched_anew(tmp_path: Path) -> None:
    pulse = Pulse(tmp_path)
    for system in ("sysA", "sysB"):
        board = BoardFile(tmp_path, slots=1, folders=(tmp_path,))
        owner = OwnedSlot(board.path, system, 5)
        pulse.look()
        assert pulse.beat(system, 5) > 0.0
        owner.close()
        board.close()
