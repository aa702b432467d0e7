"""Background tasks with an owner: kept, watched, and ended together."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

import structlog

from maestro.backoff import Backoff
from maestro.broker.base import Broker, BrokerError, Unpublishable

T = TypeVar("T")

#: Seconds between tries of what the broker could not do, doubling up to the second number.
RETRY, RETRY_MAX = 0.5, 10.0
#: Seconds a start waits for the broker.
CONNECT_WITHIN = 1.0


class Tasks:
    """The tasks of one owner. One that dies of an error is logged: the owner's other tasks go on."""

    def __init__(self, log: structlog.typing.FilteringBoundLogger) -> None:
        self._log = log
        self._running: set[asyncio.Task[Any]] = set()

    def start(self, work: Coroutine[Any, Any, object], name: str) -> None:
        """Run `work` in the background."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._running.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._log.error("background task died", task=task.get_name(), exc_info=task.exception())

    async def close(self) -> None:
        """End all of them."""
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def until_connected(broker: Broker, seconds: float = CONNECT_WITHIN) -> None:
    """Give a broker that is there the moment it takes to connect: what starts then is ready at once."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while not broker.connected:  # noqa: ASYNC110 - brokers tell of themselves, they call nobody
                await asyncio.sleep(0.01)


async def until_done(
    work: Callable[[], Awaitable[T]],
    log: structlog.typing.FilteringBoundLogger,
    only: type[Exception] = BrokerError,
) -> T:
    """Do what the broker, or the store, is asked until it is done: one that is away is waited for, with backoff.

    Errors other than `only` are raised, and so is what no trying again can help (`Unpublishable`). Its end is the
    owner's: the task it runs in is cancelled when the owner closes.
    """
    pauses = Backoff(RETRY, RETRY_MAX)
    while True:
        try:
            return await work()
        except Unpublishable:
            raise
        except only as problem:
            log.warning("what is away is waited for", cause=str(problem))
            await asyncio.sleep(pauses.next())
