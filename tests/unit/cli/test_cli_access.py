"""`maestro token`, `maestro audit`, and that nobody serves a network unguarded by accident."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import orjson
import pytest
from typer.testing import CliRunner, Result

from maestro.access.audit import AuditLog, Entry
from maestro.access.exposure import is_loopback
from maestro.access.permissions import openings
from maestro.access.roles import Role
from maestro.access.tokens import TOKEN, TokenFile
from maestro.actors.host_process import HostProcess
from maestro.cli.main import app
from maestro.settings.model import HttpSettings, Settings

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("MAESTRO_CONFIG", "PORT", "RABBITMQ_HOST"):
        monkeypatch.delenv(name, raising=False)


def run(*arguments: str, env: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(app, arguments, env=env)


def test_a_token_is_shown_once_and_listed_without_its_secret() -> None:
    made = run("token", "add", "ana", "--role", "approver", "--system", "sysA", "--system", "sysB", "--expires", "90d")
    assert made.exit_code == 0
    token = made.stdout.strip()
    assert TOKEN.fullmatch(token)
    listed = run("token", "list").stdout
    header, row = listed.splitlines()
    assert header.split() == ["NAME", "ROLE", "SYSTEMS", "MADE", "ENDS", "ID"]
    assert row.split()[:3] == ["ana", "approver", "sysA,sysB"]
    assert row.split()[-1] == token.split("_")[1]
    assert token.split("_", 2)[2] not in listed
    assert "argon2" not in listed
    assert run("token", "revoke", "ana").stdout == "ana: revoked\n"
    assert run("token", "list").stdout == "there are no tokens\n"
    gone = run("token", "revoke", "ana")
    assert (gone.exit_code, gone.stderr) == (1, "maestro: there is no token named 'ana'\n")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("ana", "--role", "king"), 2, "--role: must be one of platform, viewer, approver, admin"),
        (("ana", "--role", "viewer", "--system", "a.b"), 2, "--system: must be 1 to 128"),
        (("ana", "--role", "viewer", "--expires", "soon"), 2, "--expires: must be"),
        (("a b", "--role", "viewer"), 1, "NAME: must be"),
    ],
)
def test_wrong_tokens_are_one_line(arguments: tuple[str, ...], code: int, words: str) -> None:
    result = run("token", "add", *arguments)
    assert (result.exit_code, result.stdout) == (code, "")
    assert result.stderr.startswith(f"maestro: {words}")
    assert len(result.stderr.splitlines()) == 1


def test_audit_export_and_verify() -> None:
    async def fill() -> None:
        log = AuditLog(Path("data/audit"), 10**6)
        for who in ("ana", "ben"):
            await log.record(Entry(who=who, via="token", what="approve", origin="::1", outcome="done", status=200))

    asyncio.run(fill())
    lines = [orjson.loads(line) for line in run("audit", "export").stdout.splitlines()]
    assert [line["who"] for line in lines] == ["ana", "ben"]
    assert run("audit", "export", "--since", "2999-01-01").stdout == ""
    assert len(run("audit", "export", "--since", "2020-01-01T00:00:00").stdout.splitlines()) == 2
    wrong = run("audit", "export", "--since", "soon")
    assert (wrong.exit_code, wrong.stderr[:18]) == (2, "maestro: --since: ")
    assert run("audit", "verify").stdout == f"2 lines are whole; the last one's hash is {lines[-1]['hash']}\n"
    path = next(Path("data/audit").iterdir())
    path.write_bytes(path.read_bytes().replace(b'"ana"', b'"eve"'))
    broken = run("audit", "verify")
    assert broken.exit_code == 1
    assert "line 1 is not what was written" in broken.stderr


def test_a_token_may_have_ended(tmp_path: Path) -> None:
    TokenFile(tmp_path / "data").add("old", Role.VIEWER, lifetime=-1)
    assert "(expired)" in run("token", "list").stdout


def test_a_token_that_cannot_be_written_is_one_line_in_words(tmp_path: Path) -> None:
    Path("data").write_text("no folder")
    result = run("token", "add", "ana", "--role", "viewer")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"maestro: {tmp_path / 'data' / 'access'}: Not a directory\n"


@pytest.mark.parametrize("command", ["verify", "export"])
@pytest.mark.parametrize("folders", [(), ("data",), ("data/audit",)])
def test_without_a_log_there_is_nothing_to_verify_or_export(
    tmp_path: Path, command: str, folders: tuple[str, ...]
) -> None:
    for folder in folders:
        Path(folder).mkdir(parents=True)
    result = run("audit", command)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"maestro: there is no audit log in {tmp_path / 'data' / 'audit'}\n"


@pytest.mark.parametrize("command", ["verify", "export"])
def test_a_log_that_cannot_be_read_is_not_whole(tmp_path: Path, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "data" / "audit"
    folder.mkdir(parents=True)
    (folder / "audit-000000000000001.jsonl").mkdir()
    result = run("audit", command)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"maestro: {folder}/audit-000000000000001.jsonl: cannot be read: Is a directory\n"

    def denied(_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.scandir", denied)
    result = run("audit", command)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"maestro: {folder}: cannot be read: Permission denied\n"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.0.2.1", "no-such-host.invalid"])
def test_a_network_is_not_served_without_access_control(host: str) -> None:
    Path("m.toml").write_text(f'[http]\nhost = "{host}"', "utf-8")
    result = run("serve", "-c", "m.toml")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        f'maestro: http.host = "{host}" serves others than this machine: '
        "set access.enabled = true, or give --insecure\n"
    )


def test_what_is_loopback() -> None:
    assert all(map(is_loopback, ("127.0.0.1", "127.1.2.3", "::1", "localhost")))


@pytest.mark.parametrize(("arguments", "text"), [(("--insecure",), ""), ((), "[access]\nenabled = true\n")])
def test_it_is_served_when_asked_for(arguments: tuple[str, ...], text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    served = []

    async def serve(settings: object, *_: object) -> None:
        served.append(settings)

    monkeypatch.setattr("maestro.serve.serve", serve)
    monkeypatch.setattr("maestro.logs.configure", lambda _settings: None)
    Path("m.toml").write_text(text + '[http]\nhost = "0.0.0.0"', "utf-8")
    assert run("serve", "-c", "m.toml", *arguments).exit_code == 0
    assert len(served) == 1


def test_what_root_makes_is_the_services(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`sudo maestro token add` in the data folder of a service that runs as another user."""
    if os.geteuid() != 0:
        pytest.skip("only root makes files for others")
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    os.chown(data, 12345, 12346)
    for number in range(2):
        assert run("token", "add", f"ana{number}", "--role", "viewer").exit_code == 0
        made = [data / "access", *(data / "access").iterdir()]
        assert {(path.stat().st_uid, path.stat().st_gid) for path in made} == {(12345, 12346)}, made
        assert not any(path.stat().st_mode & 0o077 for path in made)


def test_a_new_folder_of_roots_is_said(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root makes files for others")
    first = run("token", "add", "ana", "--role", "viewer")
    assert "is new and root's" in first.stderr
    assert TOKEN.fullmatch(first.stdout.strip())
    assert run("token", "add", "ben", "--role", "viewer").stderr == ""


def test_a_link_in_the_way_is_not_followed(tmp_path: Path) -> None:
    """Who may write to the folder must not have root write elsewhere."""
    victim = tmp_path / "victim"
    victim.write_text("whole")
    access = tmp_path / "data" / "access"
    access.mkdir(parents=True, mode=0o700)
    for link in (access / ".tokens.json.new", access / "tokens.json"):
        link.symlink_to(victim)
    victim_stat = victim.stat()
    os.link(victim, access / ".hard")
    run("token", "add", "ana", "--role", "viewer")
    assert victim.read_text() == "whole"
    assert victim.stat().st_uid == victim_stat.st_uid


@pytest.mark.parametrize(
    ("path", "mode", "refused"),
    [("data", 0o777, True), ("data", 0o770, False), ("data/access", 0o702, True), ("key.pem", 0o602, True),
     ("key.pem", 0o604, False), ("cert.pem", 0o602, True)],
)  # fmt: skip
def test_files_that_others_may_change(path: str, mode: int, refused: bool, tmp_path: Path) -> None:  # noqa: FBT001 - a case
    for folder in ("data", "data/access", "data/systems"):
        (tmp_path / folder).mkdir(mode=0o700)
    for file in ("key.pem", "cert.pem"):
        (tmp_path / file).touch(0o600)
    http = HttpSettings(tls_cert=str(tmp_path / "cert.pem"), tls_key=str(tmp_path / "key.pem"))
    settings = Settings(data_dir=tmp_path / "data", http=http)
    assert openings(settings) == []
    (tmp_path / path).chmod(mode)
    (found,) = openings(settings)
    assert (found.path, found.refused) == (str(tmp_path / path), refused)
    assert found.mend.endswith(found.path)
    if refused:
        tried = run(
            "serve",
            env={"MAESTRO_HTTP__TLS_CERT": http.tls_cert, "MAESTRO_HTTP__TLS_KEY": http.tls_key},
        )
        assert tried.exit_code == 1
        assert f"maestro: {found.path} may be written by everybody" in tried.stderr


@pytest.mark.parametrize("path", ["maestro.toml", "config/maestro.toml"])
def test_a_configuration_that_somebody_put_into_the_working_folder(path: str) -> None:
    """It could have Maestro ask another API core, serve without access control, or keep its data elsewhere."""
    file = Path(path)
    file.parent.mkdir(exist_ok=True)
    file.write_text("", "utf-8")
    file.chmod(0o600)
    assert openings(Settings(), file) == []
    file.chmod(0o602)
    (found,) = openings(Settings(), file)
    assert found.refused
    tried = run("serve")
    assert tried.exit_code == 1
    assert f"maestro: {file.absolute()} may be written by everybody" in tried.stderr
    if os.geteuid() != 0:
        pytest.skip("only root makes files for others")
    file.chmod(0o600)
    os.chown(file, 12345, 12345)
    tried = run("serve")
    assert tried.exit_code == 1
    assert f"maestro: {file.absolute()} belongs to another user (uid 12345)" in tried.stderr
    (named,) = openings(Settings(), file, named=True)  # somebody said that it is to be taken
    assert not named.refused


def test_nothing_is_imported_from_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A `pika.py` that lies there, as anybody may put into /tmp, is not run: not by Maestro, not by its children."""
    for name in ("pika", "thespian", "aiohttp", "msgspec", "uvloop"):
        (tmp_path / f"{name}.py").write_text("open('ran', 'w').write(__name__)\nraise SystemExit(3)\n")
    tried = subprocess.run(
        [sys.executable, "-m", "maestro.cli.main", "serve", "--config", "none.toml"],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, cwd=tmp_path, capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert tried.returncode == 2, tried
    monkeypatch.syspath_prepend(str(tmp_path))
    host = HostProcess()  # it waits for an order, and ends without one
    assert host._process.stdin is not None
    host._process.stdin.close()
    host._process.wait(60)
    assert not (tmp_path / "ran").exists()
