"""The shell around a service: it starts and stops the service, shows signs of life, and decides nothing.

Rules that hold here, each paid for (`docs/architecture.md`):

- Every handler catches everything: thespian calls one that raises a second time.
- Every handler returns the watch: one that returns nothing clears it.
- Only this thread sends: what the service's thread has to say comes through an outbox that is watched.
- The process ends with its supervisor (PR_SET_PDEATHSIG) and with the main process (a pidfd).
"""

import os
from typing import Any

import structlog
from thespian.actors import Actor, ActorExitRequest, ActorSystemMessage, ThespianWatch, WatchMessage

from maestro import faultpoints
from maestro.actors import forked
from maestro.actors.messages import (
    Address,
    Ping,
    Pong,
    Role,
    ServiceStarted,
    ServiceStopped,
    StartService,
    StopService,
    Wake,
)
from maestro.actors.outbox import Outbox
from maestro.actors.service_thread import STOP_TIMEOUT, ServiceThread


class ServiceActor(Actor):
    """An actor that runs one service; `StartService` says which."""

    def __init__(self) -> None:
        forked.settle()
        super().__init__()
        self._outbox = Outbox()
        self._thread: ServiceThread | None = None
        self._started_by: Address = None
        self._epoch = 0
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
            case Ping():
                thread.call(lambda: self._outbox.put(sender, Pong(self._epoch, thread.problem, thread.snapshot)))
            case StopService():
                self._stop(thread, message, sender)

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

    def _arguments(self, order: StartService) -> dict[str, Any]:
        arguments: dict[str, Any] = {"settings": order.settings, "epoch": order.epoch}
        if order.role is Role.SYSTEM:
            arguments |= {"system_id": order.system_id, "tell": self._tell}
        elif order.role is Role.INGRESS:
            arguments["wake"] = self._wake
        return arguments

    def _wake(self, system_ids: tuple[str, ...]) -> None:
        self._outbox.put(self._started_by, Wake(system_ids))

    def _tell(self) -> None:
        """Say at once what keeps the service from its work, or that nothing does: one that is well is seldom asked."""
        if self._thread is not None and self._thread.ready:
            self._outbox.put(self._started_by, Pong(self._epoch, self._thread.problem))

    def _announce(self) -> None:
        problem = self._thread.problem if self._thread is not None else ""
        self._outbox.put(self._started_by, ServiceStarted(self._epoch, os.getpid(), problem))

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
            self.send(address, message)


class IngressActor(ServiceActor):
    """The shell of the ingress service."""


class CascadeActor(ServiceActor):
    """The shell of the cascade service."""


class SystemActor(ServiceActor):
    """The shell of one system's service."""
