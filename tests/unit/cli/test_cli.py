"""The command line: exit codes, what goes where, and that it starts quickly because it imports little."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from maestro import __version__
from maestro.cli.main import app

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def bare_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("MAESTRO_CONFIG", "PORT", "RABBITMQ_HOST"):
        monkeypatch.delenv(name, raising=False)


def run(*arguments: str, env: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(app, arguments, env=env)


def test_version() -> None:
    result = run("--version")
    assert (result.exit_code, result.stdout) == (0, f"maestro {__version__}\n")


def test_check_without_a_file() -> None:
    result = run("config", "check")
    assert (result.exit_code, result.stdout) == (0, "defaults: ok\n")


def test_check_a_file() -> None:
    Path("m.toml").write_text("http.port = 1", "utf-8")
    result = run("config", "check", "--config", "m.toml")
    assert (result.exit_code, result.stdout) == (0, "m.toml: ok\n")
    assert run("config", "check", env={"MAESTRO_CONFIG": "m.toml"}).stdout == "m.toml: ok\n"


def test_check_says_which_variables_are_not_read() -> None:
    result = run("config", "check", env={"MAESTRO_PORT": "tcp://10.0.0.7:6971", "APICORE_PROT": "1"})
    assert result.exit_code == 0
    first, second, third = result.stdout.splitlines()
    assert first == "defaults: ok"
    assert second.startswith("note: not read, they say where others find Maestro: MAESTRO_PORT;")
    assert third == "note: APICORE_PROT: not read; did you mean APICORE_PORT?"


def test_check_says_what_serve_would_refuse() -> None:
    result = run("config", "check", env={"MAESTRO_HTTP__HOST": "0.0.0.0"})
    assert result.exit_code == 0
    note = 'note: maestro serve does not start with it: http.host = "0.0.0.0" serves others than this machine: '
    assert result.stdout == f"defaults: ok\n{note}set access.enabled = true, or give --insecure\n"


def test_a_data_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    environ = os.environ | {"MAESTRO_DATA_DIR": str(tmp_path / "file" / "data"), "PORT": "0"}
    result = subprocess.run(
        [Path(sys.executable).parent / "maestro", "serve"], env=environ, cwd=tmp_path, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    assert (result.returncode, result.stdout) == (1, "")
    said = result.stderr.splitlines()
    assert said[-1] == f"maestro: data_dir {tmp_path}/file/data cannot be used: Not a directory"
    assert "Traceback" not in result.stderr


def test_problems_are_plain_lines_on_stderr() -> None:
    Path("m.toml").write_text("http.port = -1\nhttp.prot = 2", "utf-8")
    for command in ("check", "show"):
        result = run("config", command, "-c", "m.toml")
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr.splitlines() == [
            "m.toml: http.port = -1: must be greater than or equal to 0",
            "m.toml: http.prot: unknown setting; did you mean http.port?",
        ]


def test_check_says_when_a_url_is_not_used() -> None:
    Path("m.toml").write_text('[broker]\nkind = "embedded"\nurl = "amqp://mq"', "utf-8")
    result = run("config", "check", "-c", "m.toml")
    assert result.exit_code == 0
    assert 'broker.url is not used, for broker.kind is "embedded" (m.toml)' in result.stdout


def test_show() -> None:
    result = run("config", "show", env={"RABBITMQ_HOST": "mq", "RABBITMQ_PASSWORD": "hunter2", "PORT": "7000"})
    assert result.exit_code == 0
    assert "hunter2" not in result.stdout
    shown = tomllib.loads(result.stdout)
    assert (shown["http"]["port"], shown["broker"]["kind"]) == (7000, "rabbitmq")
    assert "port = 7000  # PORT" in result.stdout


def test_template_is_the_complete_file() -> None:
    assert run("config", "template").stdout == (ROOT / "config" / "maestro.toml").read_text("utf-8")


def test_unknown_command() -> None:
    assert run("nonsense").exit_code == 2


def test_main_in_a_process_imports_nothing_heavy() -> None:
    program = (
        "import sys\n"
        "from maestro.cli.main import main\n"
        "sys.argv = ['maestro', '--version']\n"
        "try:\n    main()\n"
        "finally:\n    print(sorted({'pydantic', 'aiohttp', 'pika', 'thespian', 'tinydb'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout == f"maestro {__version__}\n[]\n"
