"""Maestro is killed within commits; Domain creates rows anew at each persist: no row comes twice, no event is lost.

A commit goes on at Domain when its caller dies, so it may be stored long after the next life has begun.
"""

import asyncio
import os
import signal
from collections import Counter
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest

from tests.faults.figures import note
from tests.faults.killing import COMMITS_AGAIN
from tests.support.procs import processes
from tests.support.stage import Stage, event, eventually, stage

SYSTEMS = tuple(f"k{number}" for number in range(8))
#: Seconds that a commit takes, and how often each system is killed.
COMMIT = 0.4
KILLS = 25


def creating(it: Stage, instance: str) -> None:
    """Have an instance's commit create a row and change another."""
    it.siblings.entities[instance] = [
        {"id": instance, "_metadata": {"type": "conta", "changeTrack": "create", "branch": "master"}},
        {"id": "total", "_metadata": {"type": "total", "changeTrack": "update", "branch": "master"}},
    ]


async def killed(it: Stage, system: str, dice: Random) -> None:
    """Kill a system's actor at a random moment of its next commits."""
    own = [call for call in it.siblings.calls("commit") if call.instance_id.startswith(f"{system}.")]

    def called() -> bool:
        calls = it.siblings.calls("commit")
        return sum(call.instance_id.startswith(f"{system}.") for call in calls) > len(own)

    await it.siblings.wait_for(called, COMMITS_AGAIN)
    await asyncio.sleep(dice.uniform(0.0, 1.2 * COMMIT))
    old = processes(it.folder / "data").get(f"system {system}")
    if old is not None:
        with suppress(ProcessLookupError):
            os.kill(old.pid, signal.SIGKILL)


async def settled(it: Stage, instances: list[str]) -> None:
    async def all_committed() -> bool:
        return set(instances) <= set(it.siblings.commits)

    await eventually(all_committed, "every instance is committed", 180.0)
    for system in SYSTEMS:

        async def at_rest(system: str = system) -> bool:
            found = await it.get(f"/v1.0.0/systems/{system}", ok=False)
            return bool(found.get("inbox") == 0 and found.get("waiting") == 0 and not found.get("stalled"))

        await eventually(at_rest, f"{system} is at rest", 120.0)


async def run(tmp_path: Path, dice: Random, kills: int) -> None:
    async with stage(tmp_path, "", SYSTEMS, MAESTRO_LOG__LEVEL="warning") as it:
        it.siblings.slow["commit"] = COMMIT
        it.siblings.map_usable_after = 3.0
        instances = []
        for round_ in range(kills):
            for system in SYSTEMS:
                for nth in range(2):
                    instance = f"{system}.{round_}.{nth}"
                    creating(it, instance)
                    instances.append(instance)
                    await it.publish(event(instance, system), system=system)
            await asyncio.gather(*(killed(it, system, dice) for system in SYSTEMS))
        it.siblings.slow.clear()
        await settled(it, instances)
        assert it.siblings.doubled == []
        made = Counter(it.siblings.commits)
        assert {instance: count for instance, count in made.items() if count > 1} == {}
        for system in SYSTEMS:
            assert (await it.get(f"/v1.0.0/systems/{system}/doubts"))["doubts"] == []
        note("killed within commits", kills=kills * len(SYSTEMS), instances=len(instances), doubled=0)


@pytest.mark.quick
async def test_a_few_kills_within_commits(tmp_path: Path, dice: Random) -> None:
    await run(tmp_path, dice, 2)


@pytest.mark.timeout(1200)
async def test_two_hundred_kills_within_commits(tmp_path: Path, dice: Random) -> None:
    await run(tmp_path, dice, KILLS)
