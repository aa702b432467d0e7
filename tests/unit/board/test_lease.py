"""The lease: what is known of whose the broker's events are, and whether who says so lives."""

import os
import signal
from pathlib import Path

import pytest

from maestro.board.lease import LeaseHolder, LeaseReader, Standing, make_lease


@pytest.mark.parametrize(
    ("standing", "answers", "acts"),
    [
        (Standing.UNKNOWN, False, False),
        (Standing.AWAY, True, False),
        (Standing.REFUSED, False, False),
        (Standing.ALONE, True, True),
        (Standing.HELD, True, False),  # nobody holds the lock
    ],
)
def test_what_a_standing_allows(tmp_path: Path, standing: Standing, answers: bool, acts: bool) -> None:  # noqa: FBT001
    make_lease(tmp_path, standing)
    reader = LeaseReader(tmp_path)
    assert (reader.standing, reader.answers, reader.acts) == (standing, answers, acts)
    reader.close()


def test_a_holder_is_believed_while_its_process_lives(tmp_path: Path) -> None:
    make_lease(tmp_path, Standing.UNKNOWN)
    reader = LeaseReader(tmp_path)
    ready, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        held = LeaseHolder(tmp_path)  # without a name it would be collected, and its lock with it
        held.show(Standing.HELD)
        os.write(tell, b".")
        signal.pause()
    try:
        os.read(ready, 1)
        assert reader.acts
        with pytest.raises((BlockingIOError, PermissionError)):
            LeaseHolder(tmp_path).show(Standing.HELD)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    assert reader.answers
    assert not reader.acts
    reader.close()
    os.close(ready)
    os.close(tell)


def test_a_reason_is_told_and_cut(tmp_path: Path) -> None:
    make_lease(tmp_path, Standing.UNKNOWN)
    holder, reader = LeaseHolder(tmp_path), LeaseReader(tmp_path)
    holder.show(Standing.REFUSED, "another Maestro's")
    assert reader.reason == "another Maestro's"
    holder.show(Standing.REFUSED, "é" * 2000)
    assert reader.reason == "é" * 512
    holder.close()
    reader.close()
