"""`maestro token`, `maestro audit`, and that nobody serves a network unguarded by accident."""

import asyncio
from pathlib import Path

import orjson
import pytest
from typer.testing import CliRunner, Result

from maestro.access.audit import AuditLog, Entry
from maestro.access.exposure import is_loopback
from maestro.access.roles import Role
from maestro.access.tokens import TOKEN, TokenFile
from maestro.cli import app


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

    monkeypatch.setattr("maestro.service.serve", serve)
    monkeypatch.setattr("maestro.logs.configure", lambda _settings: None)
    Path("m.toml").write_text(text + '[http]\nhost = "0.0.0.0"', "utf-8")
    assert run("serve", "-c", "m.toml", *arguments).exit_code == 0
    assert len(served) == 1
