"""The smallest services that do: they answer, name their process, and can be told to misbehave."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import structlog

from maestro.links.dialer import Dialer
from maestro.links.items import CASCADE, INGRESS, MAIN, SYSTEM, Asked, Hello
from maestro.links.listener import Listener
from maestro.links.session import Session
from maestro.messages.answers import Answer, Code
from maestro.messages.questions import CheckLock, DescribeSystem, GetDocument, PersistSync
from maestro.settings.model import Settings
from maestro.telemetry.metrics import MetricsRegistry


class EchoSystem:
    """Answers lock checks at once, describes itself with its pid and epoch, and takes its time for a sync persist."""

    def __init__(self, settings: Settings, system_id: str, epoch: int, tell: Callable[[], None]) -> None:
        del tell
        self.system_id = system_id
        self.epoch = epoch
        self.checks = 0
        self.persists = 0
        self.trace = settings.data_dir / "trace"
        self.tasks: set[asyncio.Task[None]] = set()
        own = Hello(SYSTEM, epoch, system_id=system_id)
        self.links = [
            Dialer(settings.data_dir, name, own, settings.actors, MetricsRegistry(), met)
            for name, met in ((MAIN, self.met), (INGRESS, lambda _: None), (CASCADE, lambda _: None))
        ]

    async def start(self) -> None:
        structlog.get_logger().info("echo is up")
        for link in self.links:
            link.open()

    async def stop(self) -> None:
        note(self.trace, f"stop {self.system_id}")
        for link in self.links:
            await link.close()

    @property
    def problem(self) -> str:
        return ""

    def snapshot(self) -> None:
        return None

    def met(self, session: Session) -> None:
        session.on_item = lambda item: self.asked(item, session)

    def asked(self, asked: object, session: Session) -> None:
        assert isinstance(asked, Asked)
        match asked.question:
            case CheckLock():
                self.checks += 1
                session.post(asked.answered(Answer(Code.OK)))
            case DescribeSystem():
                body = f"{self.system_id} {os.getpid()} {self.epoch} {self.checks} {self.persists}".encode()
                session.post(asked.answered(Answer(Code.OK, body)))
            case PersistSync():
                self.persists += 1
                task = asyncio.get_running_loop().create_task(self.answer_late(asked, session))
                self.tasks.add(task)
                task.add_done_callback(self.tasks.discard)
            case GetDocument():
                raise ValueError("a handler that raises")

    async def answer_late(self, asked: Asked, session: Session) -> None:
        assert isinstance(asked.question, PersistSync)
        await asyncio.sleep(float(asked.question.event))
        session.post(asked.answered(Answer(Code.OK, b"late")))


class EchoHub:
    """Ingress and cascade: they note which systems come and go."""

    role = "hub"

    def __init__(self, settings: Settings, epoch: int, **_more: object) -> None:
        self.trace = settings.data_dir / "trace"
        own = Hello(self.role, epoch)
        self.links = Listener(settings.data_dir, own, settings.actors, MetricsRegistry(), self.met)

    async def start(self) -> None:
        note(self.trace, f"start {self.role}")
        self.links.open()

    async def stop(self) -> None:
        note(self.trace, f"stop {self.role}")
        await self.links.close()

    @property
    def problem(self) -> str:
        return ""

    def snapshot(self) -> None:
        return None

    def met(self, system: Hello, session: Session) -> None:
        note(self.trace, f"{self.role} attach {system.system_id} {system.epoch}")
        session.on_lost = lambda: note(self.trace, f"{self.role} detach {system.system_id}")


class EchoIngress(EchoHub):
    role = "ingress"


class EchoCascade(EchoHub):
    role = "cascade"


def note(path: Path, line: str) -> None:
    """Append a line in one write."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(descriptor, f"{line}\n".encode())
    os.close(descriptor)
