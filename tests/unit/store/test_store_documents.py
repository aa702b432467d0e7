"""TinyDB's own API over the rows of a file."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tinydb import TinyDB, where
from tinydb.operations import add, increment
from tinydb.table import Document

from maestro.store.base import Put, StoreError, StoreFull
from maestro.store.documents import RowTable, document
from maestro.store.rows import Rows
from maestro.store.sqlite import SystemStore, open_store


@pytest.fixture
def units(store: SystemStore) -> Iterator[RowTable]:
    store.commit(
        [Put("units", f"p{number}", {"branch": "b1" if number % 2 else "master", "n": number}) for number in range(6)],
        durable=False,
    )
    return store.table("units")


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The keys of the rows that reach the file."""
    keys: list[str] = []
    put, delete = Rows.put, Rows.delete

    def spy_put(self: Rows, table: str, key: str, json: bytes) -> None:
        keys.append(key)
        put(self, table, key, json)

    def spy_delete(self: Rows, table: str, key: str) -> None:
        keys.append(f"-{key}")
        delete(self, table, key)

    monkeypatch.setattr(Rows, "put", spy_put)
    monkeypatch.setattr(Rows, "delete", spy_delete)
    return keys


def ids(documents: list[Document]) -> list[object]:
    return [found.doc_id for found in documents]


def test_it_is_tinydb(store: SystemStore, units: RowTable) -> None:
    assert isinstance(store.documents, TinyDB)
    assert store.documents.table("units") is units
    assert store.documents.tables() == {"units"}


def test_reading(units: RowTable) -> None:
    found = units.get(doc_id="p3")
    assert found == {"branch": "b1", "n": 3}
    assert found.doc_id == "p3"
    assert units.get(doc_id="p9") is None
    assert units.get(where("n") == 4).doc_id == "p4"
    assert ids(units.get(doc_ids=["p1", "p5", "p9"])) == ["p1", "p5"]
    assert ids(units.search(where("branch") == "b1")) == ["p1", "p3", "p5"]
    assert units.count(where("branch") == "b1") == 3
    assert units.contains(doc_id="p0")
    assert not units.contains(where("n") > 5)
    assert [found["n"] for found in units] == list(range(6))
    assert len(units) == len(units.all()) == 6


def test_insert_writes_one_row(store: SystemStore, units: RowTable, written: list[str]) -> None:
    assert units.insert(document("p6", {"n": 6})) == "p6"
    assert written == ["p6"]
    assert store.get("units", "p6") == {"n": 6}
    with pytest.raises(ValueError, match="already exists"):
        units.insert(document("p6", {"n": 7}))
    assert store.get("units", "p6") == {"n": 6}


def test_insert_without_an_id_makes_one(store: SystemStore, units: RowTable) -> None:
    first, second = units.insert_multiple([{"n": 7}, {"n": 8}])
    assert first != second
    assert units.get(doc_id=first) == {"n": 7}
    assert store.count("units") == 8


def test_update_writes_only_the_rows_it_changes(store: SystemStore, units: RowTable, written: list[str]) -> None:
    assert units.update({"done": True}, where("branch") == "b1") == ["p1", "p3", "p5"]
    assert written == ["p1", "p3", "p5"]
    assert store.get("units", "p3") == {"branch": "b1", "n": 3, "done": True}
    written.clear()
    assert units.update(increment("n"), doc_ids=["p0", "p9"]) == ["p0"]
    assert units.update_multiple([(add("n", 10), where("n") == 1)]) == ["p0", "p1"]
    assert written == ["p0", "p0", "p1"]
    assert store.get("units", "p0") == {"branch": "master", "n": 11}


def test_upsert(store: SystemStore, units: RowTable, written: list[str]) -> None:
    assert units.upsert(document("p1", {"extra": 1})) == ["p1"]
    assert units.upsert(document("p7", {"extra": 1})) == ["p7"]
    assert units.upsert({"extra": 2}, where("n") == 2) == ["p2"]
    assert written == ["p1", "p7", "p2"]
    assert store.get("units", "p1") == {"branch": "b1", "n": 1, "extra": 1}


def test_remove_and_truncate(store: SystemStore, units: RowTable, written: list[str]) -> None:
    assert units.remove(doc_ids=["p0", "p9"]) == ["p0"]
    assert units.remove(where("branch") == "master") == ["p2", "p4"]
    assert written == ["-p0", "-p2", "-p4"]
    units.truncate()
    assert len(units) == store.count("units") == 0


def test_a_transaction_that_fails_leaves_nothing(store: SystemStore, units: RowTable) -> None:
    before = store._database.number

    def write() -> None:
        with store._database.transaction(durable=True):
            units.upsert(document("p0", {"new": 1}))
            store._database.execute("INSERT INTO nowhere VALUES (1)")

    with pytest.raises(StoreError):
        write()
    assert store.get("units", "p0") != {"new": 1}
    assert store._database.number == before
    store.commit([Put("units", "p0", {"new": 2})], durable=True)
    assert store.get("units", "p0") == {"new": 2}


def test_dropping_tables(store: SystemStore, units: RowTable) -> None:
    store.commit([Put("other", "k", {}), Put("third", "k", {})], durable=False)
    store.documents.drop_table("units")
    assert store.documents.tables() == {"other", "third"}
    store.documents.drop_tables()
    assert store.documents.tables() == set()
    assert store.check() == []


def test_a_change_through_tinydb_is_durable(path: Path, store: SystemStore, units: RowTable) -> None:
    before = store._database.number
    units.insert(document("p6", {}))
    assert store._database.number == before + 1
    assert store._database.query("PRAGMA synchronous") == [(2,)]
    store.close()
    reopened = open_store(path)
    assert ids(reopened.table("units").all()) == [f"p{number}" for number in range(7)]
    reopened.close()


def test_an_update_that_fails_changes_nothing(store: SystemStore, units: RowTable) -> None:
    def spoil(fields: dict[str, object]) -> None:
        fields["n"] = object() if fields["n"] == 3 else 0

    with pytest.raises(TypeError):
        units.update(spoil)
    assert [found["n"] for found in units] == list(range(6))


def test_no_ghosts_after_a_roll_back(store: SystemStore, units: RowTable) -> None:
    everything = where("n") >= 0
    assert len(units.search(everything)) == 6
    pages = store._database.query("PRAGMA page_count")[0][0]
    store._database.query(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreFull):
        units.insert(document("p6", {"n": 6, "text": "x" * 100_000}))
    with pytest.raises(StoreFull):
        store.commit([Put("units", "p7", {"n": 7}), Put("units", "p8", {"text": "x" * 100_000})], durable=True)
    assert len(units.search(everything)) == len(units) == 6

    store._database.query("PRAGMA max_page_count = 100000")
    units.insert(document("p6", {"n": 6}))
    assert len(units.search(everything)) == 7


def test_a_search_sees_every_commit(store: SystemStore, units: RowTable) -> None:
    query = where("n") == 3
    units.search(query)[0]["n"] = "changed by its reader"
    assert units.search(query) == [{"branch": "b1", "n": 3}]
    store.commit([Put("units", "p3", {"n": 4})], durable=False)
    assert units.search(query) == []
