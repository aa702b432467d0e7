"""Starts the demo's two processes, the sandbox and a Maestro of its own, and sees to it that both end."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, Self

import aiohttp
import orjson

import maestro
from maestro.ports import free_port
from maestro.sandbox.broker_choice import amqp_url
from maestro.sandbox.demo.waiting import GaveUp, until
from maestro.sandbox.options import BrokerKind

#: Seconds until a process is up, and until it is gone after SIGTERM.
_START, _STOP = 60.0, 12.0
#: The module that is Maestro, and its arguments.
SERVE: Final = ("maestro.cli.main", "serve")
#: Environment that would reach the demo's own Maestro from outside.
_FOREIGN: Final = ("MAESTRO_", "AUTO_REPROCESSING_", "RABBITMQ_", "APICORE_", "DISCOVERY_", "PROCESS_MEMORY_",
                   "EVENT_MANAGER_")  # fmt: skip
#: Lines of a log that are shown when its process fails.
_TAIL = 15


class ProcessDied(Exception):  # noqa: N818 - it did die
    """One of the processes ended on its own; the message has the end of its log."""


@dataclass(frozen=True, slots=True)
class Running:
    """A process of the stage."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def check(self) -> None:
        """Raise `ProcessDied` if it is gone."""
        status = self.process.poll()
        if status is not None:
            lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-_TAIL:]
            raise ProcessDied("\n".join([f"{self.name} ended with status {status}:", *lines]))


class Stage:
    """The sandbox and Maestro on one data folder. A context manager; `keep` leaves all running."""

    def __init__(
        self,
        system: str,
        broker: BrokerKind,
        environ: Mapping[str, str],
        serve: Sequence[str] = SERVE,
        *,
        kind: bool = False,
        others: Sequence[str] = (),
    ) -> None:
        """Prepare; nothing runs yet. `serve` is the module that is Maestro, and its arguments.

        The systems `others` are installed as well. The platform is as unkind as the sandbox comes, unless it is to be
        `kind`.

        Raises:
            NoBroker: RabbitMQ is asked for and nothing says where it is.
        """
        self._system = system
        self._others = others
        self._serve = serve
        self._kind = kind
        self._environ = {key: value for key, value in environ.items() if not key.startswith(_FOREIGN) and key != "PORT"}
        self._broker = broker
        self._broker_url = amqp_url(environ) if broker is BrokerKind.RABBITMQ else ""
        self._running: list[Running] = []
        self._kept = False
        self.data_dir = Path(tempfile.mkdtemp(prefix="maestro-demo-"))
        self.maestro_url = f"http://127.0.0.1:{free_port()}"
        #: Service -> base URL; known once the sandbox is up.
        self.services: dict[str, str] = {}

    async def __aenter__(self) -> Self:
        """Start both and wait until they are ready. Raises `ProcessDied` or `GaveUp`."""
        try:
            await self._start_sandbox()
            await self._start_maestro()
        except BaseException as problem:
            await self.end(problem)
            raise
        return self

    async def __aexit__(self, kind: type[BaseException] | None, problem: BaseException | None, trace: object) -> None:
        """Stop both, Maestro first. The data folder stays if the demo failed."""
        if not self._kept:
            await self.end(problem)

    @property
    def pids(self) -> dict[str, int]:
        """The process ids, by name."""
        return {running.name: running.process.pid for running in self._running}

    def keep(self) -> None:
        """Leave everything running."""
        self._kept = True

    def check(self) -> None:
        """Raise `ProcessDied` if one of the processes is gone."""
        for running in self._running:
            running.check()

    async def watch(self) -> None:
        """Return never; raises `ProcessDied` when one of the processes ends."""
        while True:
            self.check()
            await asyncio.sleep(0.2)

    async def _start_sandbox(self) -> None:
        ready_file = self.data_dir / "sandbox.json"
        arguments = [
            "maestro.sandbox", *(word for one in (self._system, *self._others) for word in ("--system", one)),
            "--maestro", self.maestro_url,
            "--data-dir", str(self.data_dir / "sandbox"), "--ready-file", str(ready_file),
            "--broker", self._broker.value, "--broker-dir", str(self.data_dir / "broker"), "--free-ports",
            *(("--kind",) if self._kind else ()),
        ]  # fmt: skip
        running = self._spawn("sandbox", arguments, {})

        async def ready() -> dict[str, Any] | None:
            running.check()
            return orjson.loads(ready_file.read_bytes()) if ready_file.exists() else None

        answer = await until(ready, "the sandbox to be ready", _START)
        self.services = {
            name: f"http://{at['host']}:{at['port']}" for name, at in answer.items() if isinstance(at, dict)
        }

    async def _start_maestro(self) -> None:
        self._spawn("maestro", self._serve, self._maestro_environment())
        await self.ready_at(self.maestro_url, "Maestro", _START)

    async def ready_at(self, url: str, what: str, seconds: float) -> None:
        """Wait until the Maestro at a URL is ready, for that long at most."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session:

            async def ready() -> bool:
                self.check()
                try:
                    async with session.get(f"{url}/readyz") as answer:
                        return answer.status == HTTPStatus.OK
                except (aiohttp.ClientError, TimeoutError):
                    return False

            await until(ready, f"{what} to be ready", seconds)

    def _maestro_environment(self) -> dict[str, str]:
        environment = {
            "MAESTRO_HTTP__HOST": "127.0.0.1",
            "MAESTRO_HTTP__PORT": self.maestro_url.rpartition(":")[2],
            "MAESTRO_BROKER__KIND": self._broker.value,
            "MAESTRO_BROKER__EMBEDDED_DIR": str(self.data_dir / "broker"),
            "MAESTRO_LABELS": str(Path(maestro.__file__).parent / "defaults" / "labels.toml"),
        }
        for sibling in ("process_memory", "discovery", "api_core", "event_manager"):
            host, _, port = self.services[sibling].removeprefix("http://").partition(":")
            variable = sibling.upper().replace("API_CORE", "APICORE")
            environment |= {f"{variable}_HOST": host, f"{variable}_PORT": port, f"{variable}_SCHEME": "http"}
        return environment

    def _spawn(self, name: str, module: Sequence[str], environment: Mapping[str, str]) -> Running:
        """Start `python -m module…` in a session of its own: Ctrl-C is this process's to handle, in order."""
        package_parent = str(Path(maestro.__file__).parents[1])
        paths = [package_parent, self._environ.get("PYTHONPATH", "")]
        environment = {
            **self._environ,
            "MAESTRO_DATA_DIR": str(self.data_dir / "maestro"),
            "MAESTRO_BROKER__URL": self._broker_url,
            "PYTHONPATH": os.pathsep.join(path for path in paths if path),
            **environment,
        }
        if not self._broker_url:
            del environment["MAESTRO_BROKER__URL"]
        log = self.data_dir / f"{name}.log"
        with log.open("ab") as output:
            process = subprocess.Popen(  # noqa: S603 - our own interpreter and modules
                [sys.executable, "-P", "-m", *module], env=environment, cwd=self.data_dir, stdin=subprocess.DEVNULL,
                stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        running = Running(name, process, log)
        self._running.append(running)
        return running

    async def end(self, problem: BaseException | None) -> None:
        """Stop both, Maestro first, and whatever they left; without a problem the data folder goes too."""
        for running in reversed(self._running):
            await _stop(running.process)
        for pid in processes_of(self.data_dir):
            _signal(pid, signal.SIGKILL)
        if isinstance(problem, Exception):
            problem.add_note(f"data and logs are left in {self.data_dir}")
        else:
            shutil.rmtree(self.data_dir, ignore_errors=True)


async def _stop(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM, and SIGKILL when that is not heard."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is None:
            _signal(process.pid, number)

        async def gone() -> bool:
            return process.poll() is not None

        try:
            await until(gone, "a process to end", _STOP)
        except GaveUp:
            continue
        return


def processes_of(folder: Path) -> list[int]:
    """Return the processes that have a Maestro's data folder in their environment which is this one, or within it.

    Maestro's actors are sessions of their own: should it be killed, this is how those left over are found (on Linux).
    """
    mark = f"MAESTRO_DATA_DIR={folder}".encode()
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if any(one == mark or one.startswith(mark + b"/") for one in path.read_bytes().split(b"\0")):
                found.append(int(path.parent.name))
        except OSError:  # not ours, or gone
            continue
    return found


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
