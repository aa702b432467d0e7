"""The Event Manager: every event of the platform goes through it, and past Maestro's lock."""

import asyncio
from collections import defaultdict, deque
from typing import Any

from aiohttp import web

from maestro import logs
from maestro.broker.base import Binding, Broker, BrokerError
from maestro.broker.topology import EXCHANGES, PERSIST, PERSIST_ERROR, PUBLISH_ERROR, PUBLISH_ERROR_KEY, SystemQueues
from maestro.events import REPROCESSING, BadInput, check_system_id
from maestro.sandbox.api_core import ApiCore
from maestro.sandbox.executor import Executor
from maestro.sandbox.maestro_client import MaestroClient, MaestroRefused
from maestro.sandbox.processes import PROCESSES
from maestro.sandbox.web import body_of, json, new_app, refused

Json = dict[str, Any]

#: What Maestro tells of a reprocessing; the last is spelled as the platform spells it.
NOTIFICATIONS = (".reprocessing.starting", ".reprocessing.finished", ".reprocessing.droping")
_ENDED_BADLY = (".error", ".exception")
_DONE = ".done"
#: Notifications, errors and `.done` events that are remembered, the newest.
_REMEMBERED = 10_000
_PUBLISH_ERROR_QUEUE = "events.publish_error.queue"


class Refusal(Exception):  # noqa: N818 - an answer, not a fault
    """The event is not taken; the message is the answer's."""


class EventManager:
    """Hands events to the executor, notifications to its memory, failed replays to Maestro."""

    def __init__(self, core: ApiCore, broker: Broker, maestro: MaestroClient) -> None:
        self._core = core
        self._broker = broker
        self._maestro = maestro
        self._executor: Executor | None = None
        self._introduced: set[str] = set()
        self._introducing: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._log = logs.get(service="event manager")
        #: What nobody but an observer subscribes to, oldest first.
        self.remembered: deque[Json] = deque(maxlen=_REMEMBERED)

    def subscribe(self, executor: Executor) -> None:
        """From now on `executor` runs the processes whose events come in."""
        self._executor = executor

    async def send(self, event: Json) -> None:
        """Take one event. Raises `Refusal`: locked, no subscriber, bad, or Maestro does not answer."""
        name, system = str(event.get("name") or ""), str(event.get("systemId") or "")
        if system not in self._core.systems:
            raise Refusal(f"system {system!r} is not installed")
        try:
            await self._introduce(system)
            if self._asks(event, name) and not await self._maestro.proceed(system):
                raise Refusal(f"the platform is locked to {system}: a reprocessing is running")
        except (MaestroRefused, BrokerError, BadInput) as problem:
            raise Refusal(str(problem)) from problem
        await self._dispatch(event, name)

    async def process_failed(self, event: Json) -> None:
        """Take an error event of an instance. Raises `MaestroRefused` when Maestro must know and cannot be told."""
        self.remembered.append(event)
        if event.get("scope") == REPROCESSING:
            await self._maestro.report_failure(event)

    def app(self) -> web.Application:
        """Return the HTTP service."""
        return new_app(
            web.put("/sendevent", self._send_event),
            web.get("/remembered", self._get_remembered),
            web.get("/counts", self._get_counts),
        )

    @staticmethod
    def _asks(event: Json, name: str) -> bool:
        return event.get("scope") != REPROCESSING and not name.endswith(_DONE)

    async def _introduce(self, system: str) -> None:
        """At a system's first event: declare its persist queue and have Maestro consume it."""
        if system in self._introduced:
            return
        async with self._introducing[system]:
            if system in self._introduced:
                return
            queues = SystemQueues(check_system_id(system))
            bindings = (
                Binding(PERSIST, system, queues.persist),
                Binding(PERSIST_ERROR, system, queues.persist_error),
                Binding(PUBLISH_ERROR, PUBLISH_ERROR_KEY, _PUBLISH_ERROR_QUEUE),
            )
            await self._broker.declare(bindings, EXCHANGES)
            await self._maestro.handle_persist(system)
            self._introduced.add(system)

    async def _dispatch(self, event: Json, name: str) -> None:
        if name in PROCESSES:
            assert self._executor is not None, "subscribed"
            await self._executor.accept(event)
        elif name.endswith(_ENDED_BADLY):
            await self.process_failed(event)
        elif name.endswith((*NOTIFICATIONS, _DONE)):
            self.remembered.append(event)
        else:
            raise Refusal(f"event {name} has no subscribers")

    async def _send_event(self, request: web.Request) -> web.Response:
        event = await body_of(request)
        if not isinstance(event, dict):
            return refused(400, "an event is a JSON object")
        try:
            await self.send(event)
        except (Refusal, MaestroRefused) as problem:
            self._log.debug("refused", name=event.get("name"), problem=str(problem))
            return refused(400, str(problem))
        return json({"message": "OK"})

    async def _get_remembered(self, _request: web.Request) -> web.Response:
        return json(list(self.remembered))

    async def _get_counts(self, _request: web.Request) -> web.Response:
        assert self._executor is not None, "subscribed"
        return json(dict(self._executor.published))
