"""What instances read and computed, asked of Process Memory for somebody who looks.

A history may be of megabytes and have a hundred thousand rows, and the gateway's loop answers lock checks: only a few
are held at once, and who goes through rows gives way to others in between.
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Coroutine, Hashable, Iterable
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

from maestro.http.comparing import Compared, Comparison, Rows, key_of, row_of
from maestro.platform import Platform, SiblingUnreachable
from maestro.platform.history import History
from maestro.system.deadline import SHARE, promptly

T = TypeVar("T")

#: Rows at a stretch: a millisecond or two.
STEP: Final = 100


class Datasets:
    """Asks Process Memory. `timeout`: seconds that an answer may take; `at_once`: how many look at the same time."""

    def __init__(self, platform: Platform, timeout: float, at_once: int) -> None:
        self._platform = platform
        self._timeout = timeout
        self._places = asyncio.Semaphore(at_once)

    @asynccontextmanager
    async def looking(self) -> AsyncIterator[None]:
        """Have a place in which histories are asked for, and what they hold is gone through.

        Raises:
            SiblingError: there is no answer, not in time, or none that is a history.
        """
        try:
            async with self._places, promptly("process_memory", "history", self._timeout):
                yield
        except (ValueError, RecursionError) as problem:
            raise SiblingUnreachable("process_memory", "history", f"not the agreed answer: {problem}") from problem

    async def history(self, instance_id: str) -> History | None:
        """Return what an instance read and computed; None: Process Memory has no two datasets of it."""
        return await self._platform.process_memory.history(instance_id)


async def gently(items: Iterable[T]) -> AsyncIterator[T]:
    """Yield the items, and let others have the loop every `STEP` of them."""
    for number, item in enumerate(items):
        yield item
        if number % STEP == 0:
            await asyncio.sleep(0)


async def rows_of(rows: Rows, wanted: Collection[tuple[str, str]]) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the first row of each wanted type and id. Raises `ValueError`: a row is no row."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    if wanted:
        async for type_, raw in gently((type_, raw) for type_, several in rows.items() for raw in several):
            row = row_of(raw)
            key = key_of(type_, row)
            if key in wanted:
                found.setdefault(key, row)
    return found


class Looks:
    """Looks that go on in the background, one for each key and `most` at a time. A caller waits for a while at most.

    `timeout`: seconds that an answer may take.
    """

    def __init__(self, most: int, timeout: float) -> None:
        self._most = most
        self._wait = timeout * SHARE
        self._tasks: dict[Hashable, asyncio.Task[None]] = {}

    @property
    def full(self) -> bool:
        """Whether no further look may begin now."""
        return len(self._tasks) >= self._most

    def begin(self, key: Hashable, look: Coroutine[None, None, None], name: str) -> None:
        """Begin a look; none of that key may go on."""
        self._tasks[key] = task = asyncio.create_task(look, name=name)
        task.add_done_callback(lambda _: self._tasks.pop(key, None))

    def goes_on(self, key: Hashable) -> bool:
        """Whether the look of a key goes on."""
        return key in self._tasks

    async def wait(self, key: Hashable) -> None:
        """Wait for the look of a key, as long as an answer may take; not at all when none goes on."""
        if (task := self._tasks.get(key)) is not None:
            await asyncio.wait({task}, timeout=self._wait)

    async def close(self) -> None:
        """Look at no more."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def compared(comparison: Comparison) -> Compared:
    """Return what a comparison finds. Raises `ValueError`: a row is no row."""
    async for _ in gently(comparison.steps()):
        pass
    return comparison.result
