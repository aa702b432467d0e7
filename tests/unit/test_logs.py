"""A log that cannot be written must not break the work it tells of."""

import errno
import io
from collections.abc import Iterator
from typing import Literal

import orjson
import pytest
import structlog

from maestro import logs
from maestro.settings.model import LogSettings


@pytest.fixture(autouse=True)
def _configured_again() -> Iterator[None]:
    yield
    structlog.reset_defaults()


class Full(io.StringIO):
    """A stream on a full disk."""

    def write(self, _text: str) -> int:
        raise OSError(errno.ENOSPC, "no space left on device")

    def flush(self) -> None:
        raise OSError(errno.ENOSPC, "no space left on device")


def test_a_full_disk_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", Full())
    logs.configure(LogSettings())
    logs.get(system="sysA").error("told", reason="why")


def test_a_text_of_a_line_is_cut(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(LogSettings(format="json"))
    with logs.correlated(instance="i" * 1_000_000):
        logs.get(system="sysA").info("told")
    line = capsys.readouterr().err
    assert len(line) < 2 * logs.SHOWN
    assert orjson.loads(line)["instance"].endswith("…")


def test_lines_are_json(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(LogSettings(format="json"))
    logs.get(system="sysÄ").info("told", number=7)
    line = capsys.readouterr().err
    assert '"system": "sysÄ"' in line
    assert '"number": 7' in line
    assert line.count("\n") == 1


STEERS = "\x1b[2J\x07\n\x7f\x9b31m\u2028\u202e"


@pytest.mark.parametrize("format_", ["json", "console"])
def test_what_came_from_outside_steers_no_terminal_and_begins_no_line(
    format_: Literal["json", "console"], capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure(LogSettings(format=format_))
    logs.get(system="sysÄ").warning(f"units were left out: {STEERS}", instance=f"i{STEERS}")
    line = capsys.readouterr().err
    assert line.endswith("\n")
    assert line[:-1].isprintable()
    assert "sysÄ" in line
    if format_ == "json":
        told = orjson.loads(line)
        assert (told["event"], told["instance"]) == (f"units were left out: {STEERS}", f"i{STEERS}")
