"""What `MemoryStore` can do beyond `Store`: die."""

import pytest

from maestro.store.base import Delete, Put, StoreError
from maestro.store.memory import MemoryStore


@pytest.fixture
def store() -> MemoryStore:
    store = MemoryStore()
    store.commit([Put("t", "a", {"n": 1}), Put("t", "b", {"n": 1})], durable=True)
    store.commit([Put("t", "a", {"n": 2}), Delete("t", "b"), Put("t", "c", {"n": 2})], durable=False)
    store.commit([Put("t", "a", {"n": 3})], durable=False)
    return store


def test_a_crash_keeps_what_was_committed(store: MemoryStore) -> None:
    survivor = store.crash()
    assert list(survivor.rows("t")) == [("a", {"n": 3}), ("c", {"n": 2})]
    with pytest.raises(StoreError, match="closed"):
        store.commit([], durable=True)


def test_a_loss_of_power_keeps_what_was_durable(store: MemoryStore) -> None:
    expected = [("a", {"n": 1}), ("b", {"n": 1})]
    assert [store.synced("t", key) for key in ("a", "b", "c")] == [{"n": 1}, {"n": 1}, None], "as it leaves them"
    assert list(store.crash().crash(power_lost=True).rows("t")) == expected


def test_a_durable_commit_makes_those_before_it_durable(store: MemoryStore) -> None:
    store.commit([], durable=True)
    assert [store.synced("t", key) for key in ("a", "b", "c")] == [{"n": 3}, None, {"n": 2}]
    assert list(store.crash(power_lost=True).rows("t")) == [("a", {"n": 3}), ("c", {"n": 2})]
