"""One system's actor is stopped where it stands (SIGSTOP) with work for it: the others go on, and it is replaced."""

import asyncio
import os
import signal
import time
from pathlib import Path
from random import Random
from statistics import quantiles

import pytest

from tests.faults import invariants
from tests.faults.figures import note
from tests.faults.killing import replaced
from tests.faults.load import Load
from tests.faults.watching import Check, Watcher
from tests.support.procs import processes
from tests.support.stage import stage

pytestmark = [pytest.mark.rabbitmq, pytest.mark.alone, pytest.mark.timeout(400)]
SYSTEMS = ("s0", "s1", "s2", "s3")
FROZEN, OTHERS = "s0", SYSTEMS[1:]
#: How much slower the slowest hundredth of the others' lock checks may get; and what is no slowness at all (seconds).
SLOWER, UNNOTICED = 2.0, 0.1


def p99(checks: list[Check]) -> float:
    return quantiles([one.took for one in checks], n=100)[-1]


@pytest.mark.parametrize(
    ("replace_after", "seconds", "events"),
    [pytest.param(5, 15, 150, id="replaced soon"), pytest.param(20, 60, 520, id="60 s")],
)
async def test_a_frozen_system_disturbs_nobody(
    tmp_path: Path, vhost_url: str, dice: Random, replace_after: int, seconds: int, events: int
) -> None:
    load = Load(SYSTEMS, events, dice, impacting=0.01)
    environ = load.environ | {"MAESTRO_ACTORS__REPLACE_AFTER": str(replace_after), "MAESTRO_LOG__LEVEL": "warning"}
    async with stage(tmp_path, vhost_url, SYSTEMS, **environ) as it:
        load.prepare(it)
        async with Watcher(it, list(SYSTEMS)) as watcher:
            deciding = asyncio.create_task(load.decide(it))
            await load.publish(it, 20)
            await load_is_at_work(load)
            calm = {system: len(watcher.checks[system]) for system in OTHERS}
            old = processes(tmp_path / "data")[f"system {FROZEN}"]
            os.kill(old.pid, signal.SIGSTOP)
            frozen_at = time.monotonic()
            publishing = asyncio.create_task(load.publish(it, events))
            new = asyncio.create_task(replaced(it, f"system {FROZEN}", old, seconds + 60.0))
            await it.siblings.wait_for(lambda: others_done(load, it.siblings.commits), 120)
            others_took = time.monotonic() - frozen_at
            await publishing
            await new
            recovered = time.monotonic() - frozen_at
            await load.settled(it, 120.0)
            deciding.cancel()
        before = [one for system in OTHERS for one in watcher.checks[system][: calm[system]]]
        after = [one for system in OTHERS for one in watcher.checks[system][calm[system] :]]
        assert all(one.status in (200, 403) for one in after), "the others' checks are answered all the time"
        assert p99(after) <= max(UNNOTICED, SLOWER * p99(before))
        figures = await invariants.check(it, load, watcher, crashes=1)
    note(
        f"frozen, replaced after {replace_after} s", recovered=round(recovered, 2), others_done=round(others_took, 2),
        p99_before=round(p99(before), 4), p99_frozen=round(p99(after), 4), **figures,
    )  # fmt: skip


async def load_is_at_work(load: Load) -> None:
    """Give the checks of a calm Maestro some seconds, to compare with."""
    assert load.accepted
    await asyncio.sleep(4)


def others_done(load: Load, commits: list[str]) -> bool:
    return {name for system in OTHERS for name in load.plans[system].expected} <= {
        name.partition("#")[0] for name in commits
    }
