"""`maestro init`: what it writes is sound, its owner's alone, and never in another file's place."""

import stat
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from maestro.cli import init as module
from maestro.cli.main import app
from maestro.settings.loading import load_settings


@pytest.fixture(autouse=True)
def bare_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("MAESTRO_CONFIG", "PORT", "RABBITMQ_HOST", "RABBITMQ_PASSWORD"):
        monkeypatch.delenv(name, raising=False)


def run(*arguments: str, answers: str = "", env: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(app, ["init", *arguments], input=answers, env=env)


def test_the_defaults_serve_this_machine() -> None:
    result = run("--yes")
    assert (result.exit_code, result.stdout.splitlines()[-1]) == (0, "  maestro serve"), result.output
    settings = load_settings(Path("maestro.toml"), {})
    assert (settings.broker.kind, settings.http.host, settings.access.enabled) == ("embedded", "127.0.0.1", False)
    assert stat.S_IMODE(Path("maestro.toml").stat().st_mode) == 0o600


def test_options_for_rabbitmq_and_other_machines() -> None:
    options = ("etc.toml", "--rabbitmq", "mq", "--rabbitmq-user", "ma@estro", "--host", "0.0.0.0", "--data-dir", "/d")
    tls = ("--tls-cert", "c.pem", "--tls-key", "k.pem")
    result = run("--yes", *options, *tls, env={"RABBITMQ_PASSWORD": "a/b"})
    assert result.exit_code == 0, result.output
    settings = load_settings(Path("etc.toml"), {})
    assert settings.broker.url.get_secret_value() == "amqp://ma%40estro:a%2Fb@mq:5672/plataforma_v1.0"
    assert (settings.access.enabled, settings.http.tls_key, settings.data_dir) == (True, "k.pem", Path("/d"))
    assert result.stdout.splitlines()[-2:] == [
        "  maestro token add admin --role admin --config etc.toml",
        "  maestro serve --config etc.toml",
    ]
    assert "a/b" not in result.output


def test_it_asks_what_no_option_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_somebody_is_there", lambda: True)
    result = run("--data-dir", "d", answers="mq\n\nmaestro\nsecret\n\ny\n\n")
    assert result.exit_code == 0, result.output
    settings = load_settings(Path("maestro.toml"), {})
    assert settings.broker.url.get_secret_value() == "amqp://maestro:secret@mq:5672/plataforma_v1.0"
    assert settings.access.enabled
    assert "secret" not in result.output


def test_nobody_to_ask() -> None:
    result = run()
    assert (result.exit_code, Path("maestro.toml").exists()) == (2, False)
    assert "--yes" in result.output


def test_a_file_that_is_there_stays() -> None:
    Path("maestro.toml").write_text("# mine", "utf-8")
    assert run("--yes").exit_code == 1
    assert Path("maestro.toml").read_text("utf-8") == "# mine"
    assert run("--yes", "--force").exit_code == 0
    assert Path("maestro.toml").read_text("utf-8") != "# mine"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--tls-cert", "c.pem"), "both or none"),
        (("--host", "0.0.0.0", "--no-access"), "access.enabled = true"),
        (("--rabbitmq", "mq:x"), "maestro.toml: broker.url"),
    ],
)
def test_what_serve_would_refuse_is_not_written(options: tuple[str, ...], said: str) -> None:
    result = run("--yes", *options)
    assert (result.exit_code, Path("maestro.toml").exists()) == (2, False)
    assert said in result.output


def test_text_that_toml_must_escape() -> None:
    folder = 'a "b" \\ \x7f ç'
    assert run("--yes", "--data-dir", folder).exit_code == 0
    assert load_settings(Path("maestro.toml"), {}).data_dir == Path(folder)


def test_a_folder_that_is_not_there_is_named_with_the_file() -> None:
    result = run("--yes", "none/m.toml")
    said = f"maestro: {Path('none/m.toml').absolute()}: No such file or directory\n"
    assert (result.exit_code, result.output) == (1, said)
