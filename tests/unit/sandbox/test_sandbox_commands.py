import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from maestro.sandbox import commands, launching
from maestro.sandbox.demo.clients import Counters
from maestro.sandbox.demo.player import Decided
from maestro.sandbox.demo.report import Report
from maestro.sandbox.demo.story import Plan
from maestro.sandbox.demo.truth import Difference, expected
from maestro.sandbox.demo.waiting import GaveUp
from maestro.sandbox.options import BrokerKind

APP = typer.Typer()
APP.command()(commands.demo)
COMMON = {"corrections", "waited", "replayed", "cascaded", "equal", "seconds", "events", "stale", "doubled", "late"}
FIELDS = COMMON | {"currencies", "years", "averages", "rates", "conversions", "totals"}
METER_FIELDS = COMMON | {"meters", "days", "hourly_totals", "daily_totals", "settlements", "bills", "credits"}
WRONG = Difference("master", "rate", "USD", "2008", 1.5, 1.4)


def report(
    plan: Plan, *, differences: tuple[Difference, ...] = (), status: str = "finished",
    stale: tuple[str, ...] = (), doubled: tuple[str, ...] = (),
) -> Report:  # fmt: skip
    ends = ["skipped" if not one.approved else status for one in plan.corrections]
    decided = tuple(Decided(one, {"status": end}) for one, end in zip(plan.corrections, ends, strict=True))
    return Report(
        plan=plan, decided=decided, results=expected(plan, "master"), differences=differences,
        misfires=launching.play.misfires(plan.story, decided), stale=stale, doubled=doubled,
        counters=Counters(10, 5, 3), late=(), events=300, seconds=1.23456,
    )  # fmt: skip


Player = Callable[[Callable[[Plan], Report]], None]


@pytest.fixture
def plays(monkeypatch: pytest.MonkeyPatch) -> Player:
    def replace(outcome: Callable[[Plan], Report]) -> None:
        async def run(plan: Plan, broker: BrokerKind, console: Console, *, keep: bool) -> Report:
            console.print("the story")
            return outcome(plan)

        monkeypatch.setattr(launching.play, "run", run)

    return replace


def demo(*arguments: str) -> Any:
    return CliRunner().invoke(APP, ["--currencies", "USD", "--years", "2008", *arguments])


def meters(*arguments: str) -> Any:
    return CliRunner().invoke(APP, ["--story", "meters", *arguments])


def test_json_is_one_object_and_nothing_else(plays: Player) -> None:
    plays(report)
    ended = demo("--json")
    assert (ended.exit_code, ended.stderr) == (0, "the story\n")
    shown = orjson.loads(ended.stdout)
    assert set(shown) == FIELDS
    assert (shown["waited"], shown["replayed"], shown["cascaded"], shown["events"]) == (10, 5, 3, 300)
    assert shown["equal"] is True
    assert set(shown["averages"]["USD"]) == {f"2008-{month:02d}" for month in range(1, 13)}
    assert set(shown["rates"]["USD"]) == {"2008"}
    assert all(set(one) == {"currency", "date", "old", "new", "decision", "branch"} for one in shown["corrections"])


def test_the_second_story_tells_of_meters(plays: Player) -> None:
    plays(report)
    ended = meters("--meters", "2", "--days", "1", "--json")
    assert (ended.exit_code, ended.stderr) == (0, "the story\n")
    shown = orjson.loads(ended.stdout)
    assert set(shown) == METER_FIELDS
    assert (shown["meters"], shown["days"]) == (["household-1", "bakery-1"], ["2024-03-01"])
    assert set(shown["hourly_totals"]["bakery-1"]) == {f"2024-03-01T{hour:02d}" for hour in range(24)}
    assert set(shown["settlements"]["north"]) == {"2024-03"}
    assert all(set(one) == {"meter", "at", "old", "new", "decision", "branch"} for one in shown["corrections"])


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--years", "2008"), "years: the story meters has no such option; it has meters, days"),
        (("--meters", "0"), "meters: 0 is not from 1 to 50"),
        (("--impact", "1001"), "impact: 1001 is not from 0 to 1000"),
    ],
)
def test_an_option_that_does_not_fit_the_story_is_named(arguments: tuple[str, ...], named: str) -> None:
    ended = meters(*arguments)
    assert (ended.exit_code, ended.stdout, ended.stderr) == (2, "", f"{named}\n")


def test_the_story_is_on_standard_output_without_it(plays: Player) -> None:
    plays(report)
    ended = demo()
    assert (ended.stdout, ended.stderr) == ("the story\n", "")


@pytest.mark.parametrize(
    "wrong", [{"differences": (WRONG,)}, {"status": "failure"}, {"stale": ("i1 on master",)}, {"doubled": ("i1",)}]
)
def test_a_wrong_end_is_exit_1(plays: Player, wrong: dict[str, Any]) -> None:
    plays(lambda plan: report(plan, **wrong))
    ended = demo("--json")
    assert ended.exit_code == 1
    assert orjson.loads(ended.stdout)["equal"] is False


def test_no_end_is_exit_1_and_a_line(plays: Player) -> None:
    def give_up(_plan: Plan) -> Report:
        raise ExceptionGroup("tasks", [GaveUp("still waiting for the moon")])

    plays(give_up)
    ended = demo("--json")
    assert (ended.exit_code, ended.stdout) == (1, "")
    assert "still waiting for the moon" in ended.stderr


@pytest.mark.parametrize("arguments", [("--years", "1950"), ("--years", "x"), ("--currencies", "XXX")])
def test_an_impossible_wish_is_exit_2(arguments: tuple[str, ...]) -> None:
    ended = demo(*arguments, "--json")
    assert (ended.exit_code, ended.stdout) == (2, "")
    assert ended.stderr.startswith(arguments[0].removeprefix("--")) or "no quote" in ended.stderr


def test_a_second_sandbox_is_told_which_port_is_taken(tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(commands.sandbox)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        words = ("--broker", "embedded", "--broker-dir", str(tmp_path / "broker"), "--maestro", "http://127.0.0.1:9")
        ran = CliRunner().invoke(app, [*words, "--process-memory-port", port])
    said = f"port {port} of 127.0.0.1 is taken; another sandbox may be running: end it, or give --free-ports"
    assert (ran.exit_code, ran.output) == (1, f"the sandbox cannot start: {said}\n")
