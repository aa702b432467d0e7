"""The Event Manager: every event of the platform goes through it, and past Maestro's lock.

Two generations (contracts: Event Manager): that of 2018 calls Maestro, refuses events while a system is locked, and
drops keys of `reprocessing` that it does not know; that of 2020 does neither, and lets a replay of another image than
its operation's fall silent. Both publish how each process ended, and tell API core of it through a queue.
"""

import asyncio
from collections import defaultdict, deque
from typing import Any, Final

from aiohttp import web

from maestro import logs
from maestro.backoff import Backoff
from maestro.broker.base import Binding, Broker, BrokerError
from maestro.broker.topology import EXCHANGES, PERSIST, PERSIST_ERROR, PUBLISH_ERROR, PUBLISH_ERROR_KEY, SystemQueues
from maestro.events import REPROCESSING, BadInput, check_system_id
from maestro.sandbox.api_core import ApiCore
from maestro.sandbox.executor import Executor
from maestro.sandbox.installed import PROCESSES
from maestro.sandbox.maestro_client import MaestroClient, MaestroRefused
from maestro.sandbox.outcomes import Outcomes
from maestro.sandbox.processes import BadPayload
from maestro.sandbox.traits import Generation, Traits
from maestro.sandbox.web import Refused, Service, body_of, json

Json = dict[str, Any]

#: What Maestro tells of a reprocessing; the last is spelled as the platform spells it.
NOTIFICATIONS: Final = (".reprocessing.starting", ".reprocessing.finished", ".reprocessing.droping")
_ENDED_BADLY: Final = (".error", ".exception")
_DONE: Final = ".done"
#: Keys of `reprocessing` that the generation of 2018 knows.
_KNOWN_KEYS: Final = ("id", "instance_id", "system_id", "image")
#: Notifications, errors and `.done` events that are remembered, the newest.
_REMEMBERED: Final = 10_000
_PUBLISH_ERROR_QUEUE: Final = "events.publish_error.queue"
#: Most events that one call sends.
MOST_TIMES: Final = 1_000
#: What stands for an event's number in the texts of its payload.
_NUMBER: Final = "{number}"
#: Fields of an event that are texts, if it has them.
_TEXTS: Final = ("branch", "tag", "scope", "timestamp", "instanceId")
#: Seconds between two tries of a persist request that the lock refuses: first, longest.
_RETRY: Final = (0.05, 0.5)


class EventManager(Service):
    """Hands events to the executor, persist requests to the broker, outcomes to all who listen."""

    def __init__(
        self, core: ApiCore, broker: Broker, maestro: MaestroClient, outcomes: Outcomes, traits: Traits
    ) -> None:
        super().__init__()
        self._core = core
        self._broker = broker
        self._maestro = maestro
        self._outcomes = outcomes
        self._calls_maestro = traits.event_manager is Generation.Y2018
        self._executor: Executor | None = None
        self._introduced: set[str] = set()
        self._introducing: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._log = logs.get(service="event manager")
        #: Ends of event names that an operation subscribes to, so that such events are taken. The generation of 2018
        #: has none for Maestro's notifications, unless somebody installs one.
        self.subscribed: set[str] = set() if self._calls_maestro else set(NOTIFICATIONS)
        #: What nobody but an observer subscribes to, oldest first.
        self.remembered: deque[Json] = deque(maxlen=_REMEMBERED)

    def subscribe(self, executor: Executor) -> None:
        """From now on `executor` runs the processes whose events come in."""
        self._executor = executor

    async def send(self, event: Json) -> None:
        """Take one event. Raises `Refused`: locked, no subscribers, bad, or Maestro does not answer."""
        name, system = str(event.get("name") or ""), str(event.get("systemId") or "")
        if system not in self._core.systems:
            raise Refused(f"system {system!r} is not installed")
        _check(event, name)
        try:
            await self._introduce(system)
            if self._asks(event, name) and not await self._maestro.proceed(system):
                raise Refused(f"platform is locked to {system}: a reprocessing is running")
        except (MaestroRefused, BrokerError, BadInput) as problem:
            raise Refused(str(problem)) from problem
        await self._dispatch(self._known_to_it(event), name)

    async def persist(self, event: Json) -> None:
        """Take an instance's persist request: kept back while its system is locked, as any event is."""
        system = event["systemId"]
        pauses = Backoff(*_RETRY)
        while self._asks(event, event["name"]) and not await self._may_proceed(system):  # noqa: ASYNC110 - Maestro calls nobody
            await asyncio.sleep(pauses.next())
        await self._outcomes.publish(PERSIST, system, event)

    async def process_done(self, event: Json) -> None:
        """Take the `.done` event of an instance, from Domain or its SDK: it may start another operation."""
        self.remembered.append(event)
        self._core_hears_of(event)
        await self._outcomes.done(event)
        if event["name"] in PROCESSES:
            assert self._executor is not None, "subscribed"
            await self._executor.accept(event)

    async def process_failed(self, event: Json) -> None:
        """Take an error event of an instance. Raises `MaestroRefused` when Maestro must know and cannot be told."""
        self.remembered.append(event)
        await self._outcomes.failed(event)
        if event.get("scope") == REPROCESSING and self._calls_maestro:
            await self._maestro.report_failure(event)

    def app(self) -> web.Application:
        """Return the HTTP service."""
        return self.new_app(
            web.put("/sendevent", self._send_event),
            web.get("/remembered", self._get_remembered),
            web.get("/counts", self._get_counts),
        )

    def _core_hears_of(self, event: Json) -> None:
        payload = event.get("payload") or {}
        instance = payload.get("instance_id") or payload.get("instanceId") or event.get("instanceId")
        if instance:
            self._outcomes.finish(str(instance))

    def _asks(self, event: Json, name: str) -> bool:
        return self._calls_maestro and event.get("scope") != REPROCESSING and not name.endswith(_DONE)

    async def _may_proceed(self, system: str) -> bool:
        try:
            return await self._maestro.proceed(system)
        except MaestroRefused as problem:
            self._log.debug("no answer to proceed", system=system, problem=str(problem))
            return False

    def _known_to_it(self, event: Json) -> Json:
        reference = event.get("reprocessing")
        if not self._calls_maestro or not isinstance(reference, dict):
            return event
        return {**event, "reprocessing": {key: reference[key] for key in _KNOWN_KEYS if key in reference}}

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
            await self._broker.declare(bindings, (*EXCHANGES, Outcomes.EXCHANGE))
            if self._calls_maestro:
                await self._maestro.handle_persist(system)
            self._introduced.add(system)

    async def _dispatch(self, event: Json, name: str) -> None:
        if name in PROCESSES:
            assert self._executor is not None, "subscribed"
            image = event.get("image")
            if not self._calls_maestro and event.get("scope") == REPROCESSING and image != PROCESSES[name].image:
                self._log.debug("another image: it never runs", name=name, image=image)
                return
            await self._executor.accept(event)
        elif name.endswith(_ENDED_BADLY):
            await self.process_failed(event)
        elif name.endswith((_DONE, *self.subscribed)):
            self.remembered.append(event)
        else:
            raise Refused(f"event {name!r} has no subscribers")

    async def _send_event(self, request: web.Request) -> web.Response:
        """Take an event; with `times` as many of it, each with its own number in its payload's texts."""
        event = await body_of(request)
        if not isinstance(event, dict):
            raise Refused("an event is a JSON object")
        times = request.query.get("times", "1")
        if not times.isdecimal() or not 1 <= int(times) <= MOST_TIMES:
            raise Refused(f"times: {times!r} is no number from 1 to {MOST_TIMES}")
        for number in range(1, int(times) + 1):
            try:
                await self.send(_numbered(event, number) if "times" in request.query else event)
            except (Refused, MaestroRefused) as problem:
                self._log.debug("refused", name=event.get("name"), problem=str(problem))
                raise Refused(f"{number - 1} sent, then: {problem}" if number > 1 else str(problem)) from problem
        return json({"message": "OK"})

    async def _get_remembered(self, _request: web.Request) -> web.Response:
        return json(list(self.remembered))

    async def _get_counts(self, _request: web.Request) -> web.Response:
        assert self._executor is not None, "subscribed"
        return json(dict(self._executor.published))


def _check(event: Json, name: str) -> None:
    """Check an event that starts a process as far as it can be told before it runs. Raises `Refused`."""
    if name not in PROCESSES:
        return
    for field in _TEXTS:
        if not isinstance(event.get(field) or "", str):
            raise Refused(f"{field}: {event[field]!r} is no text ({name})")
    try:
        PROCESSES[name].checked(event.get("payload"))
    except BadPayload as problem:
        raise Refused(str(problem)) from problem


def _numbered(event: Json, number: int) -> Json:
    payload = event.get("payload")
    if not isinstance(payload, dict):
        return event
    texts = {field: text.replace(_NUMBER, str(number)) for field, text in payload.items() if isinstance(text, str)}
    return {**event, "payload": {**payload, **texts}}
