"""A large document's units are stored part by part before it opens; without its header they count for nothing."""

from collections.abc import Iterable
from pathlib import Path

import pytest

from maestro.rules.document import Document
from maestro.rules.impact import replay_order
from maestro.rules.step import Save, SaveDocument, SaveUnit
from maestro.store.base import Commit, Write
from maestro.store.memory import MemoryStore
from maestro.system import sibling_calls
from maestro.system.asking import Asking
from maestro.system.engine import Engine
from maestro.system.repository import DOCUMENTS
from maestro.system.unit_rows import UNITS
from maestro.system.units_ahead import AHEAD, PART
from tests.support.in_process import served
from tests.support.siblings import RecordingSiblings
from tests.support.stage import event, unit
from tests.support.units_ahead import COUNT, ORIGINS, Life


class Counting(MemoryStore):
    """A store that keeps how many writes each commit had."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []

    def commit(self, writes: Iterable[Write], *, durable: bool) -> Commit:
        writes = list(writes)
        self.sizes.append(len(writes))
        return super().commit(writes, durable=durable)


def rows(store: MemoryStore, table: str) -> list[str]:
    return [key for key, _ in store.rows(table)]


async def test_a_document_opens_with_the_units_that_are_stored_already() -> None:
    life = Life(store := Counting())
    asked = life.named()
    await life.store_ahead()
    assert max(store.sizes) <= PART + 1
    assert rows(store, DOCUMENTS) == []
    store.sizes = []
    life.open(asked)
    assert max(store.sizes) < 10
    assert sum(isinstance(save, SaveUnit) for save in life.saves) == COUNT
    assert rows(store, AHEAD) == []
    again = Life(store)
    assert again.system.documents["d1"].order == life.system.documents["d1"].order
    assert again.system.documents["d1"].set_aside.keys() == {("p0509", "master")}


async def test_it_is_the_same_document_as_one_that_is_stored_at_once() -> None:
    stores = [Counting(), Counting()]
    for ahead, store in enumerate(stores):
        life = Life(store)
        asked = life.named()
        if ahead:
            await life.store_ahead()
        life.open(asked)
    assert list(stores[0].rows(UNITS)) == list(stores[1].rows(UNITS))


async def test_units_that_turn_out_otherwise_are_stored_as_they_are() -> None:
    life = Life(store := Counting())
    asked = life.named()
    await life.store_ahead()
    life.open(asked, ORIGINS[5:])
    kept = Life(store).system.documents["d1"].order
    assert kept == life.system.documents["d1"].order
    assert len(rows(store, UNITS)) == len(kept) == COUNT - 5


async def test_of_two_units_in_one_place_the_last_is_stored() -> None:
    life = Life(store := Counting())
    await life.store_ahead()
    document = Document("d1", "sysA", 1, "t", "master", False, "i1", b"{}", b"{}")  # noqa: FBT003 - a field
    others = document.add(replay_order(ORIGINS[5:]))
    saves: list[Save] = [SaveDocument(document), *(SaveUnit(document, unit) for unit in others)]
    units = document.replace_units(replay_order(ORIGINS))
    saves += [SaveUnit(document, unit) for unit in units]
    store.commit(life.repository.writes(saves), durable=True)
    assert life.repository.units("d1") == tuple(units)


async def test_a_unit_that_changes_later_is_stored_as_ever() -> None:
    life = Life(store := Counting())
    asked = life.named()
    await life.store_ahead()
    life.open(asked)
    document = life.system.documents["d1"]
    document.order[3].problem = "changed"
    store.commit(life.repository.writes([SaveUnit(document, document.order[3])]), durable=True)
    assert Life(store).system.documents["d1"].order[3].problem == "changed"


async def test_what_a_crash_leaves_is_no_document_and_is_removed_by_the_next_life() -> None:
    life = Life(store := Counting())
    life.named()
    parts = life.repository.ahead.parts("sysA", "d1", ORIGINS)
    await life.engine.store_parts([next(parts), next(parts)])
    again = Life(store)
    assert again.system.documents == {}
    assert again.left == ("d1",)
    store.sizes = []
    await again.engine.store_parts(again.repository.ahead.given_up("d1"))
    assert rows(store, UNITS) == rows(store, AHEAD) == []
    assert max(store.sizes) <= PART


async def test_a_document_that_did_not_open_leaves_nothing() -> None:
    life = Life(store := Counting())
    life.named()
    await life.store_ahead()
    await life.engine.store_parts(life.repository.ahead.given_up("d1"))
    assert rows(store, UNITS) == rows(store, AHEAD) == []
    await life.engine.store_parts(life.repository.ahead.given_up("d2"))


async def test_a_store_that_fails_ends_it_between_two_parts() -> None:
    store = Counting()
    life = Life(store)
    life.named()
    store.full = True
    await life.store_ahead()
    assert len(life.problems) == 1


async def test_what_fails_while_units_are_stored_casts_no_doubt_on_what_was_answered(
    tmp_path: Path, siblings: RecordingSiblings, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = 0
    store_parts = Engine.store_parts

    async def store_while_api_core_fails(engine: Engine, parts: Iterable[Iterable[Write]]) -> None:
        nonlocal stored
        await store_parts(engine, parts)
        stored += 1

    monkeypatch.setattr(sibling_calls, "FEW", 1)
    monkeypatch.setattr(Engine, "store_parts", store_while_api_core_fails)
    monkeypatch.setattr(Asking, "api_failures", property(lambda _: stored))
    siblings.impacts["i1"] = [unit("p1"), unit("p2")]
    for name in ("p1", "p2"):
        siblings.origins[name] = event(name, name="sysA.calculate.request")
    async with served(tmp_path, siblings) as it:
        it.publish("i1")
        await siblings.wait_for(lambda: "i1" in siblings.statuses, 10)
        assert stored == 1
