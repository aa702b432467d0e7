"""The mark of a system at rest, and which marks are trusted at a start."""

import asyncio
import os
from pathlib import Path

import pytest

from maestro.store.base import StoreError
from maestro.store.files import FileStores, file_state
from maestro.store.places import store_path
from maestro.store.rest_mark import RestMark, RestMarks

BASIS = "1.0 rules"


@pytest.fixture
def marks(tmp_path: Path) -> RestMarks:
    (tmp_path / "systems").mkdir()
    return RestMarks(tmp_path)


def rest(tmp_path: Path, marks: RestMarks, system_id: str = "sysA", basis: str = BASIS) -> Path:
    path = store_path(tmp_path, system_id)
    path.write_bytes(b"store")
    state = file_state(path)
    assert state
    marks.leave(system_id, RestMark(basis, state, 1.0, todo=b"{}", newest="5.id"))
    return path


def keep_trusted(marks: RestMarks, basis: str, except_for: tuple[str, ...] = ()) -> list[str]:
    states = asyncio.run(FileStores(marks._data_dir).states(marks.marked()))
    return marks.keep_trusted(states, basis, except_for)


def test_a_mark_is_there_from_leaving_to_removing(tmp_path: Path, marks: RestMarks) -> None:
    assert not marks.has("sysA")
    assert marks.read("sysA") is None
    rest(tmp_path, marks)
    assert marks.has("sysA")
    found = marks.read("sysA")
    assert found is not None
    assert (found.todo, found.newest) == (b"{}", "5.id")
    assert not marks.has("sysB")
    marks.remove("sysA")
    marks.remove("sysA")
    assert not marks.has("sysA")


def test_what_is_as_it_was_left_is_trusted(tmp_path: Path, marks: RestMarks) -> None:
    rest(tmp_path, marks, "sysA")
    rest(tmp_path, marks, "sysB")
    assert keep_trusted(marks, BASIS) == ["sysA", "sysB"]
    assert marks.has("sysA")


def test_a_store_that_changed_since_is_not_trusted(tmp_path: Path, marks: RestMarks) -> None:
    path = rest(tmp_path, marks)
    status = path.stat()
    path.write_bytes(b"other")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert keep_trusted(marks, BASIS) == []
    assert not marks.has("sysA")


def test_a_restored_copy_is_not_trusted(tmp_path: Path, marks: RestMarks) -> None:
    path = rest(tmp_path, marks)
    status = path.stat()
    copy = path.with_name("copy")
    copy.write_bytes(b"store")
    os.utime(copy, ns=(status.st_atime_ns, status.st_mtime_ns))
    copy.replace(path)
    assert keep_trusted(marks, BASIS) == []


@pytest.mark.parametrize("beside", ["-wal", "-tail"])
def test_a_store_that_was_not_closed_is_not_trusted(tmp_path: Path, marks: RestMarks, beside: str) -> None:
    path = rest(tmp_path, marks)
    path.with_name(path.name + beside).touch()
    assert keep_trusted(marks, BASIS) == []


def test_other_rules_and_named_systems_are_not_trusted(tmp_path: Path, marks: RestMarks) -> None:
    rest(tmp_path, marks, "sysA", "1.1 rules")
    rest(tmp_path, marks, "sysB")
    assert keep_trusted(marks, BASIS, ("sysB",)) == []
    rest(tmp_path, marks, "sysC", "")
    assert keep_trusted(marks, "") == [], "where nothing is passivated no mark counts"


@pytest.mark.parametrize("content", [b"", b"torn", b"\x93\x01\x02\x03"])
def test_a_torn_mark_is_not_trusted(tmp_path: Path, marks: RestMarks, content: bytes) -> None:
    path = rest(tmp_path, marks)
    path.with_name(f"{path.name}.rest").write_bytes(content)
    assert marks.read("sysA") is None
    assert keep_trusted(marks, BASIS) == []
    assert not marks.has("sysA")


def test_a_mark_without_a_store_is_not_trusted(tmp_path: Path, marks: RestMarks) -> None:
    rest(tmp_path, marks).unlink()
    assert keep_trusted(marks, BASIS) == []


def test_no_folder_has_no_marks(tmp_path: Path) -> None:
    assert keep_trusted(RestMarks(tmp_path / "none"), BASIS) == []
    assert not RestMarks(tmp_path / "none").has("sysA")


def test_a_mark_that_cannot_be_removed_is_an_error(tmp_path: Path, marks: RestMarks) -> None:
    path = rest(tmp_path, marks)
    mark = path.with_name(f"{path.name}.rest")
    mark.unlink()
    mark.mkdir()
    with pytest.raises(StoreError, match="cannot be removed"):
        marks.remove("sysA")
    with pytest.raises(StoreError, match="cannot be removed"):
        keep_trusted(marks, BASIS)
