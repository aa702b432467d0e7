from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from maestro.sandbox.processes import Write
from maestro.sandbox.rows import Change, Row, Rows


@pytest.fixture
def rows(tmp_path: Path) -> Iterator[Rows]:
    made = Rows(tmp_path / "domain.sqlite3")
    yield made
    made.close()


@pytest.fixture
def kind(tmp_path: Path) -> Iterator[Rows]:
    made = Rows(tmp_path / "kind.sqlite3", creates_anew=False)
    yield made
    made.close()


def stage(rows: Rows, instance: str, write: Write, branch: str = "master", system: str = "s") -> None:
    """Stage as an instance does that looks at the row before it writes it."""
    row = rows.visible(system, write.entity, write.key, branch)
    rows.stage(instance, system, branch, [write], {} if row is None else {(write.entity, write.key): row})


def put(
    rows: Rows, instance: str, value: Any, branch: str = "master", system: str = "s", key: str = "k",
    *, at: float = 1.0, replay: bool = False,
) -> bool:  # fmt: skip
    stage(rows, instance, Write("e", key, None if value is None else {"v": value}), branch, system)
    return rows.commit(instance, at, replay=replay)


def row(rows: Rows, branch: str = "master", key: str = "k") -> Row:
    found = rows.visible("s", "e", key, branch)
    assert found is not None
    return found


def value(rows: Rows, branch: str, system: str = "s") -> int | None:
    found = rows.visible(system, "e", "k", branch)
    return found and found.fields["v"]


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


def test_a_second_commit_makes_its_rows_anew_and_is_noticed(rows: Rows) -> None:
    put(rows, "i1", 1)
    assert rows.doubled() == []
    assert rows.commit("i1", 2.0)
    assert [one.fields["v"] for one in rows.view("s", "e", "master")] == [1, 1]
    assert rows.count("s", "e", "master") == 2
    assert rows.doubled() == ["i1"]
    assert list(rows.committed()) == ["i1", "i1"]


def test_a_second_commit_of_changes_alone_doubles_nothing(rows: Rows) -> None:
    put(rows, "i1", 1)
    put(rows, "i2", 2)
    assert rows.commit("i2", 2.0)
    assert (value(rows, "master"), rows.doubled()) == (2, [])


def test_each_computation_of_an_instance_is_a_commit_of_its_own(rows: Rows) -> None:
    for key in ("k", "l"):
        put(rows, "i1", 1, key=key)
    assert rows.doubled() == []
    assert [one.key for one in rows.view("s", "e", "master")] == ["k", "l"]


def test_a_kind_domain_commits_once(kind: Rows) -> None:
    assert put(kind, "i1", 1)
    assert put(kind, "i2", 2)
    assert not kind.commit("i1", 3.0)
    assert value(kind, "master") == 2
    assert list(kind.committed()) == ["i1", "i2"]


def test_a_row_carries_who_wrote_it_and_when(rows: Rows) -> None:
    put(rows, "i1", 1, at=10.0)
    first = row(rows)
    assert (first.instance, first.modified_at) == ("i1", 10.0)
    put(rows, "i2", 2, at=20.0)
    second = row(rows)
    assert (second.instance, second.modified_at) == ("i2", 20.0)
    assert (second.id, second.rid) == (first.id, first.rid)
    assert second.version > first.version


def test_a_replays_update_moves_no_moment(rows: Rows) -> None:
    put(rows, "i1", 1, at=10.0)
    put(rows, "re1", 2, at=20.0, replay=True)
    assert (row(rows).instance, row(rows).modified_at, value(rows, "master")) == ("re1", 10.0, 2)


def test_a_scenarios_first_change_is_a_copy(rows: Rows) -> None:
    put(rows, "i1", 1, at=10.0)
    put(rows, "i2", 2, "b", at=20.0)
    trunk, copy = row(rows), row(rows, "b")
    assert copy.id == trunk.id
    assert copy.rid != trunk.rid
    assert copy.modified_at == 10.0
    put(rows, "i3", 3, "b", at=30.0)
    assert (row(rows, "b").rid, row(rows, "b").modified_at) == (copy.rid, 30.0)
    assert row(rows) == trunk


@pytest.mark.parametrize("branch", ["master", "b"])
def test_a_destroyed_row_is_gone_where_it_was_destroyed(rows: Rows, branch: str) -> None:
    put(rows, "i1", 1)
    put(rows, "i2", None, branch)
    assert value(rows, branch) is None
    assert rows.view("s", "e", branch) == []
    assert value(rows, "master") == (None if branch == "master" else 1)


def test_what_is_not_changed_is_not_written(rows: Rows) -> None:
    put(rows, "i1", 1)
    before = row(rows)
    put(rows, "i2", 1)
    assert row(rows) == before


def test_what_a_commit_does_is_known_before_it(rows: Rows) -> None:
    stage(rows, "new", Write("e", "k", {"v": 1}))
    put(rows, "i1", 1, at=10.0)
    stories: list[tuple[Write, str, Change]] = [
        (Write("e", "k", {"v": 2}), "master", Change.UPDATE),
        (Write("e", "k", {"v": 1}), "master", Change.NONE),
        (Write("e", "k", {"v": 1}), "b", Change.UPDATE),
        (Write("e", "k", None), "master", Change.DESTROY),
        (Write("e", "k", {"v": 1}, fresh=True), "master", Change.CREATE),
    ]
    [new] = rows.staged("new")
    assert (new.change, new.writer, new.modified_at) == (Change.CREATE, "", 0.0)
    for number, (write, branch, change) in enumerate(stories):
        stage(rows, f"s{number}", write, branch)
        [staged] = rows.staged(f"s{number}")
        assert staged.change is change
        if change is not Change.CREATE:
            assert (staged.id, staged.rid) == (row(rows).id, row(rows).rid)
            assert (staged.writer, staged.modified_at) == ("i1", 10.0)


def test_created_rows_get_other_ids_than_in_the_dataset(rows: Rows) -> None:
    stage(rows, "i1", Write("e", "k", {"v": 1}))
    [staged] = rows.staged("i1")
    rows.commit("i1", 1.0)
    assert {row(rows).id, row(rows).rid}.isdisjoint({staged.id, staged.rid})


def test_the_rows_that_an_instance_wrote_last(rows: Rows) -> None:
    for key in ("k", "l", "m"):
        put(rows, "i1", 1, key=key)
    put(rows, "i2", 2, key="l")
    put(rows, "i1", 2, "b", key="m")

    def keys(instance: str, *, all_branches: bool) -> list[str]:
        return [one.key for one in rows.of_instance(instance, "e", all_branches=all_branches)]

    assert keys("i1", all_branches=False) == ["k", "m"]
    assert keys("i1", all_branches=True) == ["k", "m", "m"]
    assert keys("nobody", all_branches=True) == []


def test_staged_rows_know_whether_they_change_what_the_branch_sees(rows: Rows) -> None:
    put(rows, "i1", 1)
    put(rows, "i2", 1, "b")
    stories = (("master", 1, False), ("master", 2, True), ("b", 1, False), ("b", 2, True), ("c", 1, True))
    for number, (branch, value, changes) in enumerate(stories):
        stage(rows, f"s{number}", Write("e", "k", {"v": value}), branch)
        [staged] = rows.staged(f"s{number}")
        assert staged.changes is changes
    assert rows.staged("nobody") == []


def test_a_used_folder_is_refused(rows: Rows, tmp_path: Path) -> None:
    with pytest.raises(FileExistsError):
        Rows(tmp_path / "domain.sqlite3")
