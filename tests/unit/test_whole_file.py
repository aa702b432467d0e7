"""A reader sees the old content or the new, whatever is in the way."""

import os
import stat
from pathlib import Path

import pytest

from maestro import whole_file


@pytest.mark.parametrize("sync", [True, False])
def test_the_content_is_replaced_and_is_its_owners_alone(tmp_path: Path, *, sync: bool) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    path.chmod(0o666)
    with path.open("rb") as reader:
        whole_file.replace(path, b"new", sync=sync)
        assert reader.read() == b"old", "who has it open keeps what it was"
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_writer_that_died_left_is_in_nobodys_way(tmp_path: Path) -> None:
    aim = tmp_path / "aim"
    aim.write_bytes(b"precious")
    (tmp_path / ".file.new").symlink_to(aim)
    whole_file.replace(tmp_path / "file", b"new", sync=False)
    assert ((tmp_path / "file").read_bytes(), aim.read_bytes()) == (b"new", b"precious")


def test_a_problem_names_the_file_that_was_to_be_written(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "none" / "file", tmp_path / "folder"):
        with pytest.raises(OSError, match=r"No such file|Is a directory") as refused:
            whole_file.replace(path, b"new", sync=False)
        assert (refused.value.filename, refused.value.filename2) == (str(path), None)


def test_a_file_that_cannot_be_written_is_as_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        whole_file.replace(path, b"new", sync=True)
    assert path.read_bytes() == b"old"
