"""Looks at a Maestro from outside all the time: what `proceed` says, and who has a system's store open."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import aiohttp

from tests.support.stage import Stage

#: Seconds between two lock checks, of one system after the other; between two looks at open files.
CHECK_EVERY, LOOK_EVERY = 0.01, 0.25
#: Seconds within which a lock check of a living Maestro is answered.
PATIENCE = 5.0


@dataclass(frozen=True, slots=True)
class Check:
    """One lock check: when it was sent and answered (seconds of the loop's clock), and the status; 0: no answer."""

    sent: float
    answered: float
    status: int

    @property
    def took(self) -> float:
        return self.answered - self.sent


class Watcher:
    """Watches while it is entered."""

    def __init__(self, it: Stage, systems: list[str]) -> None:
        self._it = it
        self._systems = systems
        self._tasks: list[asyncio.Task[None]] = []
        self.checks: defaultdict[str, list[Check]] = defaultdict(list)
        #: Moments at which more than one process had a system's store open (I4), in words.
        self.shared_stores: list[str] = []

    async def __aenter__(self) -> Self:
        self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=PATIENCE))
        self._tasks = [asyncio.create_task(self._check()), asyncio.create_task(self._look())]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        ended = await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._http.close()
        for one in ended:
            if not isinstance(one, asyncio.CancelledError) and isinstance(one, BaseException):
                raise one

    async def _check(self) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            for system in self._systems:
                sent = clock()
                status = 0
                with suppress(aiohttp.ClientError, TimeoutError):
                    async with self._http.get(f"{self._it.url}/v1.0.0/gateway/{system}/proceed") as answer:
                        await answer.read()
                        status = answer.status
                self.checks[system].append(Check(sent, clock(), status))
                await asyncio.sleep(CHECK_EVERY)

    async def _look(self) -> None:
        folder = self._it.folder / "data" / "systems"
        while True:
            for system, pids in (await asyncio.to_thread(_openers, folder)).items():
                if len(pids) > 1:
                    self.shared_stores.append(f"{system}: {sorted(pids)}")
            await asyncio.sleep(LOOK_EVERY)


@asynccontextmanager
async def watched(nodes: Sequence[Stage], systems: Sequence[str]) -> AsyncIterator[Watcher]:
    """Have every node asked whether events may proceed, all the time; what they answer is as if one had."""
    async with AsyncExitStack() as stack:
        watchers = [await stack.enter_async_context(Watcher(node, list(systems))) for node in nodes]
        together = Watcher(nodes[0], list(systems))
        yield together
        for watcher in watchers:
            for system, checks in watcher.checks.items():
                together.checks[system] += checks


def _openers(folder: Path) -> dict[str, set[int]]:
    """Return the processes that have a store of `folder` open, by system."""
    found: defaultdict[str, set[int]] = defaultdict(set)
    for pid in _pids():
        with suppress(OSError):
            for descriptor in Path(f"/proc/{pid}/fd").iterdir():
                with suppress(OSError):
                    target = descriptor.readlink()
                    if target.parent == folder and target.suffix == ".db":
                        found[target.stem].add(pid)
    return found


def processes_of(data_dir: Path) -> set[int]:
    """Return every living process that was started for a data folder, by its environment."""
    mark = f"MAESTRO_DATA_DIR={data_dir}".encode()
    found = set()
    for pid in _pids():
        with suppress(OSError):
            if mark in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                found.add(pid)
    return found


def _pids() -> list[int]:
    return [int(each.name) for each in Path("/proc").iterdir() if each.name.isdigit()]
