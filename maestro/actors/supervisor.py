"""The supervisor: the parent of all other actors. It runs what `maestro.actors.supervision_plan` decides.

It has no thread and does no I/O, as a process that forks must not; what it waits for are messages, its own ticks and
the end of the main process. When that ends, it kills the Admin, and with it, through PR_SET_PDEATHSIG, everything.
thespian's `ChildActorExited` comes late, twice, or not at all when two children die at once, so it only hastens a look
at which processes are still there.
"""

import os
import time
from contextlib import suppress
from datetime import timedelta
from typing import Any, Final

import structlog
from thespian.actors import (
    Actor,
    ActorExitRequest,
    ActorSystemMessage,
    ChildActorExited,
    ThespianWatch,
    WakeupMessage,
    WatchMessage,
)

from maestro import faultpoints
from maestro.actors import forked, processes
from maestro.actors.base import CascadeActor, IngressActor, SystemActor
from maestro.actors.messages import (
    Address,
    GetDirectory,
    Oversee,
    Overseeing,
    Pong,
    Replace,
    Role,
    ServicesStopped,
    ServiceStarted,
    ServiceStopped,
    StopServices,
    Wake,
)
from maestro.actors.processes import Process
from maestro.actors.supervision_commands import Command, Create, Kill, Tell
from maestro.actors.supervision_plan import SupervisionPlan
from maestro.board.pulse import Pulse
from maestro.store.rest_mark import RestMarks

#: Seconds that thespian's wake-up may come before its time, by its rounding.
_LATE: Final = 0.001
_SHELLS: Final = {Role.INGRESS: IngressActor, Role.CASCADE: CascadeActor, Role.SYSTEM: SystemActor}


class Supervisor(Actor):
    """Creates and re-creates the other actors; `Oversee` tells it for which run."""

    def __init__(self) -> None:
        forked.settle()
        super().__init__()
        self._plan: SupervisionPlan | None = None
        self._pulse: Pulse | None = None
        self._tick_at = float("inf")
        self._main_fd = -1
        self._leaving = False
        self._stop_asked_by: Address = None
        self._log = structlog.get_logger()

    def receiveMessage(self, message: object, sender: Address) -> ThespianWatch | None:  # noqa: N802 - thespian's name
        """Handle one message; called by thespian."""
        try:
            self._handle(message, sender)
        except Exception:  # noqa: BLE001 - thespian would call a handler that raises once more
            self._log.exception("a message could not be handled", message=type(message).__name__)
        return ThespianWatch([self._main_fd]) if self._main_fd >= 0 else None

    def _handle(self, message: object, sender: Address) -> None:
        match message:
            case WatchMessage():
                self._end_everything()
            case Oversee():
                self._oversee(message, sender)
            case _ if self._plan is not None:
                self._manage(self._plan, message, sender)

    def _manage(self, plan: SupervisionPlan, message: object, sender: Address) -> None:
        now = time.monotonic()
        match message:
            case WakeupMessage():
                self._tick(plan, now)
            case ChildActorExited():
                self._run(plan.ended(now))
            case ActorExitRequest():
                self._leaving = True
            case ActorSystemMessage():
                pass
            case GetDirectory():
                self._run(plan.install(message.install, now))
                self._run(plan.wake(message.wake, now))
                self._run(plan.release(message.release, now))
                self.send(sender, plan.directory(message.version, message.release))
                self._tick_soon(plan, now)
            case Replace():
                self._log.warning("replacing a silent actor", system=message.system_id, epoch=message.epoch)
                self._run(plan.replace(message.system_id, message.epoch))
            case Wake():
                self._run(plan.wake(message.system_ids, now))
                self._tick_soon(plan, now)
            case StopServices():
                self._stop_asked_by = sender
                self._run(plan.stop(now))
            case _:
                self._note(plan, message, sender, now)
        self._report_stop(plan)

    def _tick(self, plan: SupervisionPlan, now: float) -> None:
        """Let the plan tick, if this is the wake-up for it and not an earlier one's that was too late."""
        if now < self._tick_at:
            return
        if self._pulse is not None:
            self._pulse.look()
        self._run(plan.tick(now))
        self._tick_at = float("inf")
        self._tick_soon(plan, time.monotonic())

    def _tick_soon(self, plan: SupervisionPlan, now: float) -> None:
        """Have the next tick when the plan wants it."""
        pause = plan.pace
        if now + pause < self._tick_at:
            self._tick_at = now + pause
            self.wakeupAfter(timedelta(seconds=pause + _LATE))

    def _note(self, plan: SupervisionPlan, message: object, sender: Address, now: float) -> None:
        match message:
            case ServiceStarted():
                self._run(plan.started(message.epoch, sender, now, message.problem))
            case ServiceStopped():
                self._run(plan.stopped(message.epoch, now))
            case Pong():
                plan.heard_at(message.epoch, now, message.problem)
                plan.told(message.epoch, message.snapshot)

    def _oversee(self, order: Oversee, sender: Address) -> None:
        if self._plan is None:
            forked.own_logging(order.settings.log, actor="supervisor")
            faultpoints.this_is("supervisor")
            self._main_fd = os.pidfd_open(order.main_pid)
            self._pulse = Pulse(order.settings.data_dir) if order.settings.http.lock_board else None
            self._plan = SupervisionPlan(
                order.run_id,
                order.settings,
                order.factories,
                order.main_pid,
                # One clock for all processes of the machine, and nobody sets it.
                epochs=time.monotonic_ns,
                alive=processes.child_alive,
                beat=self._pulse.beat if self._pulse is not None else _no_beat,
                rests=RestMarks(order.settings.data_dir).has,
            )
            self._run(self._plan.open(time.monotonic()))
            self._tick_soon(self._plan, time.monotonic())
        self.send(sender, Overseeing(self._plan.run_id, os.getpid()))

    def _run(self, commands: list[Command]) -> None:
        for command in commands:
            match command:
                case Create():
                    self._create(command)
                case Kill():
                    command.process.kill()
                case Tell():
                    self.send(command.address, command.message)

    def _create(self, command: Create) -> None:
        assert self._plan is not None
        if self._leaving:  # thespian would hand out an address and fork nothing
            return
        role, system_id = command.key
        before = self._children()
        known = set(map(id, before))
        address = self.createActor(_SHELLS[role])
        new = [each for each in self._children() if id(each) not in known]
        if not new:  # thespian hands out an address even when the fork fails
            self._log.error("actor not created", role=role, system=system_id)
            self._plan.not_created(command.key, time.monotonic())
            return
        faultpoints.reach("supervisor.after_fork")
        forked.forget_sentinel(new[0].childProc)
        process = processes.process(new[0].childProc.pid)
        self._log.info("actor created", role=role, system=system_id, pid=process.pid)
        self._run(self._plan.created(command.key, address, process, time.monotonic()))

    def _children(self) -> list[Any]:
        """Return what thespian knows of the processes it forked here; it tells nobody their pids."""
        return list(getattr(self._myRef, "_child_procs", ()))

    def _report_stop(self, plan: SupervisionPlan) -> None:
        if plan.done and self._stop_asked_by is not None:
            self.send(self._stop_asked_by, ServicesStopped(tuple(plan.unclean)))
            self._stop_asked_by = None

    def _end_everything(self) -> None:
        for process in self._everything():
            process.kill()
        os._exit(1)

    def _everything(self) -> list[Process]:
        admin = os.getppid()
        with suppress(OSError):
            return [processes.process(pid) for pid in (admin, *processes.children(admin)) if pid != os.getpid()]
        return []


def _no_beat(_system_id: str, _epoch: int) -> float:
    return 0.0
