"""`maestro demo`, from the plan to the verdict."""

import asyncio
import os
import shlex
import shutil
import sys
import time
import uuid
from collections.abc import Coroutine, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
from rich.console import Console

from maestro.events import MASTER
from maestro.sandbox.demo.clients import IN_FLIGHT, Domain, EventManager, Maestro, Services
from maestro.sandbox.demo.plan import SCENARIO
from maestro.sandbox.demo.player import Player, Teller
from maestro.sandbox.demo.report import Report, misfires, missed_late
from maestro.sandbox.demo.show import Show
from maestro.sandbox.demo.stage import SERVE, Stage
from maestro.sandbox.demo.story import Plan
from maestro.sandbox.demo.truth import differences, expected
from maestro.sandbox.options import BrokerKind
from maestro.statuses import Status

_T = TypeVar("_T")


async def run(
    plan: Plan, broker: BrokerKind, console: Console, *, keep: bool, serve: Sequence[str] = SERVE, kind: bool = False
) -> Report:
    """Start everything, play, judge, stop everything. With `keep` all is left running, and one correction held.

    On a `kind` platform nothing has to be found late.

    Raises:
        NoBroker: RabbitMQ is asked for and nothing says where it is.
        ProcessDied, GaveUp, CallFailed: the story came to no end.
    """
    # On a shared RabbitMQ, each run has queues of its own.
    system = plan.story.system
    if broker is BrokerKind.RABBITMQ:
        system += f"-{uuid.uuid4().hex[:8]}"
    began = time.monotonic()
    stage = Stage(system, broker, os.environ, serve, kind=kind)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(stage)
        session = await stack.enter_async_context(new_session())
        services = Services(
            Maestro(session, stage.maestro_url),
            EventManager(session, stage.services["event_manager"]),
            Domain(session, stage.services["domain"]),
        )
        with Show(console) as show:
            report = await watched(stage, perform(plan, system, services, show, finds_late=not kind))
        report = replace(report, seconds=time.monotonic() - began)
        show.ends(report)
        if (ended := _largest(report)) is not None:
            _say(console, f"outcome of the largest run: {await services.maestro.outcome(ended['id'])}")
            if keep:
                _say(console, f"  {stage.maestro_url}/#/reprocessing/{ended['id']}")
        if keep:
            if report.equal:
                held = await watched(stage, Player(plan, system, services, show).leave_held())
                _say_what_to_decide(console, stage, system, held["id"])
            stage.keep()
            _say_where(console, stage)
        else:
            _say(
                console,
                f"next: `{_command()} demo --keep` leaves all of it running, and one correction for you to decide",
            )
    return report


async def perform(plan: Plan, system: str, services: Services, teller: Teller, *, finds_late: bool = True) -> Report:
    """Play the story on running services, and judge its end. Raises `GaveUp` or `CallFailed`."""
    began = time.monotonic()
    player = Player(plan, system, services, teller, finds_late=finds_late)
    decided = tuple(await player.play())
    found = {branch: await player.results(branch) for branch in (MASTER, SCENARIO)}
    status = await services.maestro.status(system)
    return Report(
        plan=plan,
        decided=decided,
        results=found[MASTER],
        differences=tuple(
            difference
            for branch, results in found.items()
            for difference in differences(branch, expected(plan, branch), results)
        ),
        misfires=(*misfires(plan.story, decided), *(missed_late(plan, player.late) if finds_late else ())),
        late=tuple(player.late),
        stale=tuple(await player.stale()),
        doubled=tuple(await services.domain.doubled()),
        counters=status.counters,
        events=await services.events.published(),
        seconds=time.monotonic() - began,
    )


def new_session() -> aiohttp.ClientSession:
    """Return a client with room for everything in flight, and for looking at it."""
    connector = aiohttp.TCPConnector(limit=2 * IN_FLIGHT)
    return aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=60, sock_connect=5))


async def watched(stage: Stage, performance: Coroutine[Any, Any, _T]) -> _T:
    """Await the performance; should a process die meanwhile, raise that at once instead of some time-out later."""
    playing, watching = asyncio.create_task(performance), asyncio.create_task(stage.watch())
    try:
        await asyncio.wait({playing, watching}, return_when=asyncio.FIRST_COMPLETED)
        stage.check()
        return await playing
    finally:
        playing.cancel()
        watching.cancel()
        await asyncio.gather(playing, watching, return_exceptions=True)


def _largest(report: Report) -> dict[str, Any] | None:
    """Return the finished reprocessing of the most replays."""
    finished = [one.document for one in report.decided if one.document["status"] == Status.FINISHED]
    return max(finished, key=lambda document: len(document["events"]), default=None)


def _say_what_to_decide(console: Console, stage: Stage, system: str, identity: str) -> None:
    """Print the commands that look at the held correction and decide about it."""
    maestro = _command()
    _say(
        console,
        f"the skipped correction has come once more: it is yours to decide, at {stage.maestro_url} or with",
        f"  export MAESTRO_URL={stage.maestro_url}",
        f"  {maestro} pending {system}",
        f"  {maestro} show {identity}",
        f"  {maestro} approve {identity}    # or skip",
        f"  {maestro} watch {identity}",
    )


def _say_where(console: Console, stage: Stage) -> None:
    """Print where everything is, and how to end it."""
    pids = " ".join(str(pid) for pid in reversed(stage.pids.values()))  # Maestro first
    _say(
        console,
        f"left running: Maestro at {stage.maestro_url}, data in {stage.data_dir}",
        *(f"  {name}: {url}" for name, url in stage.services.items()),
        f"  stop Maestro and the sandbox with: kill {pids}",
        f"  and when they have ended: rm -r {stage.data_dir}",
    )


def _say(console: Console, *lines: str) -> None:
    """Print lines that are to be copied: none is wrapped, coloured or taken for markup."""
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True, markup=False)


def _command() -> str:
    """Return how this Maestro's command is called here: by its name only where the shell finds that very one."""
    own = Path(sys.executable).with_name("maestro")
    found = shutil.which("maestro")
    return "maestro" if found and Path(found).resolve() == own.resolve() else shlex.quote(str(own))
