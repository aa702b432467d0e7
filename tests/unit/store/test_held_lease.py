"""The lease of this node, for those that open its systems' stores; and what its connections are called."""

import shutil
from pathlib import Path

import pytest

from maestro.cluster.node import Lease
from maestro.store import held_lease, record
from maestro.store.base import StoreError
from maestro.store.held_lease import former_lease, read_lease, write_lease
from maestro.store.postgres.connection import application_name, named


def test_a_lease_is_read_as_it_was_written_last(tmp_path: Path) -> None:
    assert read_lease(tmp_path) is None
    write_lease(tmp_path, Lease("a", 3))
    write_lease(tmp_path, Lease("a", 5))
    assert read_lease(tmp_path) == Lease("a", 5)


def test_a_file_that_is_none_of_ours_is_named(tmp_path: Path) -> None:
    write_lease(tmp_path, Lease("a", 3))
    (path,) = tmp_path.iterdir()
    path.write_bytes(b'["a"]')
    with pytest.raises(StoreError, match=path.name):
        read_lease(tmp_path)


def test_the_lease_of_a_former_life_is_known_in_its_own_folder_boot_and_container_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    assert former_lease(folder, "a") is None
    write_lease(folder, Lease("a", 3))
    assert former_lease(folder, "a") == Lease("a", 3)
    assert former_lease(folder, "b") is None, "it was called otherwise"
    shutil.copytree(folder, tmp_path / "copy")
    assert former_lease(tmp_path / "copy", "a") is None
    with monkeypatch.context() as patch:
        (tmp_path / "pids").symlink_to("pid:[1]")
        patch.setattr(held_lease, "_PIDS", tmp_path / "pids")
        assert former_lease(folder, "a") is None, "other processes show there"
    monkeypatch.setattr(held_lease, "boot_id", lambda: b"another boot")
    assert former_lease(folder, "a") is None
    (folder / "lease.json").write_bytes(b'["a",3]')
    assert former_lease(folder, "a") is None, "as an earlier version wrote it"
    assert read_lease(folder) == Lease("a", 3)


@pytest.mark.parametrize("content", [b"", b'["a"]'])
def test_a_damaged_file_says_nothing_of_a_former_life(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "lease.json").write_bytes(content)
    assert former_lease(tmp_path, "a") is None


@pytest.mark.parametrize(("told", "known"), [("", None), ("6f1f1c3bd1b04a4c9d3d2f4ac4b1a111", Lease("a", 3))])
def test_a_lease_is_held_where_the_boot_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: str, known: Lease | None
) -> None:
    monkeypatch.setattr(record, "_BOOT_ID", tmp_path / "none")
    monkeypatch.setenv(record.BOOT_ID_VARIABLE, told)
    write_lease(tmp_path, Lease("a", 3))
    assert read_lease(tmp_path) == Lease("a", 3)
    assert former_lease(tmp_path, "a") == known


def test_a_lease_is_held_where_the_place_is_not_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held_lease, "_PIDS", tmp_path / "none")
    write_lease(tmp_path, Lease("a", 3))
    assert former_lease(tmp_path, "a") is None
    assert read_lease(tmp_path) == Lease("a", 3)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be written"):
        write_lease(tmp_path / "none", Lease("a", 3))


@pytest.mark.parametrize(
    ("node", "name"), [("a", "maestro a"), ("nó\n", "maestro n??"), ("x" * 80, "maestro " + "x" * 55)]
)
def test_connections_are_called_as_postgresql_shows_them(node: str, name: str) -> None:
    assert application_name(node) == name


def test_a_nodes_connections_bear_its_name_whatever_the_url_says() -> None:
    conninfo = named("postgresql://u@h/d?application_name=other", "a")
    assert "application_name='maestro a'" in conninfo
    assert "other" not in conninfo
