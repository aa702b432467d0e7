"""kill -9 of single processes, at the points in the code where it hurts most, and at random, under load."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from random import Random

import pytest

from maestro.actors.processes import Process
from tests.faults import invariants
from tests.faults.figures import note
from tests.faults.killing import all_gone, answers, commits_again, replaced
from tests.faults.load import Load
from tests.faults.watching import Watcher, processes_of
from tests.support.procs import kill, processes
from tests.support.stage import Stage, eventually, stage

pytestmark = [pytest.mark.rabbitmq, pytest.mark.timeout(600)]
SYSTEMS = ("s0", "s1", "s2")
#: Events of each system: at least so many, and more for as long as there are faults to come, but not without end.
EVENTS, MOST, SLICE = 120, 2000, 5
#: Points of a system's actor; each is passed often.
SYSTEM_POINTS = (
    "system.before_store_commit", "system.after_store_commit", "system.after_sibling_call", "system.before_ack",
)  # fmt: skip
OTHER_POINTS = (
    "ingress.after_park_confirmed@ingress", "ingress.before_ack@ingress", "broker.before_confirm@ingress",
    "broker.before_confirm@cascade", "cascade.before_done@cascade", "supervisor.after_fork@supervisor",
)  # fmt: skip


class Faults:
    """The faults of a running Maestro, changed while it runs."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "faults"
        self.setting = f"@{self._file}"

    def arm(self, *faults: str) -> None:
        """Replace the faults, in one step."""
        scratch = self._file.with_suffix(".new")
        scratch.write_text("\n".join(faults))
        scratch.replace(self._file)

    @property
    def fired(self) -> list[str]:
        """The kills that happened."""
        try:
            return self._file.with_name("faults.fired").read_text().splitlines()
        except FileNotFoundError:
            return []

    async def fire(self, fault: str) -> float:
        """Arm one fault more, and wait until it happened; return when (monotonic seconds)."""
        self.arm(*self.fired, fault)

        async def there() -> bool:
            return fault in self.fired

        await eventually(there, f"{fault} happens", 120.0)
        return time.monotonic()


@asynccontextmanager
async def under_load(tmp_path: Path, url: str, dice: Random, crashes: int, **environ: str) -> AsyncIterator[Stage]:
    """A stage on which work flows for as long as the block takes; all invariants are checked after it."""
    load = Load(SYSTEMS, MOST, dice, impacting=0.1)
    async with stage(tmp_path, url, SYSTEMS, **load.environ, **environ, MAESTRO_LOG__LEVEL="warning") as it:
        load.prepare(it)
        it.siblings.latency = 0.02
        async with Watcher(it, list(SYSTEMS)) as watcher:
            deciding = asyncio.create_task(load.decide(it))
            enough = asyncio.Event()
            publishing = asyncio.create_task(flow(it, load, enough))
            await it.siblings.wait_for(lambda: len(it.siblings.commits) >= 5 * len(SYSTEMS), 60)
            yield it
            enough.set()
            await publishing
            load.end()
            await load.settled(it)
            deciding.cancel()
        figures = await invariants.check(it, load, watcher, crashes=crashes)
        note(os.environ["PYTEST_CURRENT_TEST"].partition("::")[2], **figures)


async def flow(it: Stage, load: Load, enough: asyncio.Event) -> None:
    """Publish, a few at a time, until there is enough: a slow machine needs more than a quick one."""
    published = 0
    while published < EVENTS * len(SYSTEMS) or not enough.is_set():
        some = await load.publish(it, SLICE)
        if not some:
            return
        published += some
        await asyncio.sleep(0.7)


async def works_again(it: Stage, system: str, killed_at: float) -> float:
    """Wait until a system commits again; return after how many seconds it did."""
    await commits_again(it, system, it.siblings.count("commit"))
    return round(time.monotonic() - killed_at, 2)


async def test_a_system_is_killed_at_each_point_around_its_commits(
    tmp_path: Path, vhost_url: str, dice: Random
) -> None:
    faults = Faults(tmp_path)
    times = {}
    async with under_load(tmp_path, vhost_url, dice, 2 * len(SYSTEM_POINTS), MAESTRO_FAULTPOINTS=faults.setting) as it:
        for point in SYSTEM_POINTS:
            for system in SYSTEMS[:2]:
                at = await faults.fire(f"{point}@{system}:kill:{dice.randint(1, 12)}")
                times[f"{point}@{system}"] = await works_again(it, system, at)
    note("system killed at points", seconds=times)


@pytest.mark.quick
async def test_a_system_is_killed_before_it_answers_a_decision(tmp_path: Path, vhost_url: str, dice: Random) -> None:
    """The admin's answer is lost; the decision is not, and asking again says who decided."""
    faults = Faults(tmp_path)
    async with under_load(tmp_path, vhost_url, dice, 2, MAESTRO_FAULTPOINTS=faults.setting) as it:
        await faults.fire("system.before_reply@s1:kill:1")
        await faults.fire("system.before_reply@s1:kill:2")
        await answers(it, ["s1"])


async def test_systems_are_killed_at_random(tmp_path: Path, vhost_url: str, dice: Random) -> None:
    times = []
    async with under_load(tmp_path, vhost_url, dice, 10) as it:
        for _ in range(10):
            system = dice.choice(SYSTEMS)
            old = processes(tmp_path / "data")[f"system {system}"]
            with suppress(AssertionError):  # killed a moment ago, and not replaced yet
                kill(old)
            at = time.monotonic()
            await replaced(it, f"system {system}", old)
            await answers(it, [system])
            times.append(round(time.monotonic() - at, 2))
            await asyncio.sleep(dice.uniform(0, 0.5))
    note("systems killed at random", seconds=times)


@pytest.mark.parametrize("point", OTHER_POINTS)
async def test_another_process_is_killed_at_a_point(tmp_path: Path, vhost_url: str, dice: Random, point: str) -> None:
    faults = Faults(tmp_path)
    async with under_load(tmp_path, vhost_url, dice, 6, MAESTRO_FAULTPOINTS=faults.setting) as it:
        times = []
        for number in (1,) if point.startswith("supervisor") else (1, 2):
            if point.startswith("supervisor"):
                kill(processes(tmp_path / "data")["system s0"])
            at = await faults.fire(f"{point}:kill:{number}")
            await answers(it, SYSTEMS)
            await works_again(it, "s0", at)
            times.append(round(time.monotonic() - at, 2))
    note(f"killed at {point}", seconds=times)


@pytest.mark.parametrize("name", ["ingress", "cascade", "supervisor"])
async def test_an_idle_process_is_killed(tmp_path: Path, vhost_url: str, dice: Random, name: str) -> None:
    load = Load(SYSTEMS, 10, dice, impacting=0.3)
    async with stage(tmp_path, vhost_url, SYSTEMS, **load.environ) as it:
        load.prepare(it)
        async with Watcher(it, list(SYSTEMS)) as watcher:
            old = processes(tmp_path / "data")[name]
            kill(old)
            at = time.monotonic()
            await replaced(it, name, old)
            await answers(it, SYSTEMS)
            note(f"idle {name} killed", seconds=round(time.monotonic() - at, 2))
            deciding = asyncio.create_task(load.decide(it))
            await load.publish(it, 10)
            await load.settled(it)
            deciding.cancel()
        await invariants.check(it, load, watcher, crashes=1)


@pytest.mark.parametrize("name", ["admin", "main"])
async def test_the_root_is_killed_and_started_again_in_a_run(
    tmp_path: Path, vhost_url: str, dice: Random, name: str
) -> None:
    """Of the old run nothing is left, and the new one has processes of its own only."""
    times = []
    async with under_load(tmp_path, vhost_url, dice, 3) as it:
        for _ in range(3):
            old = processes(tmp_path / "data")
            at = time.monotonic()
            os.kill(old[name].pid, signal.SIGKILL)
            if name == "main":
                await all_gone(it)
                await it.start()
            else:
                await replaced(it, name, old.pop(name))
                old.pop("main")
            await answers(it, SYSTEMS)
            times.append(round(time.monotonic() - at, 2))
            await eventually(lambda old=old: _none_lives(old), "nothing of the old run is left", 15.0)
            await eventually(lambda: _no_strays(it), "no process is left that is not on record", 15.0)
    note(f"{name} killed under load", seconds=times)


async def _none_lives(old: dict[str, Process]) -> bool:
    return not any(one.alive for one in old.values())


async def _no_strays(it: Stage) -> bool:
    """Whether every process of the data folder is on record, save the host that the actor system was forked from."""
    recorded = {one.pid for one in processes(it.folder / "data").values()}
    found = await asyncio.to_thread(processes_of, it.folder / "data")
    return len(found - recorded) <= 1
