"""The talk with the supervisor of the present actor system: when it is asked for the directory, how long it is silent.

The supervisor says nothing by itself: it answers `GetDirectory`. Each actor system has a supervisor of its own; between
two of them there is none to talk to.
"""

import asyncio
import time
from contextlib import suppress
from typing import Final

from maestro.actors.endpoint import Endpoint
from maestro.actors.messages import Address, GetDirectory, Replace, ServicesStopped

TICK: Final = 0.2
#: Seconds between two ticks after which it is we who were frozen, and no silence before counts: at most half of what
#: the supervisor may be silent.
_FROZEN: Final = 4.0


class SupervisorTalk:
    """What is said to the supervisor, and when it spoke last. `silence`: seconds that it may be silent."""

    def __init__(self, silence: float) -> None:
        self._silence = silence
        self._endpoint: Endpoint | None = None
        self._supervisor: Address = None
        self._run_id = ""
        self._heard = 0.0
        self._ask_at = 0.0
        self._ticked = 0.0
        #: Set when the next tick is to come sooner than was planned.
        self._sooner = asyncio.Event()
        self._stopped: asyncio.Future[ServicesStopped] | None = None

    @property
    def up(self) -> bool:
        """Whether there is a supervisor to talk to."""
        return self._endpoint is not None

    @property
    def silent_for(self) -> float:
        """Seconds since the supervisor's last word."""
        return time.monotonic() - self._heard

    def attach(self, endpoint: Endpoint, supervisor: Address, run_id: str) -> None:
        """Talk to the supervisor of this actor system from now on, and ask it at once."""
        self._endpoint, self._supervisor, self._run_id = endpoint, supervisor, run_id
        self._heard = time.monotonic()
        self._ask_at = 0.0

    def detach(self) -> None:
        """Talk to nobody."""
        self._endpoint = None

    def hears(self, run_id: str) -> bool:
        """Whether a message is of the present supervisor: it speaks."""
        if run_id != self._run_id:
            return False
        self._heard = time.monotonic()
        return True

    def stopping(self) -> "asyncio.Future[ServicesStopped]":
        """Return a future of the supervisor's word that all services are stopped."""
        if self._stopped is None:
            self._stopped = asyncio.get_running_loop().create_future()
        return self._stopped

    def stopped(self, message: ServicesStopped) -> None:
        """The supervisor says that all services are stopped."""
        if self._stopped is not None and not self._stopped.done():
            self._stopped.set_result(message)

    def ask_within(self, seconds: float) -> None:
        """Have the supervisor asked for the directory no later than that."""
        due = time.monotonic() + seconds
        if due < self._ask_at:
            self._ask_at = due
            self._sooner.set()

    def is_due(self, now: float) -> bool:
        """Whether the supervisor is to be asked for the directory now."""
        return now >= self._ask_at

    def ask(self, question: GetDirectory, now: float, pause: float) -> None:
        """Ask for the directory, and again after a pause: at most a quarter of what the supervisor may be silent."""
        self._send(question)
        self._ask_at = now + min(pause, self._silence / 4)

    def replace(self, system_id: str, epoch: int) -> None:
        """Ask for another actor in a silent one's place."""
        self._send(Replace(system_id, epoch))

    def _send(self, message: GetDirectory | Replace) -> None:
        assert self._endpoint is not None
        self._endpoint.send(self._supervisor, message)

    def tick(self, now: float) -> None:
        """Take note that this process runs."""
        if now - self._ticked >= min(_FROZEN, self._silence / 2):
            self._heard = now
        self._ticked = now

    def hurry(self) -> None:
        """Let the next tick come at once."""
        self._sooner.set()

    async def rest(self, *, ticking: bool) -> None:
        """Wait for the next tick, if something needs ticks, and else until the directory is to be asked for."""
        self._sooner.clear()
        pause = max(0.0, self._ask_at - time.monotonic()) if self.up else TICK
        with suppress(TimeoutError):
            async with asyncio.timeout(min(TICK, pause) if ticking else pause):
                await self._sooner.wait()
