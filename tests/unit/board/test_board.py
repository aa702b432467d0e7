"""What the reader believes, of owners that are processes of their own."""

import os
import signal

import pytest

from maestro.board.reader import OPEN, BoardReader
from maestro.board.reader import Owner as Named
from tests.unit.board.conftest import Board


def test_it_tells_what_the_owner_published(board: Board) -> None:
    assert board.reader.look("sysA") is None
    owner = board.owned("sysA", 1)
    assert board.reader.look("sysA") is None
    owner.tell("open")
    assert board.reader.look("sysA") == OPEN
    owner.tell("locked")
    first = board.reader.look("sysA")
    assert first
    assert board.reader.look("sysA") == first
    owner.tell("locked")
    assert (board.reader.look("sysA") or 0) > first
    owner.tell("unknown")
    assert board.reader.look("sysA") is None
    assert board.reader.look("sysB") is None


@pytest.mark.parametrize("last", ["open", "locked"])
def test_an_owner_that_was_killed_is_not_believed_from_that_moment(board: Board, last: str) -> None:
    owner = board.owned("sysA", 1)
    owner.tell(last)
    assert board.reader.look("sysA") is not None
    owner.end()
    assert board.reader.look("sysA") is None


def test_an_owner_that_left_is_not_believed(board: Board) -> None:
    owner = board.owned("sysA", 1)
    owner.tell("open")
    owner.tell("close")
    assert board.reader.look("sysA") is None


def test_a_frozen_owner_is_believed_until_its_heartbeat_is_old(board: Board) -> None:
    owner = board.owned("sysA", 1)
    owner.tell("open")
    os.kill(owner.pid, signal.SIGSTOP)
    assert board.reader.look("sysA") == OPEN
    impatient = BoardReader(board.file, fresh=0.0)
    impatient.follow([Named("sysA", 1, owner.pid)])
    assert impatient.look("sysA") is None
    impatient.close()
    os.kill(owner.pid, signal.SIGCONT)
    owner.tell("beat")
    assert board.reader.look("sysA") == OPEN


def test_a_second_owner_fails_and_changes_nothing(board: Board) -> None:
    board.owned("sysA", 1).tell("open")
    assert board.start("sysA", 2).said() == "SlotHeld"
    assert board.reader.look("sysA") == OPEN


def test_a_new_owner_has_the_same_slot_and_is_believed_once_the_directory_names_it(board: Board) -> None:
    board.owned("sysA", 1).tell("open")
    board.owned("sysB", 2).tell("locked")
    board.owners[0].end()
    new = board.start("sysA", 3).ready()
    assert board.reader.look("sysA") is None
    new.tell("locked")
    assert board.reader.look("sysA") is None
    board.follow("sysA", 3, new.pid)
    assert board.reader.look("sysA")
    new.tell("open")
    assert board.reader.look("sysA") == OPEN
    assert board.reader.look("sysB")


def test_the_right_epoch_of_the_wrong_process_is_not_believed(board: Board) -> None:
    owner = board.owned("sysA", 1)
    owner.tell("open")
    board.follow("sysA", 1, os.getpid())
    assert board.reader.look("sysA") is None


@pytest.mark.parametrize("slots", [2])
def test_systems_beyond_the_last_slot_go_without_and_the_others_keep_theirs(board: Board) -> None:
    board.owned("sysA", 1).tell("open")
    board.owned("sysB", 2).tell("locked")
    third = board.start("sysC", 3)
    assert third.said() == "BoardError"
    board.follow("sysC", 3, third.pid)
    assert [board.reader.look(f"sys{x}") for x in "AC"] == [OPEN, None]
    assert board.reader.look("sysC") is None
    assert board.reader.look("sysB")


def test_an_actor_that_the_directory_no_longer_names_is_not_believed(board: Board) -> None:
    board.owned("sysA", 1).tell("open")
    board.reader.follow([])
    assert board.reader.look("sysA") is None
