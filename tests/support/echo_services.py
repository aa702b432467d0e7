"""The smallest services that do: they answer, name their process, and can be told to misbehave."""

import asyncio
import os
from pathlib import Path

import structlog

from maestro.links.service import Asked, Attach, Detach, Outlet
from maestro.messages import Answer, CheckLock, Code, DescribeSystem, GetDocument, PersistSync, Question
from maestro.settings.model import Settings


class EchoSystem:
    """Answers lock checks at once, describes itself with its pid and epoch, and takes its time for a sync persist."""

    def __init__(self, settings: Settings, system_id: str, epoch: int, outlet: Outlet) -> None:
        self.system_id = system_id
        self.epoch = epoch
        self.outlet = outlet
        self.checks = 0
        self.persists = 0
        self.trace = settings.data_dir / "trace"
        self.tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        structlog.get_logger().info("echo is up")

    async def stop(self) -> None:
        note(self.trace, f"stop {self.system_id}")

    @property
    def problem(self) -> str:
        return ""

    def figures(self) -> None:
        return None

    def answer_now(self, question: Question) -> Answer | None:
        if isinstance(question, CheckLock):
            self.checks += 1
            return Answer(Code.OK)
        return None

    def receive(self, message: object, sender: object) -> None:
        if not isinstance(message, Asked):
            return
        match message.question:
            case DescribeSystem():
                body = f"{self.system_id} {os.getpid()} {self.epoch} {self.checks} {self.persists}".encode()
                self.outlet.send(sender, message.answered(Answer(Code.OK, body)))
            case PersistSync():
                self.persists += 1
                task = asyncio.get_running_loop().create_task(self.answer_late(message, sender))
                self.tasks.add(task)
                task.add_done_callback(self.tasks.discard)
            case GetDocument():
                raise ValueError("a handler that raises")

    async def answer_late(self, asked: Asked, sender: object) -> None:
        assert isinstance(asked.question, PersistSync)
        await asyncio.sleep(float(asked.question.event))
        self.outlet.send(sender, asked.answered(Answer(Code.OK, b"late")))


class EchoHub:
    """Ingress and cascade: they note which systems they are told of."""

    role = "hub"

    def __init__(self, settings: Settings, epoch: int, outlet: Outlet) -> None:
        self.trace = settings.data_dir / "trace"

    async def start(self) -> None:
        note(self.trace, f"start {self.role}")

    async def stop(self) -> None:
        note(self.trace, f"stop {self.role}")

    @property
    def problem(self) -> str:
        return ""

    def figures(self) -> None:
        return None

    def answer_now(self, question: Question) -> Answer | None:
        return None

    def receive(self, message: object, sender: object) -> None:
        match message:
            case Attach():
                note(self.trace, f"{self.role} attach {message.system_id} {message.epoch}")
            case Detach():
                note(self.trace, f"{self.role} detach {message.system_id}")


class EchoIngress(EchoHub):
    role = "ingress"


class EchoCascade(EchoHub):
    role = "cascade"


def note(path: Path, line: str) -> None:
    """Append a line in one write."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(descriptor, f"{line}\n".encode())
    os.close(descriptor)
