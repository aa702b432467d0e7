"""The shell around a service: it carries messages between thespian and the service's loop, and decides nothing.

Rules that hold here, each paid for (`docs/architecture.md`):

- Every handler catches everything: thespian calls one that raises a second time.
- Every handler returns the watch: one that returns nothing clears it.
- Only this thread sends: what the service sends comes through an outbox that is watched.
- The process ends with its supervisor (PR_SET_PDEATHSIG) and with the main process (a pidfd).
"""

import os
from typing import Any, Final

import structlog
from thespian.actors import Actor, ActorExitRequest, ActorSystemMessage, ThespianWatch, WatchMessage

from maestro import faultpoints
from maestro.actors import forked
from maestro.actors.answers import AnswerLog
from maestro.actors.messages import (
    Answers,
    DirectoryAck,
    Ping,
    Pong,
    Questions,
    Role,
    ServiceStarted,
    ServiceStopped,
    StartService,
    StopService,
    TellChanges,
)
from maestro.actors.outbox import Outbox
from maestro.actors.service_thread import STOP_TIMEOUT, ServiceThread
from maestro.links.service import Address, Answered, Asked
from maestro.messages import Answer, CheckLock, Code

_STARTING: Final = Answer(Code.UNAVAILABLE, message="the system is starting")
_STOPPING: Final = Answer(Code.UNAVAILABLE, message="the system is stopping")


class ServiceActor(Actor):
    """An actor that runs one service; `StartService` says which."""

    def __init__(self) -> None:
        forked.settle()
        super().__init__()
        self._outbox = Outbox()
        self._thread: ServiceThread | None = None
        self._started_by: Address = None
        self._epoch = 0
        self._answers = AnswerLog()
        self._changes: dict[str, int] = {}
        self._log = structlog.get_logger()

    def receiveMessage(self, message: object, sender: Address) -> ThespianWatch:  # noqa: N802 - thespian's name
        """Handle one message; called by thespian on the actor's thread."""
        try:
            self._handle(message, sender)
        except Exception:  # noqa: BLE001 - thespian would call a handler that raises once more
            self._log.exception("a message could not be handled", message=type(message).__name__)
        return ThespianWatch([self._outbox.fileno()])

    def _handle(self, message: object, sender: Address) -> None:
        match message:
            case WatchMessage():
                self._send_all()
            case StartService():
                self._start(message, sender)
            case ActorExitRequest():
                self._exit()
            case ActorSystemMessage():
                self._log.debug("ignored", message=type(message).__name__)
            case _ if self._thread is not None:
                self._carry(self._thread, message, sender)

    def _carry(self, thread: ServiceThread, message: object, sender: Address) -> None:
        match message:
            case Questions():
                self._ask(thread, message, sender)
            case TellChanges():
                self._change(thread, message, sender)
            case Ping():
                thread.call(lambda: self._outbox.put(sender, Pong(self._epoch, thread.problem, thread.figures)))
            case StopService():
                self._stop(thread, message, sender)
            case _:
                thread.deliver(message, sender)

    def _start(self, order: StartService, sender: Address) -> None:
        if self._thread is not None:
            if self._thread.ready:
                self.send(sender, ServiceStarted(self._epoch, os.getpid(), self._thread.problem))
            return
        context = {"system": order.system_id} if order.system_id else {}
        forked.own_logging(order.settings.log, actor=order.role, **context)
        faultpoints.this_is(order.system_id or order.role)
        self._epoch = order.epoch
        self._started_by = sender
        self._thread = ServiceThread(
            order.factory, self._arguments(order), self._outbox, os.pidfd_open(order.main_pid), self._announce
        )
        self._thread.begin()

    @staticmethod
    def _arguments(order: StartService) -> dict[str, Any]:
        arguments: dict[str, Any] = {"settings": order.settings, "epoch": order.epoch}
        if order.role is Role.SYSTEM:
            arguments["system_id"] = order.system_id
        return arguments

    def _announce(self) -> None:
        problem = self._thread.problem if self._thread is not None else ""
        self._outbox.put(self._started_by, ServiceStarted(self._epoch, os.getpid(), problem))

    def _ask(self, thread: ServiceThread, batch: Questions, sender: Address) -> None:
        if batch.epoch != self._epoch:
            return
        answered = []
        for put in batch.items:
            answer = self._answer(thread, Asked(put.correlation, put.question), sender)
            if answer is not None:
                answered.append(Answered(put.correlation, answer))
        if answered:
            self.send(sender, Answers(self._epoch, tuple(answered)))

    def _answer(self, thread: ServiceThread, asked: Asked, sender: Address) -> Answer | None:
        if isinstance(asked.question, CheckLock):  # asked anew each time, and never answered from memory
            return self._put(thread, asked, sender)
        if not self._answers.is_new(asked.correlation):
            return self._answers.find(asked.correlation)
        answer = self._put(thread, asked, sender)
        if answer is not None:
            self._answers.keep(asked.correlation, answer)
        return answer

    def _put(self, thread: ServiceThread, asked: Asked, sender: Address) -> Answer | None:
        if not thread.ready:
            return _STOPPING if thread.stopped else _STARTING
        answer = thread.answer_now(asked.question)
        if answer is None:
            thread.deliver(asked, sender)
        return answer

    def _change(self, thread: ServiceThread, changes: TellChanges, sender: Address) -> None:
        for change in changes.items:
            if change.version > self._changes.get(change.system_id, 0):
                self._changes[change.system_id] = change.version
                thread.deliver(change, sender)
        self.send(sender, DirectoryAck(self._epoch, max(change.version for change in changes.items)))

    def _stop(self, thread: ServiceThread, order: StopService, sender: Address) -> None:
        if order.epoch != self._epoch:
            return
        done = ServiceStopped(self._epoch)
        if thread.stopped:
            self.send(sender, done)
        else:
            thread.stop(lambda: self._outbox.put(sender, done))

    def _exit(self) -> None:
        if self._thread is not None and not self._thread.stopped:
            self._thread.stop()
            self._thread.join(STOP_TIMEOUT)
        self._send_all()

    def _send_all(self) -> None:
        for address, message in self._outbox.take():
            self.send(address, self._dressed(message))

    def _dressed(self, message: object) -> object:
        if not isinstance(message, Answered):
            return message
        self._answers.keep(message.correlation, message.answer)
        return Answers(self._epoch, (message,))


class IngressActor(ServiceActor):
    """The shell of the ingress service."""


class CascadeActor(ServiceActor):
    """The shell of the cascade service."""


class SystemActor(ServiceActor):
    """The shell of one system's service."""
