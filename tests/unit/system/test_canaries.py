"""What a sibling answered before: remembered over a restart, replaced when it is dead, borrowed from other systems."""

from collections.abc import Iterable
from pathlib import Path

import pytest

from maestro.platform import Platform
from maestro.rules.state import Rules
from maestro.store.base import Write
from maestro.store.memory import MemoryStore
from maestro.system.canaries import KEPT, WITH_UNITS, Canaries
from maestro.system.repository import Repository
from tests.support.siblings import Call, RecordingSiblings


class Keeping:
    """As much of an engine as canaries need: what is to be written is stored at once."""

    def __init__(self, store: MemoryStore) -> None:
        self.store = store
        self.repository = Repository(store, "sysA", Rules())

    def write_later(self, writes: Iterable[Write]) -> None:
        self.store.commit(list(writes), durable=False)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


async def canaries(platform: Platform, store: MemoryStore, folder: Path, system: str = "sysA") -> Canaries:
    return Canaries(system, platform, Keeping(store), folder)  # type: ignore[arg-type]  # see Keeping


async def ask(siblings: RecordingSiblings, store: MemoryStore, folder: Path, sibling: str = "discovery") -> bool | None:
    async with await Platform.open(siblings.settings(tries=1)) as platform:
        return await (await canaries(platform, store, folder)).ask(sibling)


async def answered(
    siblings: RecordingSiblings,
    store: MemoryStore,
    folder: Path,
    *instances: str,
    units: bool,
    sibling: str = "discovery",
) -> None:
    async with await Platform.open(siblings.settings(tries=1)) as platform:
        known = await canaries(platform, store, folder)
        for instance in instances:
            known.answered("discovery", instance, units=units)


def asked(siblings: RecordingSiblings, call: str = "impacted") -> list[str]:
    return [one.instance_id for one in siblings.calls(call)]


async def test_before_anything_was_answered_there_is_none(
    siblings: RecordingSiblings, store: MemoryStore, tmp_path: Path
) -> None:
    assert await ask(siblings, store, tmp_path) is None
    assert siblings.log == []


async def test_one_that_named_units_is_asked_rather_than_the_last(
    siblings: RecordingSiblings, store: MemoryStore, tmp_path: Path
) -> None:
    await answered(siblings, store, tmp_path, "with", units=True)
    await answered(siblings, store, tmp_path, "without", units=False)
    assert await ask(siblings, store, tmp_path) is True
    assert asked(siblings) == ["with"]


async def test_one_that_fails_while_an_older_one_is_answered_is_replaced(
    siblings: RecordingSiblings, store: MemoryStore, tmp_path: Path
) -> None:
    await answered(siblings, store, tmp_path, "old", "dead", units=True)
    siblings.fail("discovery", "impacted", 9, 400, when=lambda call: call.instance_id == "dead")
    assert await ask(siblings, store, tmp_path) is True
    assert asked(siblings) == ["dead", "old"]
    assert await ask(siblings, store, tmp_path) is True
    assert asked(siblings) == ["dead", "old", "old"]


async def test_when_none_is_answered_the_sibling_is_away(
    siblings: RecordingSiblings, store: MemoryStore, tmp_path: Path
) -> None:
    await answered(siblings, store, tmp_path, *"abcdef", units=True)
    siblings.fail("discovery", "impacted", 99, 400)
    assert await ask(siblings, store, tmp_path) is False
    assert len(siblings.log) == KEPT


async def test_another_systems_answer_of_discovery_acquits_nobody(
    siblings: RecordingSiblings, store: MemoryStore, tmp_path: Path
) -> None:
    async with await Platform.open(siblings.settings(tries=1)) as platform:
        (await canaries(platform, MemoryStore(), tmp_path, "sysB")).answered("discovery", "theirs", units=True)
    await answered(siblings, store, tmp_path, "mine", units=True)

    def mine(call: Call) -> bool:
        return call.instance_id == "mine"

    siblings.fail("discovery", "impacted", 99, 400, when=mine)
    siblings.fail("domain", "entities", 1, 503)
    assert await ask(siblings, store, tmp_path) is False, "this system's own domain is away"
    assert await ask(siblings, store, tmp_path) is None, "the canary is dead, and there is no other"
    assert "theirs" in asked(siblings)


async def test_another_systems_origin_shows_that_process_memory_is_there(
    siblings: RecordingSiblings, store: MemoryStore, tmp_path: Path
) -> None:
    async with await Platform.open(siblings.settings(tries=1)) as platform:
        (await canaries(platform, MemoryStore(), tmp_path, "sysB")).answered("process_memory", "theirs")
    assert await ask(siblings, store, tmp_path, "process_memory") is True


async def test_api_core_needs_none(siblings: RecordingSiblings, store: MemoryStore, tmp_path: Path) -> None:
    assert await ask(siblings, store, tmp_path, "apicore") is True
    siblings.fail("apicore", "systems", 1, 400)
    assert await ask(siblings, store, tmp_path, "apicore") is False


async def test_each_event_costs_no_write(siblings: RecordingSiblings, store: MemoryStore, tmp_path: Path) -> None:
    await answered(siblings, store, tmp_path, "first", units=False)
    before = dict(store.rows("canaries"))
    await answered(siblings, store, tmp_path, "first", units=False)
    assert dict(store.rows("canaries")) == before


async def test_nor_does_each_replay_that_names_units_once_enough_are_kept(
    siblings: RecordingSiblings, store: MemoryStore, tmp_path: Path
) -> None:
    await answered(siblings, store, tmp_path, *map(str, range(KEPT + 20)), units=True)
    assert dict(store.rows("canaries"))[WITH_UNITS]["instances"] == [str(n) for n in reversed(range(KEPT))]
    await answered(siblings, store, tmp_path, "of the next life", units=True)
    assert dict(store.rows("canaries"))[WITH_UNITS]["instances"][0] == "of the next life"
