"""`maestro store` on a file that nobody owns; a running system's is in tests/integration."""

from pathlib import Path

import orjson
import pytest
from typer.testing import CliRunner, Result

from maestro.cli.store import app
from maestro.store.base import Put
from maestro.store.sqlite import open_store


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
