"""`python -m maestro.actors.host`: the short-lived process that starts the actor system, then is gone.

It reads a pickled `HostOrder` from stdin, has one thread, and is the ancestor that all actors are forked from. So
neither the first start nor a later restart forks from the main process, which is full of threads by then.

thespian's Admin is a daemon of its own session, and survives everything. Here it watches the main process and exits
with it, and its logger with the Admin.
"""

import gc
import os
import pickle
import sys
from typing import Any, Final

import msgspec
from thespian.actors import ActorSystem, WatchMessage
from thespian.system import multiprocCommon

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
    gc.collect()
    gc.freeze()  # no collection of a forked actor goes through what it shares, and makes it its own by that
    _tie_to_main(order.main_pid)
    system = ActorSystem("multiprocTCPBase", {"Admin Port": ADMIN_PORT}, logDefs={"version": 1})
    supervisor = system.createActor(Supervisor)
    answer = system.ask(
        supervisor, Oversee(order.run_id, order.settings, order.factories, order.main_pid), _ANSWER_TIMEOUT
    )
    if not isinstance(answer, Overseeing) or answer.run_id != order.run_id:
        raise RuntimeError(f"the supervisor did not answer for this run: {answer!r}")
    admin = processes.parent(answer.pid)
    logger = [pid for pid in processes.children(admin) if pid != answer.pid]
    port = supervisor.addressDetails.sockname[1]
    return HostReport(admin, logger[0] if logger else 0, answer.pid, port)


def _tie_to_main(main_pid: int) -> None:
    """Have the Admin exit with the main process, and its logger with the Admin."""
    main_fd = os.pidfd_open(main_pid)
    original_logger = multiprocCommon.startupASLogger

    class TiedAdmin(multiprocCommon.MultiProcAdmin):
        """thespian's Admin, that exits when the main process does."""

        asLogProc: Any  # noqa: N815 - thespian's name

        def __init__(self, transport: Any, *arguments: Any) -> None:
            processes.begin_lineage()
            super().__init__(transport, *arguments)
            transport.set_watch([main_fd])

        def childDied(self) -> Any:  # noqa: N802 - thespian's name
            # thespian would start another logger, and die of a misspelt attribute on the way. Nobody needs one:
            # every process writes its own log.
            if self.asLogProc and not self._checkChildLiveness(self.asLogProc):
                self.asLogProc = None
            return super().childDied()

        def handleIncoming(self, envelope: Any) -> Any:  # noqa: N802 - thespian's name
            if isinstance(envelope.message, WatchMessage):
                os._exit(1)
            return super().handleIncoming(envelope)

    def tied_logger(*arguments: Any) -> None:
        processes.die_with_forker()
        original_logger(*arguments)

    multiprocCommon.MultiProcAdmin = TiedAdmin
    multiprocCommon.startupASLogger = tied_logger


if __name__ == "__main__":
    sys.exit(main())
