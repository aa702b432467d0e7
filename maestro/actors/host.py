"""`python -m maestro.actors.host`: the short-lived process that starts the actor system, then is gone.

It reads a pickled `HostOrder` from stdin, has one thread, and is the ancestor that all actors are forked from. So
neither the first start nor a later restart forks from the main process, which is full of threads by then.

thespian's Admin is a daemon of its own session, and survives everything. Here it watches the main process and exits
with it. Its logger ends as soon as the Admin knows it: every process writes its own log.
"""

import os
import pickle
import sys
from datetime import timedelta
from typing import Any, Final

import msgspec
from thespian.actors import ActorSystem, WatchMessage
from thespian.system import multiprocCommon
from thespian.system.logdirector import LoggerConnected
from thespian.system.transport import TransmitIntent, TransmitOnly

from maestro import logs, whole_file
from maestro.actors import processes, wire
from maestro.actors.messages import Factories, HostOrder, HostReport, Oversee, Overseeing
from maestro.actors.preload import preload, preload_for
from maestro.actors.supervisor import Supervisor
from maestro.actors.unix_sockets import ADMIN_PORT
from maestro.actors.warm_up import warm_up

#: Seconds the supervisor has to answer.
_ANSWER_TIMEOUT: Final = 10.0


def main() -> int:
    """Start the actor system that stdin describes; return the exit code."""
    order = _order()
    if order is None:
        return 0
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    logs.configure(order.settings.log)
    wire.install(order.key, order.settings.data_dir.resolve(), order.log_file)
    processes.begin_lineage()
    processes.adopt_orphans()
    if order.settings.actors.merge_memory:
        _merge_memory()
    try:
        report = _start(order)
    except BaseException:
        for pid in processes.children(os.getpid()):
            processes.process(pid).kill()
        raise
    whole_file.replace(order.report, msgspec.json.encode(report), sync=False)
    sys.stderr.flush()
    os._exit(0)  # no thespian finalizer is to touch what now lives on without us


def _order() -> HostOrder | None:
    """Return the order; None when there will be none. Until it is there, what every order needs is imported."""
    preload(Factories())
    data = sys.stdin.buffer.read()
    order: HostOrder | None = pickle.loads(data) if data else None  # noqa: S301 - the main process wrote it
    return order


def _start(order: HostOrder) -> HostReport:
    preload(order.factories)
    preload_for(order.settings)
    if order.factories == Factories():
        warm_up(order.settings)
    processes.trim_memory()  # no collection of a forked actor goes through what it shares: that would make it its own
    _tie_to_main(order.main_pid)
    system = ActorSystem("multiprocTCPBase", {"Admin Port": ADMIN_PORT}, logDefs={"version": 1})
    supervisor = system.createActor(Supervisor)
    answer = system.ask(
        supervisor, Oversee(order.run_id, order.settings, order.factories, order.main_pid), _ANSWER_TIMEOUT
    )
    if not isinstance(answer, Overseeing) or answer.run_id != order.run_id:
        raise RuntimeError(f"the supervisor did not answer for this run: {answer!r}")
    port = supervisor.addressDetails.sockname[1]
    return HostReport(processes.parent(answer.pid), answer.pid, port)


def _merge_memory() -> None:
    """Let the kernel merge what the actors have in common; say so when nothing comes of it."""
    log = logs.get(part="host")
    try:
        processes.merge_memory()
    except OSError as problem:
        log.warning("memory.not_merged", cause=f"this kernel cannot merge pages: {problem}")
        return
    if not processes.memory_is_merged():
        log.warning("memory.not_merged", cause="the kernel merges no pages: /sys/kernel/mm/ksm/run is not 1")


def _tie_to_main(main_pid: int) -> None:
    """Have the Admin exit with the main process, and its logger once it has said that it is there."""
    main_fd = os.pidfd_open(main_pid)

    class TiedAdmin(multiprocCommon.MultiProcAdmin):
        """thespian's Admin, that exits when the main process does."""

        asLogProc: Any  # noqa: N815 - thespian's name

        def __init__(self, transport: Any, *arguments: Any) -> None:
            processes.begin_lineage()
            super().__init__(transport, *arguments)
            transport.set_watch([main_fd])

        def childDied(self) -> Any:  # noqa: N802 - thespian's name
            # thespian would start another logger, and die of a misspelt attribute on the way.
            if self.asLogProc and not self._checkChildLiveness(self.asLogProc):
                self.asLogProc = None
            return super().childDied()

        def handleIncoming(self, envelope: Any) -> Any:  # noqa: N802 - thespian's name
            if isinstance(envelope.message, WatchMessage):
                os._exit(1)
            return super().handleIncoming(envelope)

    multiprocCommon.MultiProcAdmin = TiedAdmin
    multiprocCommon.startupASLogger = _greet_and_end


def _greet_and_end(starter: Any, endpoint: Any, _definitions: Any, transport: type[Any], _aggregator: Any) -> None:
    """Be thespian's logger until its Admin knows it, which starts nothing before: a process takes 5 MB for itself."""
    processes.die_with_forker()
    mine = transport(endpoint)
    mine.scheduleTransmit(None, TransmitIntent(starter, LoggerConnected()))
    mine.run(TransmitOnly, timedelta(seconds=_ANSWER_TIMEOUT))


if __name__ == "__main__":
    sys.exit(main())
