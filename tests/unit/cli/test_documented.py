"""The page about the command line names every command and every exit code."""

from pathlib import Path

import pytest

from maestro.cli import exits
from maestro.cli.lazy import COMMANDS

PAGE = (Path(__file__).parents[3] / "docs" / "cli.md").read_text("utf-8")


@pytest.mark.parametrize("name", [*COMMANDS, "serve", "config", "token", "audit"])
def test_every_command(name: str) -> None:
    assert f"`maestro {name}" in PAGE


def test_every_exit_code() -> None:
    codes = [value for name, value in vars(exits).items() if name.startswith("EXIT_")]
    assert sorted(codes) == [1, 2, 3, 4, 5, 130]
    for code in codes:
        assert f"| {code} | " in PAGE
