"""The tail: small commits beside the database, read first, folded in, and what is wrong with them noticed."""

import os
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from maestro.store.base import LEDGER_READS, LEDGER_WRITES, Delete, Put, StoreDamaged, StoreError, StoreFull
from maestro.store.copies import restore_store
from maestro.store.database import Database
from maestro.store.sqlite import SystemStore, open_store
from maestro.store.tail import COMMIT_LIMIT, LIMIT, Row, Tail

#: Ten commits, the first five folded in.
_ABANDONED = """
    store = open_store(path)
    for number in range(10):
        store.commit([Put("t", f"k{number}", {"n": number})], durable=number == 4)
    os._exit(0)
"""


def _tail(path: Path) -> Path:
    return path.with_name(path.name + "-tail")


def _numbers(path: Path) -> list[int]:
    store = open_store(path)
    try:
        assert store.check() == []
        return [row["n"] for _, row in store.rows("t")]
    finally:
        store.close()


# --- reading what was written --------------------------------------------------------------------------------------


@pytest.fixture
def folds(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each transaction that was begun is durable."""
    folds: list[bool] = []
    begun = Database._begin

    def counted(database: Database, *, durable: bool) -> None:
        folds.append(durable)
        begun(database, durable=durable)

    monkeypatch.setattr(Database, "_begin", counted)
    return folds


def test_a_look_up_folds_only_what_is_of_its_tables(store: SystemStore, folds: list[bool]) -> None:
    """Each fold is a transaction."""
    store.commit([Put("t", "a", {"n": 1})], durable=False)
    assert store.readings([5]) == []
    assert store.last_writes([5]) == {}
    assert list(store.rows("other")) == []
    assert store.count("other") == 0
    assert folds == []
    assert [key for key, _ in store.rows("t")] == ["a"]
    assert len(folds) == 1
    store.commit([Put("t", "b", {"n": 2})], durable=False)
    assert store.count("t") == 2
    assert len(folds) == 2


def test_a_look_up_in_the_ledger_reads_the_tail_beside_the_file(store: SystemStore, folds: list[bool]) -> None:
    """Each replay adds an entry, and looks the ledger up three times: each fold would be a transaction."""
    store.commit([Put(LEDGER_WRITES, "1", {"writer": 2, "rows": [5, 6]})], durable=True)
    store.commit([Put(LEDGER_READS, "1", {"reads": [[5, 2, False]]})], durable=True)
    folds.clear()
    for number in range(7, 100):
        store.commit([Put(LEDGER_WRITES, str(number), {"writer": 3, "rows": [5]})], durable=False)
        assert store.last_writes([5, 6]) == {5: (number, 3), 6: (1, 2)}
        store.commit([Put(LEDGER_READS, str(number), {"reads": [[5, 3, True]]})], durable=False)
        assert len(store.readings([5])) == number - 5
    store.commit([Delete(LEDGER_READS, "1"), Delete(LEDGER_WRITES, "1")], durable=False)
    assert store.last_writes([5, 6]) == {5: (99, 3)}
    assert store.readings([5]) == [(5, number, 3, True) for number in range(7, 100)]
    assert folds == []


@pytest.mark.parametrize("table", [LEDGER_WRITES, LEDGER_READS])
def test_a_number_that_comes_twice_in_the_tail_counts_as_it_came_last(
    store: SystemStore, folds: list[bool], table: str
) -> None:
    """A unit that is replayed again takes the reads of its last replay away, perhaps a moment after they came."""
    store.commit([Put(LEDGER_WRITES, "1", {"writer": 2, "rows": [5]})], durable=True)
    store.commit([Put(LEDGER_READS, "1", {"reads": [[5, 2, False]]})], durable=True)
    before = store.last_writes([5]), store.readings([5])
    folds.clear()
    new = {"writer": 3, "rows": [5], "reads": [[5, 3, True]]}
    store.commit([Put(table, "2", new)], durable=False)
    assert (store.last_writes([5]), store.readings([5])) != before
    store.commit([Delete(table, "2")], durable=False)
    assert (store.last_writes([5]), store.readings([5])) == before
    assert folds == [False]
    store.commit([Put(table, "2", new)], durable=False)
    assert (store.last_writes([5]), store.readings([5])) != before
    assert folds == [False]


def test_what_is_unfolded_goes_before_what_is_folded(store: SystemStore) -> None:
    store.commit([Put("t", "a", {"n": 1}), Put("t", "b", {"n": 1})], durable=True)
    store.commit([Put("t", "a", {"n": 2}), Delete("t", "b"), Put("t", "c", {"n": 3})], durable=False)
    assert [store.get("t", key) for key in "abcd"] == [{"n": 2}, None, {"n": 3}, None]
    assert dict(store.rows("t")) == {"a": {"n": 2}, "c": {"n": 3}}
    assert store.count("t") == 2
    assert store.check() == []


def test_a_look_at_one_row_folds_nothing(store: SystemStore, path: Path) -> None:
    store.commit([Put("t", "a", {"n": 1})], durable=False)
    number = store._database.number
    assert store.get("t", "a") == {"n": 1}
    assert store.get("t", "z") is None
    assert store._database.number == number
    assert store._database.query("SELECT * FROM rows") == []


def test_tinydb_sees_unfolded_rows_and_its_own_changes(store: SystemStore) -> None:
    store.commit([Put("t", "a", {"n": 1})], durable=False)
    table = store.documents.table("t")
    table.update({"n": 2}, doc_ids=["a"])
    assert store.get("t", "a") == table.get(doc_id="a") == {"n": 2}


def test_a_backup_has_it(store: SystemStore, tmp_path: Path) -> None:
    store.commit([Put("t", "a", {"n": 1})], durable=False)
    store.backup(str(tmp_path / "copy.db"))
    assert _numbers(tmp_path / "copy.db") == [1]


# --- its bounds ----------------------------------------------------------------------------------------------------


def test_a_large_commit_goes_to_the_database_and_takes_the_small_ones_along(store: SystemStore, path: Path) -> None:
    store.commit([Put("t", "a", {"n": 1})], durable=False)
    size = _tail(path).stat().st_size
    store.commit([Put("t", "b", {"text": "x" * COMMIT_LIMIT})], durable=False)
    assert [key for (key,) in store._database.query("SELECT key FROM rows ORDER BY key")] == ["a", "b"]
    assert _tail(path).stat().st_size == size


def test_it_does_not_grow(store: SystemStore, path: Path) -> None:
    for number in range(3 * LIMIT // 1000):
        store.commit([Put("t", str(number), {"text": "x" * 1000})], durable=False)
    assert LIMIT - 2000 < _tail(path).stat().st_size <= LIMIT
    assert store.count("t") == 3 * LIMIT // 1000


# --- after a kill --------------------------------------------------------------------------------------------------


def test_it_is_folded_in_by_the_next_owner(path: Path, run: Callable[[str], str]) -> None:
    run(_ABANDONED)
    assert _tail(path).exists()
    assert _numbers(path) == list(range(10))
    assert not _tail(path).exists()


def test_a_commit_that_was_not_whole_was_not_made(path: Path, run: Callable[[str], str]) -> None:
    run(_ABANDONED)
    with _tail(path).open("ab") as file:
        file.write(struct.pack("<II", 500, 0) + b"the beginning")
    assert _numbers(path) == list(range(10))


def test_damage_to_what_was_acknowledged_is_noticed_and_nothing_is_folded(
    path: Path, run: Callable[[str], str]
) -> None:
    run(_ABANDONED)
    content = _tail(path).read_bytes()
    for at in range(len(content)):
        _tail(path).write_bytes(content[:at] + bytes([content[at] ^ 0x10]) + content[at + 1 :])
        with pytest.raises(StoreDamaged, match="but 10 was acknowledged"):
            open_store(path)
    _tail(path).write_bytes(content)
    assert _numbers(path) == list(range(10))


def test_a_tail_that_is_folded_in_already_changes_nothing(path: Path, run: Callable[[str], str]) -> None:
    run(_ABANDONED)
    left = _tail(path).read_bytes()
    store = open_store(path)
    store.commit([Put("t", "k9", {"n": 99})], durable=True)
    store.close()
    _tail(path).write_bytes(left)
    assert _numbers(path) == [*range(9), 99]


def test_a_gap_is_not_jumped(path: Path) -> None:
    tail = Tail(path)
    tail.append(5, [("t", "k", b"{}")])
    tail.append(7, [("t", "k", b"{}")])
    tail.close()
    assert [number for number, _ in Tail(path).read(4)] == [5]
    assert list(Tail(path).read(3)) == []
    assert list(Tail(path).read(5)) == []


def test_what_another_life_left_behind_the_new_commits_is_not_continued(path: Path) -> None:
    row: list[Row] = [("t", "k", b"{}")]
    before = Tail(path)
    for number in (1, 2, 3):
        before.append(number, row)
    before.close()
    after = Tail(path)  # power was lost, and the first two with it
    after.append(2, row)
    after.close()
    assert [number for number, _ in Tail(path).read(1)] == [2]


def test_a_tail_that_outlived_what_it_follows_is_never_continued(path: Path, run: Callable[[str], str]) -> None:
    run("""
        store = open_store(path)
        store.commit([Put("t", "k0", {"n": 0})], durable=True)
        os._exit(0)
    """)
    synced = {file: file.read_bytes() for file in (path, path.with_name(path.name + "-wal"))}
    run(_ABANDONED)
    for file, content in synced.items():  # power was lost: of what was not synced only the tail came through
        file.write_bytes(content)
    path.with_name(path.name + ".last").unlink()
    run("""
        store = open_store(path)
        for number in range(6):
            store.commit([Put("t", "k0", {"n": -number})], durable=True)
        os._exit(0)
    """)
    assert _numbers(path) == [-5]


def test_a_commit_without_writes_leaves_no_gap(path: Path) -> None:
    store = open_store(path)
    store.commit([], durable=False)
    store.close()
    assert _numbers(path) == []
    assert _numbers(path) == []


@pytest.fixture
def backup(path: Path, tmp_path: Path, run: Callable[[str], str]) -> Path:
    """A backup with one row, -1; the store went on after it, and its owner was killed with all that in the tail."""
    copy = tmp_path / "copy.db"
    store = open_store(path)
    store.commit([Put("t", "k0", {"n": -1})], durable=True)
    store.backup(str(copy))
    store.close()
    run(_ABANDONED.replace("number == 4", "False"))
    return copy


@pytest.mark.parametrize("damaged", [False, True])
def test_a_restored_backup_is_not_continued(path: Path, backup: Path, *, damaged: bool) -> None:
    if damaged:
        path.write_bytes(b"x" * 4096)
    restore_store(backup, path)
    assert _numbers(path) == [-1]


def test_what_a_lost_store_left_beside_it_does_not_go_into_a_backup(path: Path, backup: Path) -> None:
    path.unlink()
    restore_store(backup, path)
    assert _numbers(path) == [-1]


def test_what_an_earlier_restore_kept_does_not_go_into_what_the_next_one_keeps(path: Path, backup: Path) -> None:
    path.write_bytes(b"x" * 4096)
    for _ in range(2):
        restore_store(backup, path)
    assert _numbers(path.with_name(path.name + ".before-restore")) == [-1]


# --- a disk that fails ---------------------------------------------------------------------------------------------


def test_a_write_that_fails_or_is_cut_short_may_be_tried_again(
    store: SystemStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.commit([Put("t", "a", {"n": 1})], durable=False)
    number, write = store._database.number, os.pwrite

    def full(fd: int, data: bytes, offset: int) -> int:
        raise OSError(28, "No space left on device")

    def short(fd: int, data: bytes, offset: int) -> int:
        return write(fd, data[:10], offset)

    for failing in (full, short):
        monkeypatch.setattr(os, "pwrite", failing)
        with pytest.raises(StoreFull, match=r"system\.db-tail"):
            store.commit([Put("t", "b", {"n": 2})], durable=False)
        monkeypatch.setattr(os, "pwrite", write)
        assert store.get("t", "b") is None
        assert store._database.number == number
    store.commit([Put("t", "c", {"n": 3})], durable=False)
    assert dict(store.rows("t")) == {"a": {"n": 1}, "c": {"n": 3}}


def test_a_close_that_cannot_fold_leaves_it_to_the_next_owner(path: Path) -> None:
    store = open_store(path)
    store.commit([Put("t", "a", {"text": "x" * 20_000, "n": 1})], durable=False)
    store._database.query(f"PRAGMA max_page_count = {store._database.query('PRAGMA page_count')[0][0]}")
    store.close()
    assert _numbers(path) == [1]


def test_a_folder_without_room_for_the_file_may_be_tried_again(
    store: SystemStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_arguments: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", full)
        with pytest.raises(StoreFull, match=r"system\.db-tail"):
            store.commit([Put("t", "a", {"n": 1})], durable=False)
    store.commit([Put("t", "a", {"n": 1})], durable=False)
    assert dict(store.rows("t")) == {"a": {"n": 1}}


def test_the_number_of_a_commit_that_was_made_and_failed_after_that_is_not_given_again(
    path: Path, run: Callable[[str], str]
) -> None:
    run("""
        store = open_store(path)
        execute = store._database.execute

        def failing(sql, parameters=()):
            execute(sql, parameters)
            if sql == "COMMIT":
                raise StoreError("the checkpoint failed")

        store._database.execute = failing
        try:
            store.commit([Put("t", "a", {"n": 1})], durable=True)
        except StoreError:
            store._database.execute = execute
        store.commit([Put("t", "b", {"n": 2})], durable=False)
        os._exit(0)
    """)
    assert _numbers(path) == [1, 2]


def test_a_transaction_that_fails_takes_no_numbers_back(path: Path, run: Callable[[str], str]) -> None:
    run("""
        store = open_store(path)
        for number in range(3):
            store.commit([Put("t", f"k{number}", {"n": number})], durable=False)
        store._database.query("PRAGMA max_page_count = 1")
        try:
            store.commit([Put("t", "large", {"text": "x" * 200_000})], durable=True)
        except StoreFull:
            store.commit([Put("t", "k3", {"n": 3})], durable=False)
        os._exit(0)
    """)
    assert _numbers(path) == [0, 1, 2, 3]


def test_a_closed_store_takes_no_commit(path: Path) -> None:
    store = open_store(path)
    store.commit([Put("t", "a", {"n": 1})], durable=False)
    store.close()
    for durable in (False, True):
        with pytest.raises(StoreError, match="is closed"):
            store.commit([Put("t", "b", {"n": 2})], durable=durable)
    assert not _tail(path).exists()
    assert _numbers(path) == [1]
