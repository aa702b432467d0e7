"""I8 on real processes: the sandbox's data is right in the end, though Maestro's processes are killed all the time."""

import asyncio
import io
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Self

import aiohttp
import pytest
from rich.console import Console

from maestro.actors.processes import Process
from maestro.sandbox.demo import clients, player
from maestro.sandbox.demo import run as demo
from maestro.sandbox.demo.stage import Stage
from maestro.sandbox.options import BrokerKind
from maestro.sandbox.quotes.history import load_history
from maestro.sandbox.quotes.story import make_plan
from tests.faults.figures import note
from tests.faults.killing import ANSWERS_AGAIN, COMMITS_AGAIN
from tests.support.procs import kill, processes
from tests.support.stage import COMMIT_SETTLE, eventually

pytestmark = [pytest.mark.rabbitmq, pytest.mark.timeout(900)]
#: All but the main process, whose death ends the demo.
VICTIMS = ("system", "system", "system", "ingress", "cascade", "supervisor")
#: Seconds from one victim's replacement to the next kill: most leave a commit in doubt, which takes a second to end.
PAUSE = (1.0, 4.0)
#: Seconds for which the story may stand still. A kill undoes what was waited for after the one before it; about every
#: other one comes only when no commit is in doubt any more.
STANDS_STILL = 3 * COMMITS_AGAIN


async def kill_at_random(stage: Stage, dice: Random, kills: list[str]) -> None:
    """Kill one process after the other until cancelled."""
    folder = stage.data_dir / "maestro"
    while True:
        await asyncio.sleep(dice.uniform(*PAUSE))
        if dice.random() < 0.5:
            await not_stalled(stage)
        victim = dice.choice(VICTIMS)
        for name, process in processes(folder).items():
            if name.startswith(victim):
                with suppress(AssertionError, ProcessLookupError):  # the supervisor's end took it along
                    kill(process)
                    kills.append(name)
                await replaced(folder, name, process)


async def replaced(folder: Path, name: str, process: Process) -> None:
    """Wait for the victim's replacement: on a busy machine kills by the clock would leave nothing alive."""

    async def is_replaced() -> bool:
        return processes(folder).get(name, process) != process

    await eventually(is_replaced, f"{name} is replaced", ANSWERS_AGAIN)


async def not_stalled(stage: Stage) -> None:
    """Wait until no commit is in doubt.

    That takes three times the longest commit, in one life of the system: where commits are slow, none would come to its
    end between kills every few seconds.
    """

    limit = aiohttp.ClientTimeout(5)

    async def none_is_stalled() -> bool:
        with suppress(aiohttp.ClientError, TimeoutError, KeyError):
            async with (
                aiohttp.ClientSession(timeout=limit) as session,
                session.get(f"{stage.maestro_url}/v1.0.0/systems") as answer,
            ):
                return all(one["stalled"] is None for one in await answer.json())
        return False

    await eventually(none_is_stalled, "no commit is in doubt", 120)


@pytest.mark.parametrize("broker", [BrokerKind.RABBITMQ, BrokerKind.EMBEDDED])
async def test_the_data_is_right_though_processes_are_killed(
    tmp_path: Path, vhost_url: str, dice: Random, monkeypatch: pytest.MonkeyPatch, broker: BrokerKind
) -> None:
    kills: list[str] = []
    killing: list[asyncio.Task[None]] = []

    class Haunted(Stage):
        async def __aenter__(self) -> Self:
            await super().__aenter__()
            killing.append(asyncio.create_task(kill_at_random(self, dice, kills)))
            return self

        def _maestro_environment(self) -> dict[str, str]:
            """Each kill may leave a commit in doubt, and nothing is judged before it counts as ended."""
            return {**super()._maestro_environment(), "MAESTRO_PLATFORM__COMMIT_SETTLE": str(COMMIT_SETTLE)}

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(demo, "Stage", Haunted)
    monkeypatch.setenv("MAESTRO_BROKER__URL", vhost_url)
    monkeypatch.setattr(player, "TIMEOUT", STANDS_STILL)
    monkeypatch.setattr(clients, "_LOOKS", round(ANSWERS_AGAIN / clients._PAUSE))
    began = time.monotonic()
    try:
        plan = make_plan(load_history(), ("BRL", "USD", "GBP", "JPY"), (2007, 2008, 2009))
        report = await demo.run(plan, broker, Console(file=io.StringIO()), keep=False)
    finally:
        for task in killing:
            task.cancel()
    note(
        f"the sandbox's story on {broker.value}", kills=len(kills), seconds=round(time.monotonic() - began, 1),
        events=report.events, replays=sum(len(decided.document["events"]) for decided in report.decided),
    )  # fmt: skip
    assert len(kills) >= 3
    assert report.differences == ()
    assert report.misfires == ()
    assert report.stale == ()
    assert report.doubled == ()
