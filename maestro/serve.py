"""`maestro serve`, put together: the one place that starts the parts, in this order, and stops them in reverse.

logs -> supervisor -> node of a cluster -> lock board -> known systems -> HTTP gateway -> ingress, cascade are up
-> systems of API core

A node whose lease was broken begins again from there: all it was is gone by then.
"""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, closing, suppress
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from maestro import logs
from maestro.actors import processes
from maestro.actors.bootstrap import ActorRuntime
from maestro.actors.errors import ActorsFailed, AlreadyRunning
from maestro.actors.host_process import HostProcess
from maestro.actors.lock_view import lock_board
from maestro.backoff import Backoff
from maestro.board.owner_view import OwnerView
from maestro.http.actor_client import ActorClient, Unavailable
from maestro.http.app import create_app
from maestro.http.entities import Entities
from maestro.http.guards import guarding
from maestro.http.newcomers import Newcomers
from maestro.http.server import Address, BindError, check_free, serve_http
from maestro.http.todo_list import TodoList
from maestro.keeper import NodeOut
from maestro.messages.todo import TodoItem
from maestro.notify.notifier import Notifier
from maestro.platform import Platform, SiblingError
from maestro.settings.labels import read_labels
from maestro.settings.model import Settings
from maestro.store.base import StoreAway, StoreError
from maestro.store.fenced import fenced
from maestro.telemetry.definitions import COMMITS_FENCED, COMMITS_LOST, OF_NODE
from maestro.telemetry.metrics import MetricsRegistry

if TYPE_CHECKING:
    from maestro.node import Node

#: Why a start fails that may succeed later, and for how long it is tried while the store is away, and by a node that
#: lost its lease for any of them; in seconds.
NOT_STARTED = (ActorsFailed, AlreadyRunning, BindError, StoreError)
AGAIN, AGAIN_MAX, AGAIN_WITHIN = 1.0, 15.0, 600.0
#: What ends Maestro in order: told to, Ctrl-C, and a terminal that is gone.
STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
#: Pause after a failed look at API core, in seconds; doubles up to `platform.systems_refresh`.
FIRST_PAUSE = 1.0
#: Least seconds between two looks, also when somebody names a system that API core does not know.
SOONEST = 5.0


class Running(NamedTuple):
    """A Maestro that is up: where its gateway listens, and the tasks that must not end before it is told to."""

    address: Address
    tasks: list["asyncio.Task[None]"]


@asynccontextmanager
async def running(
    settings: Settings, host: HostProcess | None = None, registry: MetricsRegistry | None = None
) -> AsyncIterator[Running]:
    """Run Maestro while the context is open. `host` is the actors' host, if it is spawned already.

    Raises:
        AlreadyRunning, FolderUnusable, ActorsFailed, BindError, StoreError: it cannot start; the message says why.
    """
    async with AsyncExitStack() as stack:
        runtime = ActorRuntime(settings, host=host)
        await runtime.launch(lambda: check_free(settings.http))
        stack.push_async_callback(runtime.stop)
        # Once the data folder is ours, and before there are owners.
        look = stack.enter_context(lock_board(settings, lambda: runtime.actor_client.entries))
        registry = registry or MetricsRegistry()
        if settings.store.url.get_secret_value():
            registry.read_off(COMMITS_FENCED, lambda: fenced(settings.data_dir).refused)
            registry.read_off(COMMITS_LOST, lambda: fenced(settings.data_dir).lost)
        member = await _join(stack, settings, runtime, registry) if settings.cluster.name else None
        actor_client = runtime.actor_client if member is None else member.client
        # Before the gateway opens: an unknown system may proceed, so one that is locked must be known.
        known = dict.fromkeys([*settings.systems, *await runtime.stores.systems()])
        if member is None:
            await asyncio.gather(*(actor_client.install(system_id) for system_id in known))
        else:
            member.keeper.found(known)  # a node claims them
        guards = await stack.enter_async_context(guarding(settings))
        # One try: the caller comes again.
        platform = await stack.enter_async_context(
            await Platform.open(settings.platform.model_copy(update={"tries": 1}))
        )
        sooner = asyncio.Event()
        newcomers = Newcomers(platform.apicore.systems, sooner.set)
        owner = stack.enter_context(closing(OwnerView(settings)))
        labels = read_labels(settings.labels)
        entities = Entities(platform, settings.http.ask_timeout)
        stack.push_async_callback(entities.close)
        # Of a cluster's systems each node tells of its own.
        todo = TodoList(runtime.actor_client, settings.http.ask_timeout)
        notifier = Notifier(
            settings.notify, settings.http.public_url, settings.data_dir,
            partial(what_waits, runtime.actor_client, todo), registry,
        )  # fmt: skip
        app = create_app(
            actor_client, settings.http, look, guards, owner, newcomers, entities, labels, notifier, registry,
            runtime.actor_client, None if member is None else member.view,
        )  # fmt: skip
        if member is not None:
            member.listener.add_to(app)
        address = await stack.enter_async_context(serve_http(app, settings.http))
        await runtime.arrived()
        watching = watch_systems(actor_client, platform, settings.platform.systems_refresh, sooner)
        tasks = [
            asyncio.create_task(runtime.run(), name="actors"),
            asyncio.create_task(watching, name="systems of API core"),
            asyncio.create_task(notifier.run(), name="notices"),
        ]
        stack.push_async_callback(_cancelled, tasks)
        yield Running(address, [*tasks, *(member.tasks if member is not None else ())])


async def _join(stack: AsyncExitStack, settings: Settings, runtime: ActorRuntime, registry: MetricsRegistry) -> "Node":
    """Be a node of the cluster until the stack is closed."""
    from maestro.node import node  # noqa: PLC0415 - needs the extra `postgresql`

    member = await stack.enter_async_context(node(settings, runtime, registry))
    stack.push_async_callback(runtime.stop)  # before the node leaves: what it owned has ended by then
    stack.callback(member.keeper.stop)
    return member


async def watch_systems(actor_client: ActorClient, platform: Platform, refresh: float, sooner: asyncio.Event) -> None:
    """Ask API core for its systems, at the start until it answers and then now and again, and serve them.

    `refresh`: seconds between two looks once it has answered. `sooner`: somebody named a system that it did not know;
    it may be about to.
    """
    log = logs.get()
    pause = FIRST_PAUSE
    while True:
        sooner.clear()
        try:
            for system_id in await platform.apicore.systems():
                if not actor_client.knows(system_id):
                    log.info("system found", system=system_id)
                    await actor_client.install(system_id)
            pause = refresh
        except (SiblingError, Unavailable) as problem:
            log.warning("systems of API core not known; serving the known ones", cause=str(problem))
            pause = min(pause * 2, refresh)
        await asyncio.sleep(min(pause, SOONEST))
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, pause - SOONEST)):
                await sooner.wait()


async def what_waits(actor_client: ActorClient, todo: TodoList) -> tuple[list[TodoItem], tuple[str, ...]]:
    """Return what waits for a person in all systems, the most urgent first, and the systems that are served."""
    served = actor_client.systems()
    return (await todo.of(served)).items, served


async def _cancelled(tasks: list["asyncio.Task[None]"]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def serve(settings: Settings, announce: Callable[[str], None], host: HostProcess | None = None) -> None:
    """Run Maestro until SIGTERM, SIGHUP or Ctrl-C. `announce` is told the gateway's URL once all is up.

    A store that is away at the start is waited for, for ten minutes; the broker for as long as it takes.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in STOPPING:
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:  # as `nohup` has it
            loop.add_signal_handler(number, stop.set)
    registry = MetricsRegistry(OF_NODE if settings.cluster.name else ())
    pauses, began, lost = Backoff(AGAIN, AGAIN_MAX), loop.time(), False
    while True:
        ended: list[asyncio.Task[None]] = []
        try:
            async with running(settings, host, registry) as maestro:
                ended = await _until_ended(maestro, settings, announce, stop)
        except NOT_STARTED as problem:
            # What is started with us may come later; what had a node lose its lease, a machine that stands still or a
            # database that is away, may go on.
            if not (lost or isinstance(problem, StoreAway)) or loop.time() - began > AGAIN_WITHIN:
                raise
            host = None
            what = "the node cannot join its cluster again yet" if lost else "not started yet: the store is waited for"
            logs.get().warning(what, cause=str(problem))
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), pauses.next())
        else:
            out = next((task.exception() for task in ended if isinstance(task.exception(), NodeOut)), None)
            if out is None:
                break
            logs.get().error("this life of the node is over; it joins its cluster again", cause=str(out))
            pauses.reset()
            host, began, lost = None, loop.time(), True
        if stop.is_set():
            return
    for task in ended:
        task.result()  # a task that ended by itself ended by a defect, which is raised
    logs.get().info("maestro has stopped")


async def _until_ended(
    maestro: Running, settings: Settings, announce: Callable[[str], None], stop: asyncio.Event
) -> "list[asyncio.Task[None]]":
    """Wait until Maestro is told to stop, or a task of its ends by itself; return those that did."""
    log, url = logs.get(), maestro.address.url
    log.info("maestro serves", url=url, broker=settings.broker.kind, data=str(settings.data_dir))
    announce(url)
    processes.trim_memory()
    told = asyncio.create_task(stop.wait())
    ended, _ = await asyncio.wait([told, *maestro.tasks], return_when=asyncio.FIRST_COMPLETED)
    told.cancel()
    log.info("maestro is stopping")
    return [task for task in maestro.tasks if task in ended]
