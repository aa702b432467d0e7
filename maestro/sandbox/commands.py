"""The command lines `maestro sandbox` and `maestro demo`; the CLI registers both functions."""

import asyncio
import os
import signal
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, NoReturn

import orjson
import typer
from rich.console import Console

from maestro import logs
from maestro.broker.base import BrokerError
from maestro.events import BadInput, check_system_id
from maestro.sandbox import service
from maestro.sandbox.broker_choice import BrokerKind, NoBroker, broker_settings
from maestro.sandbox.demo import run as play
from maestro.sandbox.demo.clients import CallFailed
from maestro.sandbox.demo.plan import CannotPlan, make_plan, parse_currencies, parse_years
from maestro.sandbox.demo.report import Report
from maestro.sandbox.demo.stage import ProcessDied
from maestro.sandbox.demo.waiting import GaveUp
from maestro.sandbox.quotes import load_history
from maestro.sandbox.sandbox import Ports
from maestro.settings import LogSettings

_WRONG_USE = 2


def sandbox(
    system: Annotated[list[str], typer.Option(help="Installed system; may be given more than once.")] = [play.SYSTEM],  # noqa: B006 - typer copies it
    maestro: Annotated[str, typer.Option(help="Base URL of Maestro.")] = "http://127.0.0.1:6971",
    broker: Annotated[BrokerKind, typer.Option(help="Where persist events are published.")] = BrokerKind.EMBEDDED,
    broker_dir: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the embedded broker's queues; by default the one that Maestro takes, data/broker.",
            envvar="MAESTRO_BROKER__EMBEDDED_DIR",
        ),
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="Folder of the domain; by default a temporary one, removed at the end.")
    ] = None,
    ready_file: Annotated[
        Path | None, typer.Option(help="Where to write the addresses (JSON) once everything listens.")
    ] = None,
    process_memory_port: Annotated[int, typer.Option(help="0: a free port, as for each of them.")] = 9091,
    discovery_port: Annotated[int, typer.Option()] = 8090,
    api_core_port: Annotated[int, typer.Option()] = 9110,
    domain_port: Annotated[int, typer.Option()] = 0,
    event_manager_port: Annotated[int, typer.Option()] = 8081,
    free_ports: Annotated[bool, typer.Option("--free-ports", help="Take a free port for every service.")] = False,  # noqa: FBT002 - a flag
) -> None:
    """Serve a small real platform around Maestro, on loopback, and print its addresses as one line of JSON."""
    logs.configure(LogSettings())
    ports = Ports(process_memory_port, discovery_port, api_core_port, domain_port, event_manager_port)
    try:
        settings = service.ServiceSettings(
            systems=tuple(check_system_id(one, "system") for one in system),
            maestro_url=maestro.rstrip("/"),
            broker=broker_settings(broker, broker_dir or _broker_dir(), os.environ),
            ports=Ports() if free_ports else ports,
            data_dir=data_dir,
            ready_file=ready_file,
        )
    except (BadInput, NoBroker) as problem:
        _fail(str(problem), _WRONG_USE)
    try:
        asyncio.run(service.run(settings))
    except (OSError, BrokerError) as problem:
        _fail(f"the sandbox cannot start: {problem}", 1)


def demo(
    currencies: Annotated[str, typer.Option(help="Currencies, comma-separated.")] = "BRL,USD,CHF",
    years: Annotated[str, typer.Option(help="A year, or a range of years.")] = "2008-2010",
    broker: Annotated[BrokerKind, typer.Option(help="rabbitmq: where RABBITMQ_* or MAESTRO_BROKER__URL say.")] = (
        BrokerKind.EMBEDDED
    ),
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")] = False,  # noqa: FBT002 - a flag
    keep: Annotated[bool, typer.Option("--keep", help="Leave everything running and say where.")] = False,  # noqa: FBT002 - a flag
) -> None:
    """Play the platform's story on real market quotes, and check every result against a from-scratch computation."""
    console = Console(stderr=True)
    try:
        plan = make_plan(load_history(), parse_currencies(currencies), parse_years(years))
        report = asyncio.run(_interruptible(play.run(plan, broker, console, keep=keep)))
    except (CannotPlan, NoBroker) as problem:
        _fail(str(problem), _WRONG_USE)
    except asyncio.CancelledError:
        _fail("interrupted", 128 + signal.SIGINT)
    except (ProcessDied, GaveUp, CallFailed, ExceptionGroup) as problem:
        _fail("\n".join([str(_first(problem)), *getattr(problem, "__notes__", ())]), 1)
    if as_json:
        sys.stdout.buffer.write(orjson.dumps(report.as_json(), option=orjson.OPT_APPEND_NEWLINE))
    raise typer.Exit(0 if report.equal else 1)


def _broker_dir() -> Path:
    """Return the folder that a Maestro of the same environment takes for its embedded broker."""
    return Path(os.environ.get("MAESTRO_DATA_DIR", "data")) / "broker"


async def _interruptible(work: Coroutine[Any, Any, Report]) -> Report:
    """Await `work`; the first SIGINT, SIGTERM or SIGHUP cancels it, further ones do not disturb its cleaning up."""
    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()

    def interrupt() -> None:
        if not task.cancelling():
            task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, interrupt)
    return await task


def _first(problem: BaseException) -> BaseException:
    """Return the problem itself, or the first of a group's (the story sends and waits side by side)."""
    while isinstance(problem, BaseExceptionGroup):
        problem = problem.exceptions[0]
    return problem


def _fail(message: str, status: int) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(status)
