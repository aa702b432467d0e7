"""kill -9 while a system is passivated, and while it is woken: each event is committed once, lock checks are right."""

import asyncio
import os
import signal
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest

from tests.faults.test_kill_one import Faults
from tests.support.procs import processes
from tests.support.stage import Stage, event, eventually, stage

pytestmark = [pytest.mark.rabbitmq, pytest.mark.timeout(600)]
SYSTEM = "sysA"
IDLE = 0.3
#: Passed by the life that is woken, before anything of the event is stored.
WAKING = ("system.before_store_open@sysA", "system.before_store_commit@sysA")
#: Passed by the life that ends.
ENDING = ("system.before_rest_mark@sysA", "system.after_rest_mark@sysA")


async def at_rest(it: Stage) -> None:
    async def there() -> bool:
        listed = await it.get("/v1.0.0/systems", ok=False)
        return listed["_status"] == 200 and [one["state"] for one in listed["list"]] == ["passivated"]

    await eventually(there, "it is passivated", 60)


async def committed(it: Stage, names: list[str]) -> None:
    await it.siblings.wait_for(lambda: len(it.siblings.commits) >= len(names), 60)
    assert it.siblings.commits == names


async def test_kills_around_passivation(tmp_path: Path, vhost_url: str, dice: Random) -> None:
    """At each point in turn, in random order: what came is committed once, in order, and the system rests again."""
    faults = Faults(tmp_path)
    faults.arm()
    environ = {"MAESTRO_ACTORS__IDLE_AFTER": str(IDLE), "MAESTRO_FAULTPOINTS": faults.setting}
    names: list[str] = []
    async with stage(tmp_path, vhost_url, **environ) as it:
        points = [*WAKING, *ENDING] * 2
        dice.shuffle(points)
        for number, point in enumerate(points):
            await at_rest(it)
            fault = f"{point}:kill"
            (tmp_path / "faults.fired").unlink(missing_ok=True)
            faults.arm(fault)
            names += [f"i{number}a", f"i{number}b"]
            for name in names[-2:]:
                await it.publish(event(name))
            await committed(it, names)
            if point in ENDING:
                await faults.fire(fault)
            assert fault in faults.fired
            answer = await it.get(f"/v1.0.0/gateway/{SYSTEM}/proceed", ok=False)
            assert answer["_status"] in (200, 503)
            faults.arm()
            names.append(f"i{number}c")
            await it.publish(event(names[-1]))
            await committed(it, names)
        await at_rest(it)
        assert (await it.get(f"/v1.0.0/gateway/{SYSTEM}/proceed", ok=False))["_status"] == 200


async def test_kills_of_the_woken_process_at_random_moments(tmp_path: Path, vhost_url: str, dice: Random) -> None:
    """An event wakes the system, whose new process is killed at once, once or twice."""
    names: list[str] = []
    async with stage(tmp_path, vhost_url, MAESTRO_ACTORS__IDLE_AFTER=str(IDLE)) as it:
        for number in range(12):
            await at_rest(it)
            names.append(f"i{number}")
            await it.publish(event(names[-1]))
            await asyncio.sleep(dice.uniform(0.0, 0.08))
            await _kill_the_system(it)
            await asyncio.sleep(dice.uniform(0.0, 0.3))
            if dice.random() < 0.3:
                await _kill_the_system(it)
            await _all_are_told(it, names)


async def _kill_the_system(it: Stage) -> None:
    one = processes(it.folder / "data").get(f"system {SYSTEM}")
    if one is not None and one.alive:
        with suppress(ProcessLookupError):
            os.kill(one.pid, signal.SIGKILL)


async def _all_are_told(it: Stage, names: list[str]) -> None:
    """Wait until the last event is committed. The kill in the middle of a call must not have it made twice."""

    async def there() -> bool:
        return names[-1] in it.siblings.commits

    await eventually(there, f"{names[-1]} is committed", 60)
    assert it.siblings.commits == names


async def test_all_actors_are_replaced_while_systems_rest(tmp_path: Path, vhost_url: str, dice: Random) -> None:
    """The supervisor's end is that of all actors: what is at rest is not started with them, and is woken as before."""
    names: list[str] = []
    async with stage(tmp_path, vhost_url, MAESTRO_ACTORS__IDLE_AFTER=str(IDLE)) as it:
        for number in range(3):
            await at_rest(it)
            os.kill(processes(it.folder / "data")["supervisor"].pid, signal.SIGKILL)
            await asyncio.sleep(dice.uniform(0.0, 0.5))
            assert (await it.get(f"/v1.0.0/gateway/{SYSTEM}/proceed", ok=False))["_status"] == 200, "by its mark"
            names.append(f"i{number}")
            await it.publish(event(names[-1]))
            await committed(it, names)
