"""Waiting for things to become true: always with a deadline, which speaks of what did not happen."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

_PAUSE = 0.05


class GaveUp(Exception):  # noqa: N818 - that is what it did
    """Something did not become true in time; the message says what."""


async def until(probe: Callable[[], Awaitable[T | None]], what: str, seconds: float) -> T:
    """Return what `probe` returns once it is neither None nor False. Raises `GaveUp` after `seconds`."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while True:
        found = await probe()
        if found is not None and found is not False:
            return found
        if loop.time() > deadline:
            raise GaveUp(f"after {seconds:.0f} s still waiting for {what}")
        await asyncio.sleep(_PAUSE)


async def until_count(
    probe: Callable[[], Awaitable[int]], total: int, what: str, stall: float, on_change: Callable[[int], object]
) -> None:
    """Wait until `probe` counts `total`. Raises `GaveUp` when the count stands still for `stall` seconds."""
    loop = asyncio.get_running_loop()
    seen, since = -1, loop.time()
    while True:
        count = await probe()
        if count != seen:
            seen, since = count, loop.time()
            on_change(count)
        if count >= total:
            return
        if loop.time() - since > stall:
            raise GaveUp(f"{what}: {count} of {total}, and nothing moved for {stall:.0f} s")
        await asyncio.sleep(_PAUSE)
