from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from maestro.sandbox.processes import Write
from maestro.sandbox.rows import Rows


@pytest.fixture
def rows(tmp_path: Path) -> Iterator[Rows]:
    made = Rows(tmp_path / "domain.sqlite3")
    yield made
    made.close()


def put(rows: Rows, instance: str, value: Any, branch: str = "master", system: str = "s", key: str = "k") -> bool:
    rows.stage(instance, system, branch, [Write("e", key, {"v": value})])
    return rows.commit(instance)


def value(rows: Rows, branch: str, system: str = "s") -> int | None:
    row = rows.visible(system, "e", "k", branch)
    return row and row.fields["v"]


def test_a_branch_sees_its_own_row_else_the_trunks(rows: Rows) -> None:
    put(rows, "i1", 1)
    assert value(rows, "b") == 1
    put(rows, "i2", 2, "b")
    assert (value(rows, "master"), value(rows, "b"), value(rows, "c")) == (1, 2, 1)
    assert (rows.has_own("s", "e", "k", "b"), rows.has_own("s", "e", "k", "c")) == (True, False)
    assert [row.fields["v"] for row in rows.view("s", "e", "b")] == [2]
    assert rows.count("s", "e", "b") == 1


def test_rows_are_counted_once_however_often_they_change(rows: Rows) -> None:
    assert rows.count("s", "e", "master") == 0
    for number, key in enumerate(("k", "l", "k"), 1):
        put(rows, f"i{number}", number, key=key)
    put(rows, "i9", 9, "b")
    put(rows, "i10", 9, system="other")
    assert (rows.count("s", "e", "master"), rows.count("s", "e", "b")) == (2, 1)


def test_systems_are_apart(rows: Rows) -> None:
    put(rows, "i1", 1)
    assert value(rows, "master", "other") is None


def test_a_second_commit_changes_nothing(rows: Rows) -> None:
    assert put(rows, "i1", 1)
    assert put(rows, "i2", 2)
    assert not rows.commit("i1")
    assert value(rows, "master") == 2
    assert list(rows.committed()) == ["i1", "i2"]


def test_the_version_moves_only_with_the_fields(rows: Rows) -> None:
    put(rows, "i1", 1)
    before = rows.visible("s", "e", "k", "master").version
    put(rows, "i2", 1)
    assert rows.visible("s", "e", "k", "master").version == before
    put(rows, "i3", 2)
    assert rows.visible("s", "e", "k", "master").version > before


def test_staged_rows_know_whether_they_change_what_the_branch_sees(rows: Rows) -> None:
    put(rows, "i1", 1)
    put(rows, "i2", 1, "b")
    stories = (("master", 1, False), ("master", 2, True), ("b", 1, False), ("b", 2, True), ("c", 1, True))
    for number, (branch, value, changes) in enumerate(stories):
        rows.stage(f"s{number}", "s", branch, [Write("e", "k", {"v": value})])
        [staged] = rows.staged(f"s{number}")
        assert staged.changes is changes
    assert rows.staged("nobody") == []


def test_a_used_folder_is_refused(rows: Rows, tmp_path: Path) -> None:
    with pytest.raises(FileExistsError):
        Rows(tmp_path / "domain.sqlite3")
