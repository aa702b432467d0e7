"""The lease of this node, for those that open its systems' stores; and what its connections are called."""

from pathlib import Path

import pytest

from maestro.cluster.node import Lease
from maestro.store.base import StoreError
from maestro.store.held_lease import read_lease, write_lease
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
