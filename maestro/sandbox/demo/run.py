"""`maestro demo`, from the plan to the verdict."""

import asyncio
import os
import time
import uuid
from collections.abc import Coroutine, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import aiohttp
from rich.console import Console

from maestro.events import MASTER
from maestro.sandbox.demo.clients import IN_FLIGHT, Domain, EventManager, Maestro, Services
from maestro.sandbox.demo.plan import SCENARIO, Plan
from maestro.sandbox.demo.report import Report, misfires
from maestro.sandbox.demo.show import Show
from maestro.sandbox.demo.stage import SERVE, Stage
from maestro.sandbox.demo.story import Story, Teller
from maestro.sandbox.demo.truth import differences, expected
from maestro.sandbox.options import SYSTEM, BrokerKind


async def run(plan: Plan, broker: BrokerKind, console: Console, *, keep: bool, serve: Sequence[str] = SERVE) -> Report:
    """Start everything, play, judge, stop everything (unless `keep`).

    Raises:
        NoBroker: RabbitMQ is asked for and nothing says where it is.
        ProcessDied, GaveUp, CallFailed: the story came to no end.
    """
    # On a shared RabbitMQ, each run has queues of its own.
    system = SYSTEM if broker is BrokerKind.EMBEDDED else f"{SYSTEM}-{uuid.uuid4().hex[:8]}"
    began = time.monotonic()
    stage = Stage(system, broker, os.environ, serve)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(stage)
        session = await stack.enter_async_context(_new_session())
        services = Services(
            Maestro(session, stage.maestro_url),
            EventManager(session, stage.services["event_manager"]),
            Domain(session, stage.services["domain"]),
        )
        with Show(console) as show:
            report = await _watched(stage, perform(plan, system, services, show))
        report = replace(report, seconds=time.monotonic() - began)
        show.ends(report)
        if keep:
            stage.keep()
            _say_where(console, stage)
    return report


async def perform(plan: Plan, system: str, services: Services, teller: Teller) -> Report:
    """Play the story on running services, and judge its end. Raises `GaveUp` or `CallFailed`."""
    began = time.monotonic()
    story = Story(plan, system, services, teller)
    decided = tuple(await story.play())
    found = {branch: await story.results(branch) for branch in (MASTER, SCENARIO)}
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
        misfires=misfires(decided),
        stale=tuple(await services.domain.stale()),
        counters=status.counters,
        events=await services.events.published(),
        seconds=time.monotonic() - began,
    )


def _new_session() -> aiohttp.ClientSession:
    """Return a client with room for everything in flight, and for looking at it."""
    connector = aiohttp.TCPConnector(limit=2 * IN_FLIGHT)
    return aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=60, sock_connect=5))


async def _watched(stage: Stage, performance: Coroutine[Any, Any, Report]) -> Report:
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


def _say_where(console: Console, stage: Stage) -> None:
    console.print(
        f"left running: Maestro at {stage.maestro_url}, data in {stage.data_dir}", highlight=False, soft_wrap=True
    )
    for name, url in stage.services.items():
        console.print(f"  {name}: {url}", highlight=False, soft_wrap=True)
    for name, pid in stage.pids.items():
        console.print(f"  stop {name} with: kill {pid}", highlight=False, soft_wrap=True)
