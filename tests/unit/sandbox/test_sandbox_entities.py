"""API core's entities are TinyDB documents: by id and by field, changed in their place."""

import pytest
from tinydb import where

from maestro.sandbox.api_core import ApiCore
from maestro.sandbox.entities import EntityDB, EntityTable, entity
from maestro.sandbox.traits import Traits


@pytest.fixture
def table() -> EntityTable:
    table = EntityDB().table("processInstance")
    for key, system in (("i1", "s"), ("i2", "s"), ("i3", "other")):
        table.insert(entity(key, {"id": key, "systemId": system, "status": "running"}))
    return table


def test_entities_are_found_by_id_and_by_field(table: EntityTable) -> None:
    found = table.by_id("i2")
    assert found is not None
    assert found["systemId"] == "s"
    assert table.by_id("nobody") is None
    assert [one["id"] for one in table.search(where("systemId") == "s")] == ["i1", "i2"]


def test_a_change_is_seen_by_the_next_search(table: EntityTable) -> None:
    of_finished = where("status") == "finished"
    assert table.search(of_finished) == []
    table.change("i2", {"status": "finished"})
    assert [one["id"] for one in table.search(of_finished)] == ["i2"]
    assert table.remove(where("systemId") == "s") == ["i1", "i2"]
    assert [one["id"] for one in table.all()] == ["i3"]


def test_a_change_touches_no_other_entity(table: EntityTable) -> None:
    """So its cost does not grow with the table."""
    others = {key: fields for key, fields in table._entities.items() if key != "i2"}
    table.change("i2", {"status": "finished"})
    assert all(table._entities[key] is fields for key, fields in others.items())


def test_types_are_apart() -> None:
    entities = EntityDB()
    entities.table("branch").insert({"name": "b"})
    assert len(entities.table("map")) == 0
    assert len(entities.table("branch")) == 1


def test_a_branch_is_open_unless_it_is_closed() -> None:
    core = ApiCore(("s",), Traits())
    assert core.is_open("s", "b")
    core.set_branch("s", "b", "closed")
    assert [core.is_open(system, "b") for system in ("s", "other")] == [False, True]
    core.set_branch("s", "b", "open")
    assert core.is_open("s", "b")
