"""A system's service in this process: its siblings are a double, ingress and cascade are the test.

async with served(tmp_path, siblings) as it:
    it.publish("i1")
    await it.siblings.wait_for(lambda: it.siblings.commits == ["i1"], 5)
"""

import itertools
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson

from maestro.events import celery_body
from maestro.links.endpoint import Peer
from maestro.links.handshake import Meeting
from maestro.links.service import Answered, Asked, Attach
from maestro.messages import Ack, Answer, Arrived, CascadeDone, DeadLetter, DeadLettered, Park, Parked, Question, Source
from maestro.settings.model import Settings
from maestro.system.service import SystemService
from maestro.telemetry.metrics import MetricsRegistry
from tests.support.siblings import RecordingSiblings
from tests.support.stage import SYSTEM, event

_epochs = itertools.count(1)


class InProcess:
    """The service, and what stands around it in its process: an outlet that carries messages both ways."""

    def __init__(self, settings: Settings, siblings: RecordingSiblings) -> None:
        self.siblings = siblings
        self.service = SystemService(settings, SYSTEM, next(_epochs), self)
        self.settled: list[object] = []
        self.answers: dict[int, Answer] = {}
        self._numbers = itertools.count(1)
        self._meetings: dict[str, Meeting] = {}
        self._peers: dict[str, Peer] = {}
        attach = Attach(1, SYSTEM, "system", self.service._epoch)
        for role, receive in (("ingress", self._settle), ("cascade", self._operate)):
            outlet = _Sender(self.service, role)
            meeting = self._meetings[role] = Meeting(role, next(_epochs), outlet, settings.actors, MetricsRegistry())
            self._peers[role] = meeting.meet(attach, receive)

    def send(self, address: object, message: object) -> None:
        """Carry what the service sends."""
        if isinstance(message, Answered):
            self.answers[message.correlation] = message.answer
        else:
            self._meetings[str(address)].receive(message)  # type: ignore[arg-type]  # frames and acknowledgements

    def _settle(self, item: object) -> None:
        self.settled.append(item)
        if isinstance(item, Park):
            self._peers["ingress"].post(Parked(item.key))
        elif isinstance(item, DeadLetter):
            self._peers["ingress"].post(DeadLettered(item.key, item.number))

    def _operate(self, operation: Any) -> None:
        self._peers["cascade"].post(CascadeDone(operation.op))

    def publish(self, fields: dict[str, Any] | str, key: str = "") -> str:
        """Deliver a persist event; return its key."""
        fields = event(fields) if isinstance(fields, str) else fields
        number = next(self._numbers)
        key = key or f"celery-{number}"
        body = celery_body(key, orjson.dumps(fields))
        self._peers["ingress"].post(Arrived(number, Source.PERSIST, body, redelivered=False, at=time.time()))
        return key

    def acks(self) -> list[int]:
        """References the service acknowledged."""
        return [item.ref for item in self.settled if isinstance(item, Ack)]

    async def ask(self, question: Question) -> Answer:
        """Put a question and wait for its answer."""
        number = next(self._numbers)
        self.service.receive(Asked(number, question), "gateway")
        await self.siblings.wait_for(lambda: number in self.answers, 10)
        return self.answers[number]

    def close(self) -> None:
        for meeting in self._meetings.values():
            meeting.close()


class _Sender:
    def __init__(self, service: SystemService, role: str) -> None:
        self._service = service
        self._role = role

    def send(self, _address: object, message: object) -> None:
        self._service.receive(message, self._role)


@asynccontextmanager
async def served(folder: Path, siblings: RecordingSiblings, **settings: Any) -> AsyncIterator[InProcess]:
    """Start the service on a store in `folder`; stop it in good order at the end."""
    it = InProcess(Settings(data_dir=folder, platform=siblings.settings(), **settings), siblings)
    await it.service.start()
    try:
        yield it
    finally:
        await it.service.stop()
        it.close()
