"""Kills of Maestro's processes, and what must be so afterwards."""

import asyncio
import os
import signal
from collections.abc import Iterable
from contextlib import suppress
from random import Random

import aiohttp

from maestro.actors.processes import Process
from maestro.rules.visibility import TEXT_COMES_WITHIN
from tests.faults.watching import processes_of
from tests.support.procs import processes
from tests.support.stage import COMMIT_SETTLE, Stage, eventually

#: Seconds until a process that was killed is replaced and the systems answer again. An idle machine takes less than
#: five; a busy one of two cores may need half a minute for the imports alone.
ANSWERS_AGAIN = 60.0
#: Seconds until a system whose process was killed commits again. By the rules it commits nothing before a commit in
#: doubt counts as ended, nor before a status text whose answer was cut off has come, if it comes at all.
COMMITS_AGAIN = ANSWERS_AGAIN + COMMIT_SETTLE + TEXT_COMES_WITHIN
#: Seconds until every process of a Maestro whose main process was killed must be gone.
ALL_GONE = 10.0


def kill_everything(it: Stage, dice: Random) -> None:
    """SIGKILL every process of Maestro, in any order, without a pause."""
    pids = list(processes_of(it.folder / "data"))
    dice.shuffle(pids)
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


async def all_gone(it: Stage) -> None:
    """Wait until no process is left, orphans included, and reap the main one."""
    assert it.process is not None
    await it.process.wait()

    async def there() -> bool:
        return not await asyncio.to_thread(processes_of, it.folder / "data")

    await eventually(there, "no process of Maestro is left", ALL_GONE)


async def replaced(it: Stage, name: str, old: Process, patience: float = ANSWERS_AGAIN) -> Process:
    """Wait until an actor's process is another one; return that."""

    async def there() -> Process | None:
        found = processes(it.folder / "data").get(name)
        return found if found and found.pid != old.pid and found.alive else None

    found: Process = await eventually(there, f"{name} is replaced", patience)
    return found


async def answers(it: Stage, systems: Iterable[str]) -> None:
    """Wait until every system's actor answers."""
    for system in systems:
        await eventually(lambda system=system: _answers(it, system), f"{system} answers", ANSWERS_AGAIN)


async def _answers(it: Stage, system: str) -> bool:
    try:
        return (await it.get(f"/v1.0.0/systems/{system}", ok=False))["_status"] == 200
    except (aiohttp.ClientError, TimeoutError):
        return False


async def commits_again(it: Stage, system: str, since: int) -> None:
    """Wait until a system's Domain was asked for another commit than the first `since` calls in all."""

    async def there() -> bool:
        return any(call.instance_id.startswith(f"{system}.") for call in it.siblings.calls("commit")[since:])

    await eventually(there, f"{system} commits again", COMMITS_AGAIN)
