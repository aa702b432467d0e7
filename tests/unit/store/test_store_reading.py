"""A store is looked into: conditions, pages, and files that nobody owns."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from maestro.messages.answers import Code
from maestro.messages.questions import ReadStore
from maestro.store import open_documents, reading, where
from maestro.store.base import Put, StoreDamaged, StoreError, StoreLocked
from maestro.store.memory import MemoryStore
from maestro.store.sqlite import SystemStore, open_store
from maestro.system import store_view

DOCUMENTS = {
    "a": {"status": "failure", "progress": {"replayed": 3}, "branch": "b1"},
    "b": {"status": "finished", "progress": {"replayed": 30}, "branch": "master"},
    "c": {"status": "failure", "progress": {"replayed": 12}, "branch": "b12", "late": True},
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sysA.db"


@pytest.fixture
def store(path: Path) -> Iterator[SystemStore]:
    opened = open_store(path)
    opened.commit([Put("documents", key, fields) for key, fields in DOCUMENTS.items()], durable=False)
    yield opened
    opened.close()


@pytest.mark.parametrize(
    ("conditions", "keys"),
    [
        ((), "abc"),
        (("status=failure",), "ac"),
        (("status=failure", "progress.replayed>3"), "c"),
        (("progress.replayed<=12",), "ac"),
        (("progress.replayed=3",), "a"),
        (("branch~b*",), "ac"),
        (("branch~b",), ""),
        (("branch~*1",), "a"),
        (("progress~*",), ""),
        (("status!=failure",), "b"),
        (("late=true",), "c"),
        (("late!=true",), "ab"),
        (("branch>5",), ""),
        (("none.at.all=1",), ""),
    ],
)
def test_conditions(store: SystemStore, conditions: tuple[str, ...], keys: str) -> None:
    found = reading.find(store.documents, "documents", reading.condition(conditions))
    assert "".join(found.documents) == keys
    assert found.next is None


@pytest.mark.parametrize("text", ["", "status", "=x", "a b=1"])
def test_a_condition_that_cannot_be_read_is_named(text: str) -> None:
    with pytest.raises(reading.BadCondition):
        reading.condition([text])


def test_no_pattern_takes_long() -> None:
    began = time.process_time()
    for pattern in ("(a+)+$", "*a" * 200 + "b", "?*" * 200 + "b", "[" * 400):
        assert not reading.condition([f"x~{pattern}"])({"x": "a" * 5_000})
    assert time.process_time() - began < 1


def test_pages_follow_each_other(store: SystemStore) -> None:
    first = reading.find(store.documents, "documents", reading.condition([]), limit=2)
    assert (list(first.documents), first.next) == (["a", "b"], "b")
    rest = reading.find(store.documents, "documents", reading.condition([]), after="b", limit=2)
    assert (list(rest.documents), rest.next) == (["c"], None)


def test_one_question_looks_at_a_bounded_number(store: SystemStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "SCANNED", 2)
    found = reading.find(store.documents, "documents", reading.condition(["late=true"]))
    assert (found.documents, found.next) == ({}, "b")


def test_an_answer_is_bounded(store: SystemStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MAX_ANSWER", 10)
    found = reading.find(store.documents, "documents", reading.condition([]))
    assert (list(found.documents), found.next) == (["a"], "a"), "one document, however large"


def test_a_running_system_answers(store: SystemStore) -> None:
    def ask(**question: object) -> object:
        answer = store_view.answer(store, ReadStore(**question))  # type: ignore[arg-type]
        assert answer.code is Code.OK
        return orjson.loads(answer.body)

    assert ask() == {"tables": {"documents": 3}, "documents": {}, "next": None}
    assert ask(table="documents", key="b") == {"tables": {}, "documents": {"b": DOCUMENTS["b"]}, "next": None}
    assert ask(table="documents", key="x") == {"tables": {}, "documents": {}, "next": None}
    found = ask(table="documents", where=("status=failure",), limit=1)
    assert found == {"tables": {}, "documents": {"a": DOCUMENTS["a"]}, "next": "a"}


def test_a_running_system_refuses(store: SystemStore) -> None:
    bad = store_view.answer(store, ReadStore("documents", where=("status",)))
    assert (bad.code, bad.message.startswith("where: 'status': must be")) == (Code.INVALID, True)
    assert store_view.answer(MemoryStore(), ReadStore()).code is Code.UNAVAILABLE


def test_damage_is_named(store: SystemStore) -> None:
    store._database.fold()
    store._database.connection.execute("UPDATE rows SET json = x'7b7d' WHERE key = 'b'")
    answer = store_view.answer(store, ReadStore("documents"))
    assert answer.code is Code.FAILED
    assert "the checksum does not match" in answer.message


def test_a_closed_store_and_a_backup_are_tinydb(store: SystemStore, path: Path, tmp_path: Path) -> None:
    backup = tmp_path / "backup.db"
    store.backup(str(backup))
    store.close()
    for file in (path, backup):
        before = sorted(tmp_path.iterdir())
        with open_documents(file) as documents:
            found = documents.table("documents").search(where("status") == "failure")
            assert [one.doc_id for one in found] == ["a", "c"]
            assert documents.tables() == {"documents"}
            assert reading.tables(documents) == {"documents": 3}
        assert sorted(tmp_path.iterdir()) == before, "nothing is written beside it"


def test_a_file_is_only_read(store: SystemStore, path: Path) -> None:
    store.close()
    before = path.read_bytes()
    with open_documents(path) as documents, pytest.raises(StoreError, match="to be read only"):
        documents.table("documents").insert({"status": "new"})
    assert path.read_bytes() == before


def test_a_store_in_use_is_refused(store: SystemStore, path: Path) -> None:
    with pytest.raises(StoreLocked, match=f"owned by process {os.getpid()}"), open_documents(path):
        pass


def test_a_store_that_was_not_closed_is_refused(store: SystemStore, path: Path) -> None:
    store.close()
    path.with_name("sysA.db-tail").write_bytes(b"x")
    with pytest.raises(StoreError, match="ended without closing it"), open_documents(path):
        pass


def test_no_file_and_no_store(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no such store"), open_documents(tmp_path / "none.db"):
        pass
    (tmp_path / "text.db").write_text("no database" * 100)
    with pytest.raises(StoreDamaged), open_documents(tmp_path / "text.db") as documents:
        reading.tables(documents)
