"""Systems as they change: one question under way per watched system, its answers handed to all who watch it.

A subscriber holds at most the latest payload of each of its systems: one that reads slowly misses the states in
between, and is cut off when it stops reading (`connection.WRITE_TIMEOUT`).
"""

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

import orjson

from maestro import logs
from maestro.http.actor_client import ActorClient, answer_of
from maestro.http.replies import Problem
from maestro.messages.answers import Code
from maestro.messages.questions import AwaitChange

#: Streams at once: in all, of one holder of a credential, and of one address where nobody is asked for one. (A browser
#: opens no more than six to one server.)
MAX_STREAMS, PER_HOLDER, PER_ADDRESS = 64, 8, 32
#: Seconds one question waits for a change, between two payloads of a system, and after a failure.
WAIT: Final = 10.0
COALESCE: Final = 0.2
PAUSE: Final = 1.0


class Subscription:
    """One client's view: the latest payload of each system that changed since it last looked."""

    def __init__(self, caller: str) -> None:
        self.caller = caller
        self.systems: set[str] = set()
        self._latest: dict[str, bytes] = {}
        self._fresh = asyncio.Event()

    def offer(self, system_id: str, payload: bytes) -> None:
        """Take a system's latest payload."""
        self._latest[system_id] = payload
        self._fresh.set()

    def wake(self) -> None:
        """Let `next` return."""
        self._fresh.set()

    async def next(self, seconds: float) -> tuple[bytes, ...]:
        """Return the payloads that are new, as soon as there are any; none after `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                await self._fresh.wait()
        except TimeoutError:
            return ()
        self._fresh.clear()
        payloads = tuple(self._latest.values())
        self._latest.clear()
        return payloads


class Live:
    """Watches the systems that somebody watches."""

    def __init__(self, actor_client: ActorClient, timeout: float) -> None:
        self._actor_client = actor_client
        self._timeout = timeout
        self._log = logs.get(part="http")
        self._feeds: dict[str, asyncio.Task[None]] = {}
        self._latest: dict[str, bytes] = {}
        self._subscriptions: set[Subscription] = set()
        self.closed = False

    @contextmanager
    def subscribed(self, caller: str, at_most: int) -> Iterator[Subscription]:
        """Add a subscriber, of no system yet: one of `at_most` of this `caller`.

        Raises:
            Problem: there are too many: 429 of this caller, 503 in all.
        """
        if self.closed or len(self._subscriptions) >= MAX_STREAMS:
            raise Problem(503, f"there are {MAX_STREAMS} streams already" if not self.closed else "stopping")
        if sum(other.caller == caller for other in self._subscriptions) >= at_most:
            raise Problem(429, f"there are {at_most} streams of this caller already", {"Retry-After": "15"})
        subscription = Subscription(caller)
        self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)
            for system_id in subscription.systems:
                self._leave(system_id)

    def watch(self, subscription: Subscription, systems: Iterable[str]) -> None:
        """Let a subscriber watch these systems as well; it gets their present state at once."""
        for system_id in set(systems) - subscription.systems:
            subscription.systems.add(system_id)
            if system_id in self._latest:
                subscription.offer(system_id, self._latest[system_id])
            if system_id not in self._feeds:
                self._begin(system_id)

    async def close(self) -> None:
        """End all streams."""
        self.closed = True
        for subscription in self._subscriptions:
            subscription.wake()
        feeds = list(self._feeds.values())
        for feed in feeds:
            feed.cancel()
        await asyncio.gather(*feeds, return_exceptions=True)

    def _begin(self, system_id: str) -> None:
        feed = asyncio.get_running_loop().create_task(self._feed(system_id), name=f"live {system_id}")
        feed.add_done_callback(self._ended)
        self._feeds[system_id] = feed

    def _leave(self, system_id: str) -> None:
        if not any(system_id in other.systems for other in self._subscriptions):
            self._feeds.pop(system_id).cancel()
            self._latest.pop(system_id, None)

    def _ended(self, feed: asyncio.Task[None]) -> None:
        if not feed.cancelled() and feed.exception() is not None:
            self._log.error("live.feed_died", task=feed.get_name(), exc_info=feed.exception())
            for system_id in [name for name, task in self._feeds.items() if task is feed]:
                self._begin(system_id)

    async def _feed(self, system_id: str) -> None:
        version = ""
        while True:
            answer = await answer_of(self._actor_client, system_id, AwaitChange(version, WAIT), WAIT + self._timeout)
            if answer.code is not Code.OK:
                version = ""
                self._publish(system_id, _unavailable(system_id, answer.message))
                await asyncio.sleep(PAUSE)
            elif answer.body:
                version = answer.message
                self._publish(system_id, answer.body)
                await asyncio.sleep(COALESCE)

    def _publish(self, system_id: str, payload: bytes) -> None:
        if self._latest.get(system_id) == payload:
            return
        self._latest[system_id] = payload
        for subscription in self._subscriptions:
            if system_id in subscription.systems:
                subscription.offer(system_id, payload)


def _unavailable(system_id: str, message: str) -> bytes:
    system = {"id": system_id, "state": "unavailable", "message": message}
    return orjson.dumps({"system": system, "document": None})
