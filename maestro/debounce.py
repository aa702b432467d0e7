"""Work that waits until no new system has come for a moment: what all need first goes first."""

import asyncio
from collections.abc import Callable

#: Seconds without a new system after which the work is done, and at most so many after the first. To make a queue costs
#: RabbitMQ milliseconds: hundreds of systems that start together are up before it is asked for those they may need.
DEBOUNCE, DEBOUNCE_MAX = 0.5, 20.0


class Debounce:
    """Calls `then` once no new system has come for `DEBOUNCE` seconds. A later one starts it again."""

    def __init__(self, then: Callable[[], None]) -> None:
        self._then = then
        self._timer: asyncio.TimerHandle | None = None
        self._latest = 0.0

    def put_off(self) -> None:
        """A new system has come."""
        loop = asyncio.get_running_loop()
        if self._timer is None:
            self._latest = loop.time() + DEBOUNCE_MAX
        else:
            self._timer.cancel()
        self._timer = loop.call_at(min(loop.time() + DEBOUNCE, self._latest), self._come)

    def cancel(self) -> None:
        """Call nothing any more."""
        if self._timer is not None:
            self._timer.cancel()

    def _come(self) -> None:
        self._timer = None
        self._then()
