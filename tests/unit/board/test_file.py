from pathlib import Path

import pytest

from maestro.board.errors import BoardError
from maestro.board.file import LINK, SHARED_MEMORY, BoardFile, board_id, find_board, remove_board, size_of
from maestro.board.owner import OwnedSlot


def test_it_is_found_through_the_link_and_whole_from_the_start(tmp_path: Path) -> None:
    board = BoardFile(tmp_path)
    assert find_board(tmp_path) == board.path
    assert board.path.parent == (SHARED_MEMORY if SHARED_MEMORY.is_dir() else tmp_path)
    assert board.path.stat().st_size == size_of(board.slots)
    assert board.path.stat().st_blocks * 512 >= size_of(board.slots)
    assert board.path.stat().st_mode & 0o777 == 0o600
    board.close()
    assert not board.path.exists()
    assert find_board(tmp_path) is None


def test_what_a_killed_main_process_left_is_removed_and_never_read(tmp_path: Path) -> None:
    old = BoardFile(tmp_path)
    new = BoardFile(tmp_path)
    assert not old.path.exists()
    assert find_board(tmp_path) == new.path != old.path
    new.close()
    assert not list(tmp_path.iterdir())


def test_what_nobody_keeps_is_swept_and_what_another_keeps_is_not(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    shared = tmp_path / "shared"
    shared.mkdir()
    left = shared / "maestro-0123456789abcdef.board"
    left.write_bytes(bytes(64))
    other = BoardFile(data, folders=(shared,))
    assert not left.exists()
    mine = BoardFile(tmp_path, folders=(shared,))
    assert sorted(shared.iterdir()) == sorted([other.path, mine.path])
    mine.close()
    other.close()
    assert not list(shared.iterdir())


def test_a_link_to_something_else_loses_the_link_only(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("x")
    (tmp_path / LINK).symlink_to(precious)
    remove_board(tmp_path)
    assert precious.exists()
    assert find_board(tmp_path) is None


def test_without_shared_memory_it_is_made_in_the_next_folder(tmp_path: Path) -> None:
    board = BoardFile(tmp_path, folders=(tmp_path / "missing", tmp_path))
    assert board.path.parent == tmp_path
    board.close()


def test_when_it_can_be_made_nowhere_that_is_an_os_error_and_nothing_is_left(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        BoardFile(tmp_path, folders=(tmp_path / "missing",))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", [b"", b"x" * 64, bytes(4096)])
def test_an_owner_refuses_what_is_no_board(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "maestro-0000000000000001.board"
    path.write_bytes(content)
    with pytest.raises(BoardError):
        OwnedSlot(path, "sysA", 1)


def test_an_owner_refuses_a_board_of_another_run_under_this_ones_name(tmp_path: Path) -> None:
    board = BoardFile(tmp_path)
    path = tmp_path / f"maestro-{board_id(board.path) ^ 1:016x}.board"
    path.write_bytes(board.path.read_bytes())
    with pytest.raises(BoardError):
        OwnedSlot(path, "sysA", 1)
    with pytest.raises(BoardError):
        OwnedSlot(tmp_path / "missing", "sysA", 1)
    board.close()
