"""Systems that somebody names and that are not served: they are served once API core knows them.

A system costs a process, a store and queues on the broker, for good. So an id alone makes none, from any source: API
core is asked, by one question for all who wait, and at most five times a second. While API core is out of reach nothing
is lost by waiting for it: the events stay on their queue, and none could be committed, for API core knows where a
system's domain is.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection
from typing import Final

from maestro import logs
from maestro.platform.errors import SiblingError

#: Seconds API core has to answer, and between two questions to it.
TIMEOUT, PACE = 3.0, 0.2

#: Asks API core for its systems. Raises `SiblingError`.
Lookup = Callable[[], Awaitable[Collection[str]]]


class Newcomers:
    """Tells whether a system may be served.

    Args:
        lookup: asks API core; None: every system may be served (tests and tools without a platform).
        look_again: is called when a system is named that cannot be served yet: API core may know it soon.
    """

    def __init__(self, lookup: Lookup | None = None, look_again: Callable[[], None] = lambda: None) -> None:
        self._lookup = lookup
        self._look_again = look_again
        #: The next question, which is not put yet: its answer is about the present of all who wait for it.
        self._next: asyncio.Task[Collection[str] | None] | None = None
        self._asked_at = float("-inf")
        self._log: Final = logs.get(part="http")

    async def may_be_served(self, system_id: str) -> bool | None:
        """Whether API core knows the system; None when it does not say."""
        if self._lookup is None:
            return True
        systems = await self._known()
        known = None if systems is None else system_id in systems
        if not known:
            self._look_again()
        return known

    async def _known(self) -> Collection[str] | None:
        if self._next is None:
            self._next = asyncio.create_task(self._ask(), name="ask API core for its systems")
        return await asyncio.shield(self._next)

    async def _ask(self) -> Collection[str] | None:
        assert self._lookup is not None, "there is somebody to ask"
        await asyncio.sleep(self._asked_at + PACE - time.monotonic())
        self._next = None
        self._asked_at = time.monotonic()
        try:
            async with asyncio.timeout(TIMEOUT):
                return frozenset(await self._lookup())
        except (SiblingError, TimeoutError) as problem:
            self._log.warning("http.systems_not_known", cause=str(problem) or "no answer in time")
            return None
