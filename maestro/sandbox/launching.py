"""What `maestro sandbox` and `maestro demo` do with their options; each end becomes a line and an exit status."""

import asyncio
import os
import signal
import sys
from collections.abc import Coroutine, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any, Final, NoReturn, TypeVar

import orjson
import typer
from rich.console import Console

from maestro import logs
from maestro.broker.base import BrokerError
from maestro.events import BadInput, check_system_id
from maestro.sandbox import broker_choice, service
from maestro.sandbox.broker_choice import NoBroker
from maestro.sandbox.demo import run as play
from maestro.sandbox.demo.clients import CallFailed
from maestro.sandbox.demo.plan import CannotPlan
from maestro.sandbox.demo.stage import ProcessDied
from maestro.sandbox.demo.story import Plan
from maestro.sandbox.demo.waiting import GaveUp
from maestro.sandbox.meters import story as meter_story
from maestro.sandbox.options import BrokerKind, StoryName
from maestro.sandbox.quotes import story as quote_story
from maestro.sandbox.quotes.history import NoQuotes, load_history
from maestro.sandbox.sandbox import Ports
from maestro.sandbox.traits import KIND, BadTrait, Traits
from maestro.settings.addresses import gateway_url
from maestro.settings.loading import load_settings
from maestro.settings.model import LogSettings
from maestro.settings.problems import SettingsError

_T = TypeVar("_T")
#: Columns of what is printed to no terminal.
_WIDE: Final = 200
_FAILED, _WRONG_USE = 1, 2
#: What of each story is played where nothing else is wished.
_DEFAULTS: Final[Mapping[StoryName, Mapping[str, Any]]] = {
    StoryName.QUOTES: {"currencies": "BRL,USD,CHF", "years": "2008-2010"},
    StoryName.METERS: {"meters": 3, "days": 4},
}


def launch_sandbox(
    *,
    systems: tuple[str, ...],
    maestro_url: str | None,
    broker: BrokerKind | None,
    broker_dir: Path | None,
    ports: tuple[int, ...],
    data_dir: Path | None,
    ready_file: Path | None,
    traits: Sequence[str] = (),
    kind: bool = False,
) -> None:
    """Serve the sandbox until it is told to stop; `traits` are `name=value`, upon the unkind ones or upon none.

    Where Maestro and its broker are is read from its configuration where it is None.

    Raises:
        typer.Exit: it cannot start.
    """
    logs.configure(LogSettings())
    configured = cache(partial(load_settings, None, os.environ))
    try:
        settings = service.ServiceSettings(
            systems=tuple(check_system_id(one, "system") for one in systems),
            maestro_url=(maestro_url or gateway_url(configured().http)).rstrip("/"),
            broker=broker_choice.broker_settings(broker, broker_dir, os.environ, configured),
            ports=Ports(*ports),
            data_dir=data_dir,
            ready_file=ready_file,
            traits=(KIND if kind else Traits()).but(traits),
        )
    except (BadInput, NoBroker, BadTrait, SettingsError) as problem:
        _fail(str(problem), _WRONG_USE)
    try:
        asyncio.run(service.run(settings))
    except (OSError, BrokerError) as problem:
        _fail(f"the sandbox cannot start: {problem}", 1)


def launch_demo(
    *, story: StoryName, wishes: Mapping[str, Any], broker: BrokerKind, as_json: bool, keep: bool
) -> NoReturn:
    """Play the demo. `wishes` are the options that say what of the story is played, by name; None: not given.

    Raises:
        typer.Exit: always, with status 0 only when all is equal.
    """
    # Where nobody is at a terminal, nothing has to fit into a width.
    terminal = (sys.stderr if as_json else sys.stdout).isatty()
    console = Console(stderr=as_json, width=None if terminal else _WIDE)
    try:
        plan = _plan(story, {name: value for name, value in wishes.items() if value is not None})
        report = asyncio.run(interruptible(play.run(plan, broker, console, keep=keep)))
    except (CannotPlan, NoBroker, NoQuotes) as problem:
        _fail(str(problem), _WRONG_USE)
    except asyncio.CancelledError:
        _fail("interrupted", 128 + signal.SIGINT)
    except (ProcessDied, GaveUp, CallFailed, ExceptionGroup) as problem:
        _fail("\n".join([str(_first(problem)), *getattr(problem, "__notes__", ())]), 1)
    if as_json:
        sys.stdout.buffer.write(orjson.dumps(report.as_json(), option=orjson.OPT_APPEND_NEWLINE))
    raise typer.Exit(0 if report.equal else 1)


def _plan(story: StoryName, wishes: dict[str, Any]) -> Plan:
    """Make the plan of a story. Raises `CannotPlan`, also for a wish that only another story knows."""
    impact = wishes.pop("impact", 0)
    known = _DEFAULTS[story]
    for name in wishes:
        if name not in known:
            raise CannotPlan(f"{name}: the story {story} has no such option; it has {', '.join(known)}")
    wishes = {**known, **wishes}
    if story is StoryName.METERS:
        return meter_story.make_plan(wishes["meters"], wishes["days"], impact)
    currencies, years = quote_story.parse_currencies(wishes["currencies"]), quote_story.parse_years(wishes["years"])
    return quote_story.make_plan(load_history(), currencies, years, impact)


async def interruptible(work: Coroutine[Any, Any, _T]) -> _T:
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
