"""Every command can be called, and the page about the command line names it, and every exit code."""

import ast
from pathlib import Path

import pytest

from maestro.cli import exits
from maestro.cli.lazy import COMMANDS

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "cli.md").read_text("utf-8")


def written() -> set[str]:
    """Return the functions that are commands of their own, as `module:function`."""
    found = set()
    for path in (ROOT / "maestro" / "cli").glob("*.py"):
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.FunctionDef) and [ast.unparse(one) for one in node.decorator_list] == ["command"]:
                found.add(f"maestro.cli.{path.stem}:{node.name}")
    return found


def of_groups() -> set[str]:
    """Return the functions that a group of commands takes in from other modules."""
    found = set()
    for one in COMMANDS.values():
        module, _, name = one.function.partition(":")
        if name == "app":
            for node in ast.parse((ROOT / f"{module.replace('.', '/')}.py").read_text("utf-8")).body:
                if isinstance(node, ast.ImportFrom):
                    found |= {f"{node.module}:{alias.name}" for alias in node.names}
    return found


def test_every_function_that_is_a_command_can_be_called() -> None:
    missing = written() - {one.function for one in COMMANDS.values()} - of_groups()
    assert not missing, "name it in maestro/cli/lazy.py"


@pytest.mark.parametrize("name", [*COMMANDS, "serve", "config", "token", "audit"])
def test_every_command(name: str) -> None:
    assert f"`maestro {name}" in PAGE


def test_every_exit_code() -> None:
    codes = [value for name, value in vars(exits).items() if name.startswith("EXIT_")]
    assert sorted(codes) == [1, 2, 3, 4, 5, 130]
    for code in codes:
        assert f"| {code} | " in PAGE
