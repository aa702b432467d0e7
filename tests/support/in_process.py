"""A system's service in this process: its siblings are a double; ingress, cascade and the gateway are the test.

async with served(tmp_path, siblings) as it:
    it.publish("i1")
    await it.siblings.wait_for(lambda: it.siblings.commits == ["i1"], 5)
"""

import itertools
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson

from maestro.events import celery_body
from maestro.links.folder import make_folder
from maestro.links.items import CASCADE, INGRESS, MAIN, Answered, Asked, Hello
from maestro.links.listener import Listener
from maestro.links.session import Session
from maestro.messages.answers import Answer
from maestro.messages.cascade import CascadeDone
from maestro.messages.ingress import Ack, Arrived, DeadLetter, DeadLettered, Park, Parked, Source
from maestro.messages.questions import Question
from maestro.settings.model import Settings
from maestro.system.service import SystemService
from maestro.telemetry.metrics import MetricsRegistry
from tests.support.siblings import RecordingSiblings
from tests.support.stage import SYSTEM, event

_epochs = itertools.count(1)


class InProcess:
    """The service, and what stands around it in its process: those who listen for it."""

    def __init__(self, settings: Settings, siblings: RecordingSiblings) -> None:
        make_folder(settings.data_dir)
        self.siblings = siblings
        self.service = SystemService(settings, SYSTEM, next(_epochs))
        self.settled: list[object] = []
        self.answers: dict[int, Answer] = {}
        self._numbers = itertools.count(1)
        self.sessions: dict[str, Session] = {}
        takes = {INGRESS: self._settle, CASCADE: self._operate, MAIN: self._answered}
        self._listeners = [self._listener(settings, name, take) for name, take in takes.items()]

    def _listener(self, settings: Settings, name: str, take: Callable[[Any], None]) -> Listener:
        def met(_system: Hello, session: Session) -> None:
            self.sessions[name] = session
            session.on_item = take

        own = Hello(name, next(_epochs))
        return Listener(settings.data_dir, own, settings.actors, MetricsRegistry(), met)

    async def open(self) -> None:
        """Start the service; all links are there when it returns, but where its store cannot be opened."""
        for listener in self._listeners:
            listener.open()
        await self.service.start()
        names = {MAIN} if self.service.problem else {MAIN, INGRESS, CASCADE}
        await self.siblings.wait_for(lambda: names <= self.sessions.keys(), 10)

    def _settle(self, item: object) -> None:
        self.settled.append(item)
        if isinstance(item, Park):
            self.sessions[INGRESS].post(Parked(item.key))
        elif isinstance(item, DeadLetter):
            self.sessions[INGRESS].post(DeadLettered(item.key, item.number))

    def _operate(self, operation: Any) -> None:
        self.sessions[CASCADE].post(CascadeDone(operation.op))

    def _answered(self, item: Answered) -> None:
        self.answers[item.correlation] = item.answer

    def publish(self, fields: dict[str, Any] | str, key: str = "") -> str:
        """Deliver a persist event; return its key."""
        fields = event(fields) if isinstance(fields, str) else fields
        number = next(self._numbers)
        key = key or f"celery-{number}"
        body = celery_body(key, orjson.dumps(fields))
        self.sessions[INGRESS].post(Arrived(number, Source.PERSIST, body, redelivered=False, at=time.time()))
        return key

    def acks(self) -> list[int]:
        """References the service acknowledged."""
        return [item.ref for item in self.settled if isinstance(item, Ack)]

    async def ask(self, question: Question) -> Answer:
        """Put a question and wait for its answer."""
        number = next(self._numbers)
        self.sessions[MAIN].post(Asked(number, question))
        await self.siblings.wait_for(lambda: number in self.answers, 10)
        return self.answers[number]

    async def close(self) -> None:
        """End the service, and who listened for it."""
        await self.service.stop()
        for listener in self._listeners:
            await listener.close()


@asynccontextmanager
async def served(folder: Path, siblings: RecordingSiblings, **settings: Any) -> AsyncIterator[InProcess]:
    """Start the service on a store in `folder`; stop it in good order at the end."""
    it = InProcess(Settings(data_dir=folder, **{"platform": siblings.settings()} | settings), siblings)
    try:
        await it.open()
        yield it
    finally:
        await it.close()
