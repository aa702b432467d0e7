"""A backup and its way back, by the command line; and the steps by hand that the docs name."""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from maestro.access.roles import Role
from maestro.access.tokens import TokenFile
from maestro.actors.run_record import RunFolder
from maestro.cli.main import app
from maestro.ports import free_port
from maestro.store.base import Put, StoreError
from maestro.store.sqlite import open_store


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    for name in ("MAESTRO_CONFIG", "PORT", "RABBITMQ_HOST"):
        monkeypatch.delenv(name, raising=False)
    write("sysA", "old")
    write("sysB", "old")
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def path(system: str) -> Path:
    return Path("data/systems") / f"{system}.db"


def write(system: str, key: str) -> None:
    store = open_store(path(system))
    store.commit([Put("t", key, {"n": 1})], durable=True)
    store.close()


def keys(where: Path) -> list[str]:
    store = open_store(where)
    try:
        return [key for key, _ in store.rows("t")]
    finally:
        store.close()


def test_there_and_back() -> None:
    assert run("backup", "copies").exit_code == 0
    write("sysA", "new")
    write("sysB", "new")
    result = run("restore", "copies", "--system", "sysA")
    assert result.exit_code == 0, result.stderr
    assert keys(path("sysA")) == ["old"]
    assert keys(path("sysB")) == ["new", "old"], "it was not asked for"
    assert keys(Path("data/systems/sysA.db.before-restore")) == ["new", "old"]
    assert run("restore", "copies").exit_code == 0
    assert keys(path("sysB")) == ["old"]
    assert not list(Path("data/systems").glob("*.restoring*"))


def test_the_embedded_queues_are_copied() -> None:
    Path("data/broker").mkdir()
    live = sqlite3.connect("data/broker/queues.sqlite")
    live.executescript("PRAGMA journal_mode=WAL; CREATE TABLE m (body); INSERT INTO m VALUES ('x')")
    assert run("backup", "copies").exit_code == 0  # another member has them open
    live.close()
    copy = sqlite3.connect("copies/queues.sqlite")
    assert copy.execute("SELECT body FROM m").fetchall() == [("x",)]
    copy.close()


def test_what_a_link_in_the_folder_leads_to_is_not_written() -> None:
    """Who may write to the folder of the copies must not have Maestro's user, or root, overwrite another database."""
    Path("data/broker").mkdir(parents=True)
    for file in ("data/broker/queues.sqlite", "victim.sqlite"):
        with closing(sqlite3.connect(file)) as made, made:
            made.execute(f"CREATE TABLE t AS SELECT '{file}' AS v")
    Path("copies").mkdir()
    for name in ("queues.sqlite", "queues.sqlite.part", "sysA.db", "sysA.db.part"):
        Path("copies", name).symlink_to("../victim.sqlite")
    assert run("backup", "copies").exit_code == 0
    for file, value in (("victim.sqlite", "victim.sqlite"), ("copies/queues.sqlite", "data/broker/queues.sqlite")):
        with closing(sqlite3.connect(file)) as found:
            assert found.execute("SELECT v FROM t").fetchall() == [(value,)]
    assert keys(Path("copies/sysA.db")) == ["old"]


def test_a_store_that_is_gone_or_damaged_is_replaced() -> None:
    run("backup", "copies")
    path("sysA").unlink()
    path("sysB").write_bytes(b"SQLite format 3\0" + b"garbage" * 999)
    result = run("restore", "copies")
    assert result.exit_code == 0, result.stderr
    assert keys(path("sysA")) == keys(path("sysB")) == ["old"]


def test_a_damaged_backup_replaces_nothing() -> None:
    run("backup", "copies")
    write("sysA", "new")
    copy = Path("copies/sysA.db")
    copy.write_bytes(copy.read_bytes().replace(b'"n":1', b'"n":2'))
    result = run("restore", "copies", "--system", "sysA")
    assert result.exit_code == 1
    assert "sysA.db.restoring" in result.stderr
    assert keys(path("sysA")) == ["new", "old"]
    assert not list(Path("data/systems").glob("*.restoring*"))


def test_no_restore_while_maestro_runs_and_a_backup_asks_it() -> None:
    run("backup", "copies")
    owner = RunFolder(Path("data"))
    owner.acquire()
    try:
        result = run("restore", "copies")
        assert result.exit_code == 1
        assert "another Maestro is running on this data folder" in result.stderr
        result = run("backup", "copies", "--url", f"http://127.0.0.1:{free_port()}")
        assert result.exit_code == 1
        assert "127.0.0.1" in result.stderr, "the stores are their owners', who are asked through the gateway"
    finally:
        owner.release()


def test_tokens_and_the_audit_log_are_copied_for_their_owner_alone(here: Path) -> None:
    token = TokenFile(here / "data").add("ana", Role.APPROVER)
    folder = here / "data" / "audit"
    folder.mkdir()
    whole = b'{"number": 1}\n'
    (folder / "audit-000000000000001.jsonl").write_bytes(whole + b'{"numb')  # a line that is being written
    (folder / "refused").mkdir()
    (folder / "refused" / "audit-000000000000001.jsonl").write_bytes(whole)
    result = run("backup", "copies")
    assert result.exit_code == 0, result.stderr
    assert [one.name for one in TokenFile(here / "copies").entries()] == ["ana"]
    assert token.startswith("mst_")
    copies = sorted((here / "copies").rglob("*.json*"))
    assert [one.relative_to(here / "copies").as_posix() for one in copies] == [
        "access/tokens.json", "audit/audit-000000000000001.jsonl", "audit/refused/audit-000000000000001.jsonl",
    ]  # fmt: skip
    assert copies[1].read_bytes() == copies[2].read_bytes() == whole
    assert all(one.stat().st_mode & 0o077 == 0 for one in copies)


def test_an_empty_folder_is_no_backup() -> None:
    Path("nothing").mkdir()
    result = run("restore", "nothing")
    assert (result.exit_code, result.stderr) == (1, "maestro: nothing: there is no backup of a store in it\n")
    assert "there is no such backup" in run("restore", "nothing", "--system", "sysA").stderr


@pytest.mark.parametrize("command", [("backup", "copies"), ("backup", "copies", "-c", "m.toml")])
def test_without_a_data_folder_nothing_is_copied_and_nothing_made(here: Path, command: tuple[str, ...]) -> None:
    Path("m.toml").write_text('data_dir = "elsewhere"', "utf-8")
    shutil.rmtree("data")
    result = run(*command)
    data_dir = here / ("elsewhere" if "-c" in command else "data")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"maestro: there is no data folder {data_dir}: check data_dir and the working directory\n"
    assert [one.name for one in here.iterdir()] == ["m.toml"]


def test_a_data_folder_without_a_store_is_nothing_to_back_up(here: Path) -> None:
    shutil.rmtree("data/systems")
    result = run("backup", "copies")
    assert (result.exit_code, result.stderr) == (1, f"maestro: there is no store in {here}/data/systems\n")
    assert not Path("copies").exists()


def test_what_cannot_be_read_or_written_is_one_line_in_words(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "iterdir", denied)
        unreadable = run("backup", "copies")
    assert (unreadable.exit_code, unreadable.stderr) == (1, f"maestro: {here}/data: Permission denied\n")
    Path("data/run.lock").mkdir()
    for command in ("backup", "restore"):
        Path("copies").mkdir(exist_ok=True)
        Path("copies/sysA.db").touch()
        locked = run(command, "copies")
        assert (locked.exit_code, locked.stdout) == (1, "")
        assert locked.stderr == f"maestro: data_dir {here}/data cannot be used: Is a directory\n"


def test_by_hand_as_the_docs_say() -> None:
    run("backup", "copies")
    write("sysA", "new")
    shutil.copyfile("copies/sysA.db", path("sysA"))
    with pytest.raises(StoreError, match="after restoring a backup"):
        open_store(path("sysA"))
    for left in ("sysA.db-wal", "sysA.db-tail", "sysA.db.last"):
        (Path("data/systems") / left).unlink(missing_ok=True)
    assert keys(path("sysA")) == ["old"]
