"""The sandbox and the demo as processes: they start, say where they are, and leave nothing behind."""

import asyncio
import io
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import orjson
import pytest
from pydantic import SecretStr
from rich.console import Console

from maestro.broker import open_broker
from maestro.broker.base import Broker
from maestro.sandbox.demo import run as demo
from maestro.sandbox.demo.report import Report
from maestro.sandbox.demo.run import perform
from maestro.sandbox.demo.stage import ProcessDied, Stage
from maestro.sandbox.demo.story import Plan
from maestro.sandbox.demo.waiting import until
from maestro.sandbox.options import BrokerKind
from maestro.sandbox.quotes.history import load_history
from maestro.sandbox.quotes.story import make_plan
from maestro.settings.servers import BrokerSettings
from tests.unit.sandbox.worlds import SYSTEM, Silent, new_world

ROOT = Path(__file__).parents[2]
SMALL = ("tests.unit.sandbox.small_serve",)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def plan() -> Plan:
    return make_plan(load_history(), ("USD",), (2008,))


@pytest.fixture(params=["embedded", pytest.param("rabbitmq", marks=pytest.mark.rabbitmq)])
async def broker(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Broker]:
    if request.param == "rabbitmq":
        settings = BrokerSettings(kind="rabbitmq", url=SecretStr(request.getfixturevalue("vhost_url")))
    else:
        settings = BrokerSettings()
    opened = open_broker(settings, tmp_path)
    await opened.start()
    yield opened
    await opened.close()


async def test_the_story_on_a_real_broker(broker: Broker, plan: Plan, tmp_path: Path) -> None:
    async with new_world(tmp_path, broker=broker) as world:
        report = await perform(plan, SYSTEM, world.services, Silent(), finds_late=False)
    assert report.equal
    computed_meanwhile = 3 + 2  # conversions, amounts
    assert report.counters.waiting == len(plan.late) + computed_meanwhile


async def test_the_sandbox_process_says_where_it_is_and_stops_when_told(tmp_path: Path) -> None:
    ready_file = tmp_path / "ready.json"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "maestro.sandbox", "--system", "s1", "--system", "s2", "--free-ports",
        "--ready-file", str(ready_file), "--broker-dir", str(tmp_path / "broker"),
        cwd=ROOT, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:

        async def ready() -> bool:
            assert process.returncode is None
            return ready_file.exists()

        await until(ready, "the sandbox", 20)
        addresses = orjson.loads(ready_file.read_bytes())
        assert addresses["pid"] == process.pid
        url = "http://{host}:{port}/core/system?filter=".format(**addresses["api_core"])
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            assert [system["id"] for system in await answer.json()] == ["s1", "s2"]
    finally:
        process.send_signal(signal.SIGTERM)
        output, _ = await asyncio.wait_for(process.communicate(), 10)
    assert process.returncode == 0
    assert orjson.loads(output) == addresses


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--system", "wait_x"], b"system: must not begin with"),
        (["--broker", "rabbitmq"], b"where is RabbitMQ?"),
    ],
)
def test_the_sandbox_process_refuses_what_it_cannot_do(arguments: list[str], said: bytes) -> None:
    environ = {key: value for key, value in os.environ.items() if not key.startswith(("RABBITMQ_", "MAESTRO_"))}
    command = [sys.executable, "-m", "maestro.sandbox", *arguments]
    ended = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, timeout=30, check=False)
    assert ended.returncode == 2
    assert said in ended.stderr


class Staged:
    """Runs the demo with the small Maestro, and remembers its stage."""

    def __init__(self, plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
        self.plan = plan
        self.stages: list[Stage] = []
        self.said = io.StringIO()
        staged = self

        class Remembered(Stage):
            def __init__(self, *arguments: object, **options: object) -> None:
                super().__init__(*arguments, **options)
                staged.stages.append(self)

        monkeypatch.setattr(demo, "Stage", Remembered)

    async def run(self, *, keep: bool = False) -> Report:
        console = Console(file=self.said)
        return await demo.run(self.plan, BrokerKind.EMBEDDED, console, keep=keep, serve=SMALL, kind=True)

    async def up(self) -> Stage:
        async def both() -> bool:
            return bool(self.stages) and len(self.stages[0].pids) == 2

        await until(both, "both processes", 30)
        return self.stages[0]


@pytest.fixture
def staged(plan: Plan, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Staged:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return Staged(plan, monkeypatch)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def assert_gone(stage: Stage) -> None:
    assert [pid for pid in stage.pids.values() if alive(pid)] == []


async def test_the_demo_ends_equal_and_leaves_nothing_behind(staged: Staged) -> None:
    report = await staged.run()
    assert report.equal
    assert_gone(staged.stages[0])
    assert not staged.stages[0].data_dir.exists()


@pytest.mark.parametrize("moment", ["starting", "playing"])
async def test_an_interrupted_demo_leaves_nothing_behind(staged: Staged, moment: str) -> None:
    running = asyncio.create_task(staged.run())
    stage = await staged.up()
    if moment == "playing":

        async def played() -> bool:
            return (stage.data_dir / "sandbox" / "domain.sqlite3").stat().st_size > 0

        await until(played, "the domain", 10)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert_gone(stage)
    assert not stage.data_dir.exists()


@pytest.mark.parametrize("name", ["maestro", "sandbox"])
async def test_a_process_that_dies_ends_the_demo_at_once(staged: Staged, name: str) -> None:
    running = asyncio.create_task(staged.run())
    stage = await staged.up()
    os.kill(stage.pids[name], signal.SIGKILL)
    with pytest.raises(ProcessDied, match=name) as caught:
        await asyncio.wait_for(running, 20)
    assert str(stage.data_dir) in caught.value.__notes__[0]
    assert_gone(stage)


async def test_keep_leaves_both_running_and_one_correction_to_decide(staged: Staged) -> None:
    report = await staged.run(keep=True)
    assert report.equal
    [stage] = staged.stages
    try:
        assert all(alive(pid) for pid in stage.pids.values())
        async with aiohttp.ClientSession() as session:
            async with session.get(stage.maestro_url + "/readyz") as answer:
                assert answer.status == 200
            async with session.get(f"{stage.maestro_url}/v1.0.0/reprocessing/{SYSTEM}/pending") as answer:
                [held] = await answer.json()
        assert held["events"]
        said = [line.strip() for line in staged.said.getvalue().splitlines()]
        assert f"export MAESTRO_URL={stage.maestro_url}" in said
        assert any(line.partition(" #")[0].endswith(f"maestro approve {held['id']}   ") for line in said)
        assert f"stop Maestro and the sandbox with: kill {stage.pids['maestro']} {stage.pids['sandbox']}" in said
        assert f"and when they have ended: rm -r {stage.data_dir}" in said
    finally:
        await stage.end(None)
    assert_gone(stage)


async def test_processes_that_escaped_are_found_by_their_data_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    stage = Stage(SYSTEM, BrokerKind.EMBEDDED, {})
    escaped = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "import time; print(flush=True); time.sleep(60)", start_new_session=True,
        env={"MAESTRO_DATA_DIR": str(stage.data_dir / "maestro")}, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    await asyncio.wait_for(escaped.stdout.readline(), 10)
    await stage.end(None)
    assert await asyncio.wait_for(escaped.wait(), 10) == -signal.SIGKILL
