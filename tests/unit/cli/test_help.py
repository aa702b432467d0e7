"""What the help and a wrong use say: each command among its like, and no mark of the library's own."""

import pytest
from typer.testing import CliRunner, Result

from maestro.cli.lazy import COMMANDS, PANELS
from maestro.cli.main import app

COLUMNS = {"COLUMNS": "200", "TERMINAL_WIDTH": "200"}


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments, env=COLUMNS)


def test_commands_are_put_together_by_what_they_are_for() -> None:
    lines = run("--help").stdout.splitlines()
    titles = [next(place for place, line in enumerate(lines) if f"─ {panel} ─" in line) for panel in PANELS]
    assert titles == sorted(titles)
    for name, one in COMMANDS.items():
        begin = titles[PANELS.index(one.panel)]
        end = next(place for place in range(begin, len(lines)) if lines[place].startswith("╰"))
        assert any(line.startswith(f"│ {name} ") for line in lines[begin:end]), name
    assert not any("─ Commands ─" in line for line in lines)


@pytest.mark.parametrize(
    ("arguments", "usage"),
    [
        (("store", "tables"), "Usage: maestro store tables [OPTIONS] SYSTEM"),
        (("stale", "--x"), "Usage: maestro stale [OPTIONS] [SYSTEM]"),
        (("errors", "redrive"), "Usage: maestro errors redrive [OPTIONS] SYSTEM [ID]..."),
        (("doubts", "list", "--x"), "Usage: maestro doubts list [OPTIONS] [SYSTEM]"),
    ],
)
def test_a_wrong_use_says_how_it_is_used(arguments: tuple[str, ...], usage: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stderr.splitlines()[0].strip() == usage


@pytest.mark.parametrize("command", ["skip", "units", "nodes", "sandbox"])
def test_no_type_is_told_of_a_flag_or_an_argument(command: str) -> None:
    shown = run(command, "--help").stdout
    assert "<bool>" not in shown
    assert "<str>" not in shown.partition("─ Options ─")[0]


def test_a_paragraph_of_the_help_is_wrapped_once() -> None:
    shown = run("sandbox", "--help").stdout
    first = next(line for line in shown.splitlines() if "It begins empty each time" in line)
    assert "which" in first or len(first.rstrip()) > 150
    assert shown.index("─ Options ─") < shown.index("push.quote.request"), "the events are at the end"


def test_nodes_outside_of_a_cluster_are_none() -> None:
    result = run("nodes")
    assert (result.exit_code, result.stdout) == (0, "this Maestro is no node of a cluster\n")
    assert run("nodes", "--json").stdout == '{"nodes": [], "unowned": []}\n'
    assert run("drain").exit_code == 2
