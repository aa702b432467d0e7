"""`maestro demo` end to end: the real Maestro, on both brokers, and nothing left behind however it ends."""

import asyncio
import io
import os
import re
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest
from rich.console import Console

from maestro.sandbox.demo import run as demo
from maestro.sandbox.demo import stage as stages
from maestro.sandbox.demo.clients import Domain, Maestro
from maestro.sandbox.demo.report import Report
from maestro.sandbox.demo.stage import ProcessDied, Stage
from maestro.sandbox.demo.story import Plan
from maestro.sandbox.demo.waiting import until
from maestro.sandbox.meters import story as meters
from maestro.sandbox.options import BrokerKind
from maestro.sandbox.quotes.history import load_history
from maestro.sandbox.quotes.story import make_plan

pytestmark = pytest.mark.slow

#: Results that rest on the value whose correction is held in the end.
IMPACT = 300


@pytest.fixture(scope="module")
def plan() -> Plan:
    return make_plan(load_history(), ("BRL", "USD"), (2008,))


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The folder that the demo's own is made in."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Iterator[list[Stage]]:
    """Gets the demo's stage when there is one; everything of it must be gone in the end."""
    made: list[Stage] = []

    class Remembered(Stage):
        def __init__(self, *arguments: object, **options: object) -> None:
            super().__init__(*arguments, **options)
            made.append(self)

    monkeypatch.setattr(demo, "Stage", Remembered)
    yield made
    assert [stages.processes_of(one.data_dir) for one in made] == [[]] * len(made)


async def play(plan: Plan, broker: BrokerKind = BrokerKind.EMBEDDED, *, keep: bool = False) -> Report:
    return await demo.run(plan, broker, Console(file=io.StringIO()), keep=keep)


async def playing(made: list[Stage]) -> Stage:
    """Wait until quotes are being committed."""

    async def committing() -> bool:
        if not made or "domain" not in made[0].services:
            return False
        async with aiohttp.ClientSession() as session:
            url = f"{made[0].services['domain']}/entities/quote/count?systemId={made[0]._system}"
            async with session.get(url) as answer:
                return (await answer.json())["count"] > 0

    await until(committing, "quotes to be committed", 60)
    return made[0]


def left_in(folder: Path) -> list[Path]:
    return list(folder.glob("maestro-demo-*"))


@pytest.fixture(scope="module")
def readings() -> Plan:
    return meters.make_plan(2, 1, impact=IMPACT)


def check(report: Report, plan: Plan) -> None:
    assert report.differences == ()
    assert report.equal
    assert (report.stale, report.doubled) == ((), ())
    assert sum(len(document["events"]) for document in report.late) >= 3
    assert report.counters.waiting >= len(plan.late)
    assert report.counters.replayed > report.counters.cascaded > 0


async def test_the_second_story_ends_equal_and_leaves_a_correction_held_that_impacts_hundreds(
    readings: Plan, stage: list[Stage]
) -> None:
    """As the first story: no rows twice, nothing stale that is not listed. Then the held correction is approved."""
    told = io.StringIO()
    report = await demo.run(readings, BrokerKind.EMBEDDED, Console(file=told), keep=True)
    [made] = stage
    try:
        check(report, readings)
        assert {"hourly", "daily", "settlement", "bill", "credit"} == set(report.results)
        async with aiohttp.ClientSession() as session:
            maestro = Maestro(session, made.maestro_url)
            [held] = await maestro.pending(readings.story.system)
            assert len(held["events"]) > IMPACT
            await maestro.decide(held["id"], "approve", "ana")

            async def ended() -> bool:
                return (await maestro.document(held["id"]))["status"] == "finished"

            await until(ended, "hundreds of replays", 240)
            domain = Domain(session, made.services["domain"])
            assert (await domain.doubled(), await domain.stale()) == ([], [])
            [skipped] = [one for one in readings.corrections if not one.approved]
            bills = {row["name"]: row["value"] for row in await domain.rows(readings.story.system, "bill", "master")}
            assert {one.name: bills[one.name] for one in skipped.just_before} == {
                one.name: one.factor * skipped.new for one in skipped.just_before
            }
    finally:
        await made.end(None)


@pytest.mark.rabbitmq
async def test_the_demo_on_rabbitmq_leaves_nothing_behind(
    plan: Plan, stage: list[Stage], folder: Path, vhost_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAESTRO_BROKER__URL", vhost_url)
    check(await play(plan, BrokerKind.RABBITMQ), plan)
    assert left_in(folder) == []


async def test_an_interrupted_demo_leaves_nothing_behind(plan: Plan, stage: list[Stage], folder: Path) -> None:
    running = asyncio.create_task(play(plan))
    await playing(stage)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert left_in(folder) == []


async def test_a_killed_maestro_ends_the_demo_and_its_actors(plan: Plan, stage: list[Stage]) -> None:
    running = asyncio.create_task(play(plan))
    made = await playing(stage)
    os.kill(made.pids["maestro"], signal.SIGKILL)
    with pytest.raises(ProcessDied, match="maestro ended"):
        await asyncio.wait_for(running, 60)


async def test_the_demo_on_the_embedded_broker_and_keep_leaves_it_running(plan: Plan, stage: list[Stage]) -> None:
    told = io.StringIO()
    report = await demo.run(plan, BrokerKind.EMBEDDED, Console(file=told), keep=True)
    [made] = stage
    try:
        check(report, plan)
        assert re.search(r"outcome of the largest run: \d+ values changed, largest \+10\.0 %", told.getvalue())
        assert f"  {made.maestro_url}/#/reprocessing/" in told.getvalue()
        async with aiohttp.ClientSession() as session:
            for url in (f"{made.maestro_url}/readyz", f"{made.services['api_core']}/core/system?filter="):
                async with session.get(url) as answer:
                    assert answer.status == 200
    finally:
        await made.end(None)
