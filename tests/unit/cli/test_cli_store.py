"""`maestro store` on a file that nobody owns; a running system's is in tests/integration."""

from pathlib import Path

import orjson
import pytest
from typer.testing import CliRunner, Result

from maestro.cli.store import app
from maestro.messages.answers import Code
from maestro.messages.questions import ReadStore
from maestro.store.base import Put
from maestro.store.sqlite import open_store
from maestro.system import store_view


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "sysA.db"
    store = open_store(path)
    units = [Put("units", f"r1/{number}", {"branch": "b1" if number else "master"}) for number in range(3)]
    store.commit([Put("documents", "r1", {"status": "failure"}), *units], durable=True)
    store.close()
    return path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def test_tables(file: Path) -> None:
    shown = run("tables", "sysA", "--file", str(file))
    assert [line.split() for line in shown.stdout.splitlines()] == [
        ["TABLE", "DOCUMENTS"], ["documents", "1"], ["units", "3"]
    ]  # fmt: skip
    as_json = run("tables", "sysA", "--file", str(file), "--json")
    assert orjson.loads(as_json.stdout_bytes) == {"documents": 1, "units": 3}


def test_get(file: Path) -> None:
    assert orjson.loads(run("get", "sysA", "documents", "r1", "--file", str(file)).stdout_bytes) == {
        "status": "failure"
    }
    missing = run("get", "sysA", "documents", "r2", "--file", str(file))
    assert (missing.exit_code, "documents has no document r2" in missing.output) == (1, True)


def test_query(file: Path) -> None:
    shown = run("query", "sysA", "units", "branch=b1", "--file", str(file), "--limit", "1")
    assert [orjson.loads(line) for line in shown.stdout_bytes.splitlines()] == [
        {"key": "r1/1", "document": {"branch": "b1"}}
    ]
    both = run("query", "sysA", "units", "branch=b1", "--file", str(file))
    assert len(both.stdout_bytes.splitlines()) == 2


def test_what_cannot_be_read_is_one_line(tmp_path: Path, file: Path) -> None:
    none = run("tables", "sysA", "--file", str(tmp_path / "none.db"))
    assert (none.exit_code, "there is no such store" in none.output) == (1, True)
    bad = run("query", "sysA", "units", "branch", "--file", str(file))
    assert (bad.exit_code, "must be a field" in bad.output) == (2, True)


def test_a_table_that_is_none_is_told_with_those_there_are(file: Path) -> None:
    for words in (("query", "sysA", "nope"), ("query", "sysA", "nope", "a=1"), ("get", "sysA", "nope", "zz")):
        ran = run(*words, "--file", str(file))
        assert (ran.exit_code, ran.stdout) == (4, "")
        assert ran.stderr.endswith(": there is no table nope, or nothing is in it; there are: documents, units\n")
    none_fits = run("query", "sysA", "units", "branch=b2", "--file", str(file))
    assert (none_fits.exit_code, none_fits.output) == (0, "")


def test_a_running_system_names_its_tables_too(file: Path) -> None:
    store = open_store(file)
    try:
        for question in (ReadStore("nope"), ReadStore("nope", "zz"), ReadStore("nope", where=("a=1",))):
            answered = store_view.answer(store, question)
            assert answered.code is Code.NOT_FOUND
            assert "no table nope" in answered.message
            assert answered.message.endswith("there are: documents, units")
        for question in (ReadStore("units", "zz"), ReadStore("units", where=("a=1",)), ReadStore("nope", after="a")):
            assert orjson.loads(store_view.answer(store, question).body)["documents"] == {}
    finally:
        store.close()
