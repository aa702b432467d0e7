"""`maestro sandbox`: the sandbox as a process of its own, until it is told to stop."""

import asyncio
import contextlib
import os
import shutil
import signal
import tempfile
from dataclasses import dataclass
from pathlib import Path

import orjson

from maestro.broker import open_broker
from maestro.sandbox.sandbox import Addresses, Ports, Sandbox
from maestro.sandbox.traits import Traits
from maestro.settings.servers import BrokerSettings


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """How the process is to run."""

    systems: tuple[str, ...]
    maestro_url: str
    broker: BrokerSettings
    ports: Ports
    #: Folder of the domain's file; None: a temporary one, removed at the end.
    data_dir: Path | None
    #: Where the addresses are written once everything listens; None: only to standard output.
    ready_file: Path | None
    #: How unkind the services are.
    traits: Traits = Traits()  # noqa: RUF009 - frozen


async def run(settings: ServiceSettings) -> None:
    """Serve until SIGTERM or SIGINT. Raises `OSError` when a port is taken, or the data folder was used before."""
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with contextlib.AsyncExitStack() as stack:
        folder = settings.data_dir or Path(tempfile.mkdtemp(prefix="maestro-sandbox-"))
        if settings.data_dir is None:
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
        broker = open_broker(settings.broker, folder)
        await broker.start()
        stack.push_async_callback(broker.close)
        sandbox = Sandbox(
            settings.systems, broker, folder,
            maestro_url=settings.maestro_url, ports=settings.ports, traits=settings.traits,
        )  # fmt: skip
        stack.push_async_callback(sandbox.stop)
        announce(await sandbox.start(), settings.ready_file)
        await _until_stopped(stopped, sandbox)


def announce(addresses: Addresses, ready_file: Path | None) -> None:
    """Write the addresses as one line of JSON; the file appears whole or not at all."""
    line = orjson.dumps(addresses.as_dict() | {"pid": os.getpid()}, option=orjson.OPT_APPEND_NEWLINE)
    if ready_file is not None:
        draft = ready_file.with_name(ready_file.name + ".draft")
        draft.write_bytes(line)
        draft.replace(ready_file)
    print(line.decode(), end="", flush=True)  # noqa: T201 - the line is for the parent process


async def _until_stopped(stopped: asyncio.Event, sandbox: Sandbox) -> None:
    waiters = {asyncio.create_task(stopped.wait()), asyncio.create_task(sandbox.wait())}
    done, rest = await asyncio.wait(waiters, return_when=asyncio.FIRST_COMPLETED)
    for task in rest:
        task.cancel()
    await asyncio.gather(*rest, return_exceptions=True)
    for task in done:
        task.result()
