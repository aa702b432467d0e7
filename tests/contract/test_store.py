"""What every `Store` must do: the one on disk, the one in memory, and the one in PostgreSQL."""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from maestro.store.base import LEDGER_READS, LEDGER_WRITES, Delete, Put, Store, StoreError, StoreFull, Write
from maestro.store.memory import MemoryStore
from maestro.store.sqlite import SystemStore, open_store
from tests.support.postgres_store import OnLoop


@dataclass(frozen=True)
class Kind:
    open: Callable[[Path], Any]
    #: What the next owner opens, once this one's process has ended.
    again: Callable[[Any, Path], Any]


@dataclass(frozen=True)
class LocalKind(Kind):
    """A store that copies itself, and that has a disk of its own, which may be full."""

    #: Opens what `backup` wrote.
    restore: Callable[[Path], Any]
    #: Makes a store full (`full=True`), or gives it space again.
    set_full: Callable[..., None]


def _limit_pages(store: SystemStore, *, full: bool) -> None:
    pages = store._database.query("PRAGMA page_count")[0][0]
    store._database.query(f"PRAGMA max_page_count = {pages if full else 1_000_000}")


def _set_full(store: MemoryStore, *, full: bool) -> None:
    store.full = full


def _reopened(store: SystemStore, path: Path) -> SystemStore:
    store.close()
    return open_store(path)


LOCAL_KINDS = {
    "memory": LocalKind(
        lambda path: MemoryStore(),
        lambda store, path: store.crash(),
        lambda path: MemoryStore.restored(str(path)),
        _set_full,
    ),
    "sqlite": LocalKind(open_store, _reopened, open_store, _limit_pages),
}


def _in_postgres(request: pytest.FixtureRequest) -> Kind:
    node = request.getfixturevalue("postgres_node")
    database = request.getfixturevalue("database")

    def opened(path: Path) -> OnLoop:
        store = OnLoop(node.url(database), path.parent)
        request.addfinalizer(store.end)
        return store

    return Kind(opened, lambda store, path: opened(path))  # the former owner lives: it is fenced


@pytest.fixture(params=[*LOCAL_KINDS, pytest.param("postgres", marks=pytest.mark.postgres)])
def kind(request: pytest.FixtureRequest) -> Kind:
    return _in_postgres(request) if request.param == "postgres" else LOCAL_KINDS[request.param]


@pytest.fixture
def store(kind: Kind, tmp_path: Path) -> Iterator[Store]:
    store = kind.open(tmp_path / "system.db")
    yield store
    store.close()


@pytest.fixture(params=LOCAL_KINDS)
def local_kind(request: pytest.FixtureRequest) -> LocalKind:
    return LOCAL_KINDS[request.param]


@pytest.fixture
def local_store(local_kind: LocalKind, tmp_path: Path) -> Iterator[Store]:
    store = local_kind.open(tmp_path / "system.db")
    yield store
    store.close()


def keys(store: Store, table: str, prefix: str = "") -> list[str]:
    return [key for key, _ in store.rows(table, prefix)]


def test_reads_what_was_committed(store: Store) -> None:
    fields = {"branch": "b1", "rounds": [1, 2], "none": None, "text": "açúcar"}
    store.commit([Put("units", "p1", fields)], durable=True)

    assert store.get("units", "p1") == fields
    assert store.get("units", "p2") is None
    assert store.get("others", "p1") is None


def test_put_replaces_the_whole_row(store: Store) -> None:
    store.commit([Put("t", "k", {"a": 1, "b": 2})], durable=False)
    store.commit([Put("t", "k", {"a": 3})], durable=False)

    assert store.get("t", "k") == {"a": 3}
    assert store.count("t") == 1


def test_delete_removes_and_forgives_what_is_not_there(store: Store) -> None:
    store.commit([Put("t", "k", {"a": 1})], durable=False)
    store.commit([Delete("t", "k"), Delete("t", "k"), Delete("nowhere", "k")], durable=False)

    assert store.get("t", "k") is None
    assert store.count("t") == 0


def test_writes_of_one_commit_apply_in_order(store: Store) -> None:
    writes = [Put("t", "k", {"a": 1}), Delete("t", "k"), Put("t", "k", {"a": 2}), Put("t", "l", {}), Delete("t", "l")]
    store.commit(writes, durable=False)

    assert list(store.rows("t")) == [("k", {"a": 2})]


@pytest.mark.parametrize("durable", [True, False])
def test_an_empty_commit_is_fine(store: Store, durable: bool) -> None:  # noqa: FBT001 - a parameter of the test
    store.commit([], durable=durable)


def test_rows_come_by_key_and_prefix(store: Store) -> None:
    written = ["b/10", "a", "b/2", "b", "b/1", "c", "b0", "é", "b/\U0010ffff", "b/\U0010ffffx", "", "B/1"]
    store.commit([Put("t", key, {"key": key}) for key in written], durable=False)

    assert keys(store, "t") == sorted(written)
    assert keys(store, "t", "b/") == ["b/1", "b/10", "b/2", "b/\U0010ffff", "b/\U0010ffffx"]
    assert keys(store, "t", "b/\U0010ffff") == ["b/\U0010ffff", "b/\U0010ffffx"]
    assert keys(store, "t", "zzz") == []
    assert store.count("t", "b/") == 5
    assert all(fields == {"key": key} for key, fields in store.rows("t"))


def test_many_rows_come_complete(store: Store) -> None:
    store.commit([Put("t", f"{number:06d}", {"n": number}) for number in range(1000)], durable=False)
    store.commit([Put("u", f"{number:06d}", {}) for number in range(10)], durable=False)

    assert [fields["n"] for _, fields in store.rows("t")] == list(range(1000))
    assert keys(store, "t", "00064") == [f"00064{digit}" for digit in range(10)]
    assert store.count("t") == 1000


def test_commits_while_rows_are_read(store: Store) -> None:
    store.commit([Put("t", f"{number:03d}", {"n": number}) for number in range(300)], durable=False)

    seen = []
    for key, fields in store.rows("t"):
        seen.append(fields["n"])
        store.commit([Delete("t", key)], durable=fields["n"] % 100 == 0)

    assert seen == list(range(300))
    assert store.count("t") == 0


def test_what_is_read_is_never_what_was_handed_in(store: Store) -> None:
    fields = {"list": [1]}
    store.commit([Put("t", "k", fields)], durable=False)
    fields["list"].append(2)
    read = store.get("t", "k")
    assert read == {"list": [1]}
    read["list"].append(3)

    assert store.get("t", "k") == {"list": [1]}


def test_a_row_that_is_no_json_leaves_nothing_behind(store: Store) -> None:
    store.commit([Put("t", "before", {})], durable=False)
    with pytest.raises(TypeError):
        store.commit([Put("t", "good", {}), Put("t", "bad", {"x": object()})], durable=False)

    assert keys(store, "t") == ["before"]
    store.commit([Put("t", "after", {})], durable=False)
    assert keys(store, "t") == ["after", "before"]


@pytest.mark.parametrize("durable", [True, False])
def test_full_rolls_back_whole_and_is_usable_again(
    local_kind: LocalKind,
    local_store: Store,
    durable: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    kind, store = local_kind, local_store
    store.commit([Put("t", "old", {"text": "old"})], durable=True)
    large = {"text": "x" * 100_000}
    writes = [Put("t", "old", {"text": "new"}), Put("t", "large", large)]
    kind.set_full(store, full=True)
    for _ in range(2):
        with pytest.raises(StoreFull):
            store.commit(writes, durable=durable)
        assert list(store.rows("t")) == [("old", {"text": "old"})]

    kind.set_full(store, full=False)
    store.commit(writes, durable=durable)
    assert list(store.rows("t")) == [("large", large), ("old", {"text": "new"})]


def test_a_large_row(store: Store) -> None:
    fields = {"events": ["e" * 1000] * 3000}
    store.commit([Put("t", "k", fields)], durable=True)

    assert store.get("t", "k") == fields


def test_backup_holds_what_was_committed_by_then(local_kind: LocalKind, local_store: Store, tmp_path: Path) -> None:
    kind, store = local_kind, local_store
    store.commit([Put("t", "k", {"n": 1})], durable=False)
    copy = tmp_path / "copies" / "backup"
    copy.parent.mkdir()
    store.backup(str(copy))
    store.commit([Put("t", "k", {"n": 2}), Put("t", "l", {})], durable=True)

    restored = kind.restore(copy)
    assert list(restored.rows("t")) == [("k", {"n": 1})]
    restored.commit([Put("t", "m", {})], durable=True)
    restored.close()
    assert store.count("t") == 2


def test_the_next_owner_finds_all_that_was_committed(kind: Kind, store: Store, tmp_path: Path) -> None:
    store.commit(
        [Put("t", f"{number:04d}", {"n": number, "text": "\0é\U0010ffff"}) for number in range(1200)], durable=True
    )
    store.commit([Put("t", "0005", {"n": -5}), Delete("t", "0006"), Put("u", "\0", {})], durable=False)
    store.commit([writes(1, 70, [5, 6]), reads(1, [(5, 70, True)]), writes(2, 80, [6])], durable=False)
    store.commit([Delete(LEDGER_READS, reads(1, []).key), reads(2, [(7, 1, False)])], durable=False)
    before = [list(store.rows(table)) for table in "tu"]
    again = kind.again(store, tmp_path / "system.db")

    assert [list(again.rows(table)) for table in "tu"] == before
    assert again.count("t") == 1199
    assert again.get("t", "0005") == {"n": -5}
    assert again.last_writes([5, 6]) == {5: (1, 70), 6: (2, 80)}
    assert again.readings([5, 7]) == [(7, 2, 1, False)]
    again.close()


@pytest.mark.parametrize(
    "use",
    [
        lambda store: store.commit([Put("t", "k", {})], durable=True),
        lambda store: store.get("t", "k"),
        lambda store: list(store.rows("t")),
        lambda store: store.count("t"),
        lambda store: store.backup("unused"),
    ],
    ids=["commit", "get", "rows", "count", "backup"],
)
def test_closed_is_closed(store: Store, use: Callable[[Store], object]) -> None:
    store.close()
    store.close()
    with pytest.raises(StoreError, match="closed"):
        use(store)


_KEYS = st.text(alphabet="ab/\U0010ffff\ud7ff", max_size=3)
_WRITE = st.one_of(
    st.builds(Put, st.sampled_from("tu"), _KEYS, st.dictionaries(st.text("xy", max_size=3), st.integers(0, 9))),
    st.builds(Delete, st.sampled_from("tu"), _KEYS),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(commits=st.lists(st.tuples(st.lists(_WRITE, max_size=12), st.booleans()), max_size=5), prefix=_KEYS)
def test_behaves_like_a_dictionary(store: Store, commits: list[tuple[list[Write], bool]], prefix: str) -> None:
    store.commit([Delete(table, key) for table in "tu" for key in keys(store, table)], durable=False)
    model: dict[tuple[str, str], Any] = {}
    for writes, durable in commits:
        store.commit(writes, durable=durable)
        for write in writes:
            model[write.table, write.key] = write.fields if isinstance(write, Put) else None

    for table in "tu":
        expected = sorted(
            (key, fields)
            for (of, key), fields in model.items()
            if of == table and fields is not None and key.startswith(prefix)
        )
        assert list(store.rows(table, prefix)) == expected
        assert store.count(table, prefix) == len(expected)
        assert all(store.get(table, key) == fields for key, fields in expected)


# --- the ledger's rows ------------------------------------------------------------------------------------------------


def writes(number: int, writer: int, rows: list[int]) -> Put:
    return Put(LEDGER_WRITES, f"{number:015d}", {"writer": writer, "rows": rows})


def reads(number: int, found: list[tuple[int, int, bool]]) -> Put:
    return Put(LEDGER_READS, f"{number:015d}", {"reads": found})


def test_the_last_write_of_a_row_counts(store: Store) -> None:
    store.commit([writes(1, 70, [5, -6, 7])], durable=True)
    store.commit([writes(2, 80, [5, 2**63 - 1]), Put("t", "k", {})], durable=False)

    assert store.last_writes([5, -6, 2**63 - 1, 8]) == {5: (2, 80), -6: (1, 70), 2**63 - 1: (2, 80)}
    assert store.count("t") == 1


def test_all_readings_of_a_row_are_found(store: Store) -> None:
    store.commit([reads(1, [(5, 70, False), (-6, 0, True)])], durable=False)
    store.commit([reads(2, [(5, 71, True)])], durable=False)

    assert sorted(store.readings([5, -6, 9])) == [(-6, 1, 0, True), (5, 1, 70, False), (5, 2, 71, True)]


def test_what_a_number_wrote_and_read_leaves_with_it(store: Store) -> None:
    store.commit([writes(1, 70, [5, 6]), reads(1, [(5, 70, False)]), writes(2, 80, [6])], durable=False)
    store.commit([Delete(LEDGER_WRITES, f"{1:015d}"), Delete(LEDGER_READS, f"{1:015d}")], durable=False)

    assert store.last_writes([5, 6]) == {6: (2, 80)}
    assert store.readings([5]) == []


def test_reads_put_again_take_the_place_of_the_former(store: Store) -> None:
    store.commit([reads(1, [(5, 70, False), (6, 70, False)])], durable=False)
    store.commit([reads(1, [(6, 71, False)])], durable=False)

    assert store.readings([5, 6]) == [(6, 1, 71, False)]


def test_the_ledger_is_in_a_backup(local_kind: LocalKind, local_store: Store, tmp_path: Path) -> None:
    kind, store = local_kind, local_store
    store.commit([writes(1, 70, [5]), reads(1, [(6, 70, True)])], durable=True)
    store.backup(str(tmp_path / "copy"))
    copy = kind.restore(tmp_path / "copy")

    assert copy.last_writes([5]) == {5: (1, 70)}
    assert copy.readings([6]) == [(6, 1, 70, True)]
    copy.close()


@given(
    st.lists(
        st.tuples(st.sampled_from(["write", "read", "leave"]), st.lists(st.integers(-3, 3), max_size=3), st.booleans()),
        max_size=40,  # more than are looked up beside the file
    )
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
def test_both_stores_find_the_same(tmp_path: Path, acts: list[tuple[str, list[int], bool]]) -> None:
    path = tmp_path / "system.db"
    for file in tmp_path.glob("system.db*"):
        file.unlink()
    memory, sqlite = MemoryStore(), open_store(path)
    for number, (act, rows, flag) in enumerate(acts, 1):
        match act:
            case "write":
                change: list[Write] = [writes(number, number * 10, rows)]
            case "read":
                change = [reads(number, [(row, number, flag) for row in dict.fromkeys(rows)])]
            case _:
                oldest = f"{number // 3:015d}"
                change = [Delete(LEDGER_READS, oldest)]
        for store in (memory, sqlite):
            store.commit(change, durable=flag)
    try:
        assert sqlite.last_writes(range(-3, 4)) == memory.last_writes(range(-3, 4))
        assert sorted(sqlite.readings(range(-3, 4))) == sorted(memory.readings(range(-3, 4)))
        assert sqlite.check() == []
    finally:
        sqlite.close()
    with closing(open_store(path)) as again:
        assert again.last_writes(range(-3, 4)) == memory.last_writes(range(-3, 4))
