"""The actor system as the main process holds it: started, watched, restarted as a whole, stopped without a trace.

The main process never forks an actor, since by the time of a restart it is full of threads, and fork with threads
deadlocks. It spawns `maestro.actors.host`, a fresh process of one thread that starts the actor system and exits;
from then on the main process is a client that knows the Admin's and the supervisor's port (`unix_sockets`) and shares a
key with them (`maestro.actors.wire`), so that it cannot talk to the actors of any other run by mistake.

    main ──spawns──> host ──forks──> Admin ──forks──> Supervisor ──forks──> ingress, cascade, systems

Who notices whose end:

    main ends               Admin, Supervisor and services watch its pidfd and exit
    Admin ends              the Supervisor, and with it the services, by PR_SET_PDEATHSIG; main restarts all
    Supervisor ends         the services by PR_SET_PDEATHSIG; main kills the rest and restarts all
    a service ends          the Supervisor creates it again
    any of them freezes     who waits for its answer kills it
"""

import asyncio
import os
import pickle
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import msgspec
import structlog

from maestro.actors import processes, wire
from maestro.actors.backoff import RestartBackoff
from maestro.actors.client import EndpointClient
from maestro.actors.endpoint import Endpoint, address_of
from maestro.actors.errors import ActorsFailed
from maestro.actors.host_process import HostProcess
from maestro.actors.messages import Address, Factories, HostOrder, HostReport, StopServices
from maestro.actors.processes import Process
from maestro.actors.run_record import RecordUnreadable, RunFolder, RunRecord, processes_of
from maestro.actors.unix_sockets import make_ports
from maestro.board.lease import Standing, make_lease
from maestro.board.node_lease import NodeLeaseHolder
from maestro.settings.model import Settings
from maestro.store.door import open_stores
from maestro.store.installation import Installation, begin_start
from maestro.store.rest_mark import RestMarks
from maestro.system.rest_basis import rest_basis

#: What all others live by: when one of these ends, the actor system is started again.
_VITAL: Final = ("admin", "supervisor")
_START_TIMEOUT: Final = 20.0
_WATCH: Final = 0.25
#: Seconds between two writes of the record, for each process in it: hundreds may come up one after the other.
_RECORD_PAUSE: Final = 0.001
_END_TIMEOUT: Final = 3.0
#: Seconds an orderly stop of the services may take, and then the Admin's own.
_STOP_SERVICES: Final = 8.5
_STOP_ADMIN: Final = 1.0


class ActorRuntime:
    """The actors of one main process. `actor_client` is how to talk to them.

    Args:
        settings: all settings; `data_dir` becomes this run's own.
        factories: where the services come from.
        host: the process for the first start, if it is spawned already; it is this one's to dismiss.
    """

    def __init__(self, settings: Settings, factories: Factories | None = None, host: HostProcess | None = None) -> None:
        self._settings = settings
        self._factories = factories or Factories()
        self._host = host
        self._folder = RunFolder(settings.data_dir)
        #: The stores of all systems; this run's own once it is launched.
        self.stores: Final = open_stores(settings)
        self.actor_client: Final = EndpointClient(settings)
        #: In a cluster, once it is launched: until when this node's processes believe its lease.
        self.node_lease: NodeLeaseHolder | None = None
        self._endpoint: Endpoint | None = None
        self._supervisor: Address = None
        self._log_file = settings.data_dir.resolve() / "thespian.log"
        self._run_id = ""
        self._roots: dict[str, processes.Process] = {}
        self._ends = processes.Watch({})
        self._recorded: dict[str, processes.Process] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._log = structlog.get_logger(actor="main")

    async def start(self) -> None:
        """Launch the actor system, and wait until ingress and cascade run. Raises what `launch` and `arrived` raise."""
        await self.launch()
        await self.arrived()

    async def launch(self, check: Callable[[], None] = lambda: None) -> None:
        """Take the data folder and start the actor system; systems can be installed from here on.

        `check` is called once the folder is ours and before anything is started; what it raises ends the start.

        Raises:
            AlreadyRunning: another main process has the data folder.
            ActorsFailed: the actor system did not come up.
            StoreError: the number of this start cannot be stored, the stores cannot be used, or it cannot be known
                which systems are at rest.
        """
        try:
            self._folder.acquire()
            self._tell_of_former()
            check()
            shared = self._settings.broker.shared
            begun = begin_start(self._settings.data_dir)
            await self.stores.enter(begun)
            await self._trust_marks(begun)
            make_lease(self._settings.data_dir, Standing.UNKNOWN if shared else Standing.ALONE)
            if self._settings.cluster.name:
                self.node_lease = NodeLeaseHolder(self._settings.data_dir)
            self._listen()
            await self._launch()
        except BaseException:
            self._dismiss_host()
            await self.stop()
            raise
        self._tasks = [asyncio.create_task(self.actor_client.run()), asyncio.create_task(self._watch())]
        for task in self._tasks:
            task.add_done_callback(self._note_end)

    async def arrived(self) -> None:
        """Wait until ingress and cascade run. Raises `ActorsFailed`, with everything stopped, when they do not."""
        try:
            await self.actor_client.wait_for_roles(_START_TIMEOUT)
        except TimeoutError:
            await self.stop()
            raise ActorsFailed("ingress and cascade did not start in time") from None
        except BaseException:
            await self.stop()
            raise

    async def run(self) -> None:
        """Wait until what keeps the actors going ends: by `stop`, or by a defect, which is raised."""
        done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            if not task.cancelled():
                task.result()

    async def stop(self) -> None:
        """Stop ingress, systems, cascade, supervisor and Admin, in that order; kill what is left after 10 s.

        Without a start that took the data folder, nothing happens: what runs there is another's.
        """
        if not self._folder.held:
            return
        watch = self._tasks[1:]
        await _cancel(watch)
        if self._endpoint is not None:
            await self._stop_in_order(self._endpoint)
        await _cancel(self._tasks)
        self._tasks = []
        await self.actor_client.close()
        left = await self._tear_down()
        self._folder.release(ended=not left)

    def kill(self) -> None:
        """Kill every process of the actor system at once, and start none again. What is left to do is `stop`."""
        for task in self._tasks[1:]:
            task.cancel()
        for process in self._all_processes():
            process.kill()

    @property
    def former_ended(self) -> bool:
        """Whether nothing of an earlier start in this data folder, which is ours, goes on."""
        return self._folder.held and not self._folder.left and not self._folder.unknown

    def _tell_of_former(self) -> None:
        if self._folder.unknown:
            self._log.warning(
                "a former run's processes are not known: one that lives on keeps its stores until it ends; "
                "maestro doctor names it",
                cause=self._folder.unknown,
            )
        if self._folder.left:
            pids = [process.pid for process in self._folder.left]
            self._log.critical("processes of a former run could not be ended: they keep their stores", pids=pids)

    async def _trust_marks(self, installation: Installation) -> None:
        """Keep the marks of the systems that need not be started. Raises `StoreError`."""
        marks = RestMarks(self._settings.data_dir)
        # In a cluster none is: which systems are this node's is found out later.
        basis = "" if self._settings.cluster.name else rest_basis(self._settings)
        at_rest = marks.keep_trusted(await self.stores.states(marks.marked()), basis, installation.adopting)
        if at_rest:
            self._log.info("systems at rest are not started", systems=len(at_rest))

    def _listen(self) -> None:
        try:
            self.actor_client.listen()
        except OSError as problem:
            raise ActorsFailed(f"the sockets in {self._settings.data_dir} cannot be had: {problem}") from problem

    def _note_end(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            self._log.critical("what keeps the actors going has ended", exc_info=task.exception())

    # --- starting ---------------------------------------------------------------------------------------------

    async def _launch(self) -> None:
        self._run_id = secrets.token_hex(8)
        key = secrets.token_bytes(wire.KEY_BYTES)
        data_dir = self._settings.data_dir.resolve()
        make_ports(data_dir)
        report = await self._run_host(key)
        wire.install(key, data_dir, self._log_file)
        self._roots = processes_of([("admin", report.admin_pid), ("supervisor", report.supervisor_pid)])
        self._ends = processes.Watch({name: self._roots.get(name, processes.NOBODY) for name in _VITAL})
        self._record()
        loop = asyncio.get_running_loop()
        self._endpoint = Endpoint(
            receive=lambda message: _on(loop, self.actor_client.receive, message),
            lost=lambda address, message: _on(loop, self.actor_client.lost, address, message),
        )
        self._endpoint.open()
        self._supervisor = address_of(report.supervisor_port)
        self.actor_client.attach(self._endpoint, self._supervisor, self._run_id)
        self._log.info("actor system started", run=self._run_id, admin=report.admin_pid)

    async def _run_host(self, key: bytes) -> HostReport:
        folder = self._settings.data_dir.resolve()
        report = folder / "actors.report"
        report.unlink(missing_ok=True)
        order = HostOrder(self._run_id, key, self._settings, self._factories, os.getpid(), report, self._log_file)
        host, self._host = self._host or HostProcess(), None

        def end() -> None:
            started = [processes.process(pid) for pid in (*processes.children(host.pid), host.pid)]
            processes.end(started, _END_TIMEOUT)

        try:
            await asyncio.to_thread(host.carry_out, pickle.dumps(order), _START_TIMEOUT, end)
        except asyncio.CancelledError:
            end()
            raise
        try:
            return msgspec.json.decode(report.read_bytes(), type=HostReport)
        except FileNotFoundError:
            raise ActorsFailed(f"the actor system did not start; {self._log_file} may say why") from None
        finally:
            report.unlink(missing_ok=True)

    def _dismiss_host(self) -> None:
        if self._host is not None:
            self._host.dismiss()
            self._host = None

    def _record(self) -> bool:
        """Record the processes, as far as they are known; False when they are recorded already."""
        actors = self._roots | {
            _name(entry.role.value, entry.system_id): Process(entry.pid, entry.started)
            for entry in self.actor_client.entries
            if entry.started
        }
        if actors == self._recorded:
            return False
        self._recorded = actors
        self._folder.write(RunRecord(self._run_id, processes.process(os.getpid()), actors))
        return True

    # --- watching ---------------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        backoff, born, entries = RestartBackoff(), time.monotonic(), self.actor_client.entries
        adopts = processes.adopts_orphans()
        while True:
            if adopts:
                processes.reap()
            if self.actor_client.entries is entries:
                await self.actor_client.changed(_WATCH)
            if self.actor_client.entries is not entries:
                entries = self.actor_client.entries
                if self._record():
                    await asyncio.sleep(min(_WATCH, _RECORD_PAUSE * len(entries)))
            problem = self._problem()
            if problem is not None:
                self._log.error("restarting the actor system", problem=problem)
                await self._restart(backoff, time.monotonic() - born)
                born = time.monotonic()

    async def _restart(self, backoff: RestartBackoff, lived: float) -> None:
        while True:
            await self._tear_down()
            await asyncio.sleep(backoff.after(lived))
            try:
                await self._launch()
            except (ActorsFailed, OSError) as problem:
                self._log.error("the actor system did not start", problem=str(problem))
                lived = 0.0
            else:
                return

    def _problem(self) -> str | None:
        for name in self._ends.ended():
            return f"{name} ended"
        if self._endpoint is None or not self._endpoint.alive:
            return "the endpoint's thread ended"
        if self.actor_client.silent_for >= self._settings.actors.replace_after:
            return "the supervisor is silent"
        return None

    # --- stopping ---------------------------------------------------------------------------------------------

    async def _stop_in_order(self, endpoint: Endpoint) -> None:
        stopped = self.actor_client.stopping()
        deadline = time.monotonic() + _STOP_SERVICES
        while not stopped.done() and time.monotonic() < deadline and self._problem() is None:
            endpoint.send(self._supervisor, StopServices())
            await asyncio.wait([stopped], timeout=1.0)
        if not stopped.done():
            self._log.error("the services could not be stopped in order")
            return
        if stopped.result().unclean:
            self._log.error("services had to be killed", services=stopped.result().unclean)
        endpoint.shut_down_admin()
        await asyncio.to_thread(processes.gone, list(self._all_processes()), _STOP_ADMIN)

    async def _tear_down(self) -> list[processes.Process]:
        """Let go of everything; return what could not be ended."""
        self.actor_client.detach()
        self._ends.close()
        if self._endpoint is not None:
            await asyncio.to_thread(self._endpoint.close)
            self._endpoint = None
        left = await asyncio.to_thread(processes.end, self._all_processes(), _END_TIMEOUT)
        if left:
            self._log.critical("processes could not be ended", pids=[process.pid for process in left])
        return left

    def _all_processes(self) -> list[processes.Process]:
        """Return every process of the actor system: the known ones, and what they have forked since."""
        known = {process.pid: process for process in self._roots.values()}
        with suppress(RecordUnreadable):  # a former run's: we have written none yet
            record = self._folder.read()
            known |= {process.pid: process for process in record.actors.values()} if record else {}
        for root in list(self._roots.values()):
            known |= {pid: processes.process(pid) for pid in processes.children(root.pid)} if root.alive else {}
        return list(known.values())


def _name(role: str, system_id: str) -> str:
    return f"system {system_id}" if system_id else role


def _on(loop: asyncio.AbstractEventLoop, action: object, *arguments: object) -> None:
    with suppress(RuntimeError):  # the loop is closed: nobody is left to tell
        loop.call_soon_threadsafe(action, *arguments)  # type: ignore[arg-type]


async def _cancel(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
