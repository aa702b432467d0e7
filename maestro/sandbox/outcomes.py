"""How ends become known: the outcomes on exchange `events.publish`, and the queue behind which API core hears of them.

Event Manager's own: the news that an instance ended reaches API core some time later, in bursts much later, and now
and then never (contracts: What was committed a moment ago is invisible).
"""

import asyncio
import uuid
from typing import Any, Final

import orjson

from maestro import logs
from maestro.broker.base import Broker, Message, Unroutable
from maestro.events import celery_body
from maestro.sandbox.api_core import ApiCore
from maestro.sandbox.traits import Traits
from maestro.sandbox.web import Refused
from maestro.statuses import INSTANCE_FINISHED

Json = dict[str, Any]


class Outcomes:
    """Publishes events, and tells API core."""

    EXCHANGE: Final = "events.publish"
    DONE_KEY: Final = "store.executor.finished"
    FAILED_KEY: Final = "store.executor.exception"

    def __init__(self, core: ApiCore, broker: Broker, traits: Traits) -> None:
        self._core = core
        self._broker = broker
        self._traits = traits
        self._dice = traits.dice("finished")
        #: Moment (of the loop's clock) until which the queue stands still.
        self._stands_until = 0.0
        self._tasks: set[asyncio.Task[None]] = set()
        self._log = logs.get(service="event manager")
        #: Instances of whose end API core never hears.
        self.lost: list[str] = []

    async def publish(self, exchange: str, key: str, event: Json) -> None:
        """Publish an event as a Celery message. Raises `BrokerError`."""
        identity = str(uuid.uuid4())
        await self._broker.publish(exchange, key, Message(celery_body(identity, orjson.dumps(event)), identity))

    async def done(self, event: Json) -> None:
        """Publish that a process is done; when nobody listens it is gone."""
        await self._published(self.DONE_KEY, event)

    async def failed(self, event: Json) -> None:
        """Publish that a process failed; when nobody listens it is gone."""
        await self._published(self.FAILED_KEY, event)

    def finish(self, instance: str) -> None:
        """Have API core call the instance `finished`, in a while or never."""
        traits = self._traits
        if self._dice.random() < traits.finished_lost:
            self.lost.append(instance)
            return
        now = asyncio.get_running_loop().time()
        if self._dice.random() < traits.finished_burst_share:
            self._stands_until = now + traits.finished_burst
        delay = max(traits.finished_after, self._stands_until - now)
        if not delay and not traits.finished_window:
            self._core.set_status(instance, INSTANCE_FINISHED)
            return
        task = asyncio.create_task(self._finish(instance, delay))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _finish(self, instance: str, delay: float) -> None:
        await asyncio.sleep(delay)
        if self._core.away:
            self.lost.append(instance)
            return
        try:
            await self._core.change_status(instance, INSTANCE_FINISHED)
        except Refused as problem:
            self._log.debug("status not set", instance=instance, problem=str(problem))

    async def _published(self, key: str, event: Json) -> None:
        try:
            await self.publish(self.EXCHANGE, key, event)
        except Unroutable:
            self._log.debug("nobody hears of outcomes", name=event.get("name"))
