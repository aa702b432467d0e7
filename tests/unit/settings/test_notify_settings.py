"""The settings of notices: what is refused, and that no secret of them is shown."""

from pathlib import Path

import pytest

from maestro.settings.loading import load
from maestro.settings.problems import SettingsError
from maestro.settings.render import as_toml

SLACK = "https://hooks.slack.com/services/T000/B000/s3cr3t"


def test_no_secret_is_shown() -> None:
    loaded = load(None, {
        "MAESTRO_NOTIFY__SLACK__URL": SLACK, "MAESTRO_NOTIFY__TEAMS__ESCALATE_URL": "https://teams.example/s3cr3t",
        "MAESTRO_NOTIFY__WEBHOOK__URL": "https://own.example/s3cr3t",
        "MAESTRO_NOTIFY__WEBHOOK__SECRET": "s3cr3t, long enough", "MAESTRO_NOTIFY__EMAIL__HOST": "mail.example.org",
        "MAESTRO_NOTIFY__EMAIL__SENDER": "m@example.org", "MAESTRO_NOTIFY__EMAIL__TO": "a@example.org",
        "MAESTRO_NOTIFY__EMAIL__USER": "maestro", "MAESTRO_NOTIFY__EMAIL__PASSWORD": "s3cr3t",
    })  # fmt: skip
    shown = as_toml(loaded)
    assert "s3cr3t" not in shown
    assert "s3cr3t" not in repr(loaded.settings)
    assert 'url = "https://hooks.slack.com/…"' in shown
    assert loaded.settings.notify.slack.url.get_secret_value() == SLACK


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("SLACK__URL", "ftp://s3cr3t", "must be an http:// or https:// URL"),
        ("SLACK__URL", "https://user:s3cr3t@x.example/", "without a user"),
        ("WEBHOOK__URL", "https://x.example/s3cr3t", "a secret of at least 16 characters"),
        ("EMAIL__HOST", "mail.example.org", "a host needs a sender"),
        ("EMAIL__SENDER", "a b@example.org", "must be an e-mail address"),
        ("EMAIL__TO", "a@example.org,b@example.org\nBcc: c@example.org", "must be an e-mail address"),
        ("EMAIL__USER", "maestro", "user and password: both or none"),
        ("EMAIL__SECURITY", "ssl", "starttls"),
        ("QUIET", "22-07", "must be two different times of day"),
        ("QUIET", "22:00-22:00", "must be two different times of day"),
        ("QUIET", "24:00-07:00", "must be two different times of day"),
        ("QUIET_ZONE", "Mars/Olympus", "must be the name of a time zone"),
        ("QUIET_ZONE", "America", "must be the name of a time zone"),
        ("QUIET_ZONE", "../../etc/passwd", "must be the name of a time zone"),
        ("KINDS", "pending,never", "pending"),
        ("REMIND_AFTER", "-1", "greater than or equal to 0"),
        ("LANGUAGE", "fr", "pt-BR"),
    ],
)
def test_what_is_wrong_is_named(name: str, value: str, said: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load(None, {f"MAESTRO_NOTIFY__{name}": value})
    assert said in str(refused.value)
    assert "notify" in str(refused.value)
    assert "s3cr3t" not in str(refused.value)


def test_a_public_url_is_an_address_without_a_slash_at_its_end(tmp_path: Path) -> None:
    loaded = load(None, {"MAESTRO_HTTP__PUBLIC_URL": "https://x.example/maestro/"})
    assert loaded.settings.http.public_url == "https://x.example/maestro"
    with pytest.raises(SettingsError, match="public_url"):
        load(None, {"MAESTRO_HTTP__PUBLIC_URL": "x.example"})
