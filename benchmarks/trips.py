"""How far a reader goes: lines of each package, and which files four trips lead through.

    python -m benchmarks.trips

Gateway, ingress, cascade and one system run in this process, on one loop, with a private RabbitMQ and a double of the
siblings. Every call of a function of Maestro's own is noted (`sys.setprofile`) while a trip lasts:

- lock check: a `proceed` that the lock board answers, from the request to the answer;
- event: a persist event that impacts nothing, from its publishing to its acknowledgement;
- approve: from the request to the answer;
- replay step: from one replay's send to the next one's, its result, question and commit between.

A file change is a call into another file than the call before it. Of some runs the shortest counts: timers run beside.
"""

import asyncio
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from itertools import pairwise
from pathlib import Path
from types import FrameType
from typing import Any

import aiohttp
import orjson

from benchmarks.bench import Bench, Publisher
from maestro import logs
from maestro.actors.client import EndpointClient
from maestro.actors.lock_view import lock_board
from maestro.actors.messages import Directory, Entry, Role
from maestro.board.lease import LeaseReader, Standing, make_lease
from maestro.broker.topology import SystemQueues
from maestro.cascade.service import CascadeService
from maestro.http.app import create_app
from maestro.http.server import serve_http
from maestro.ingress.service import IngressService
from maestro.settings.model import HttpSettings, LogSettings, Settings
from maestro.settings.servers import BrokerSettings
from maestro.store.installation import begin_start
from maestro.system.service import SystemService
from tests.support.board_owner import Owner
from tests.support.siblings import RecordingSiblings

PACKAGE = Path(__file__).parents[1] / "maestro"
SYSTEM = "sys0"
#: On the board by a process of its own: the reader does not believe an owner in its own process.
SHOWN = "sys1"
RUNS = 5
UNITS = 2 * RUNS
RUN_ID = "trips"


class Trip:
    """The functions that were called, in order, as (file, name)."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []

    @contextmanager
    def going(self) -> Iterator[None]:
        """Note calls while the context lasts."""
        self.begin()
        try:
            yield
        finally:
            self.end()

    def begin(self) -> None:
        """Note calls from now on."""
        self.calls = []
        sys.setprofile(self._note)

    def end(self) -> None:
        """Note no more calls."""
        sys.setprofile(None)

    def _note(self, frame: FrameType, event: str, _argument: object) -> None:
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(_PREFIX):
            self.calls.append((code.co_filename[len(_PREFIX) :], code.co_qualname))

    @property
    def changes(self) -> int:
        """How often a call went into another file than the one before."""
        files = [file for file, _ in self.calls]
        return sum(before != after for before, after in pairwise(files))

    @property
    def files(self) -> Counter[str]:
        """Calls by file."""
        return Counter(file for file, _ in self.calls)


_PREFIX = f"{PACKAGE}{os.sep}"


class _Supervisor:
    """Takes what the client asks of the supervisor; nobody is there to answer."""

    def send(self, _address: object, _message: object) -> None:
        return


class House:
    """Maestro in one process."""

    def __init__(self, url: str, port: int, publisher: Publisher, siblings: RecordingSiblings) -> None:
        self._base = f"http://127.0.0.1:{port}"
        self._url = url
        self.publisher = publisher
        self.siblings = siblings
        self.http: aiohttp.ClientSession

    async def get(self, path: str) -> Any:
        """Return a decoded answer; an empty one is None."""
        async with self.http.get(self._base + path) as answer:
            return orjson.loads(await answer.read() or b"null")

    async def approve(self, document: str) -> None:
        """Approve a reprocessing."""
        url = f"{self._base}/v1.0.0/reprocessing/{document}/approve"
        async with self.http.post(url, json={"user": "trips"}) as answer:
            answer.raise_for_status()
            await answer.read()

    async def held(self, instance: str, units: int) -> str:
        """Publish an event that is held for so many units; return the id of its reprocessing."""
        instance = f"{SYSTEM}--{instance}"
        names = [f"{instance}-p{n}" for n in range(units)]
        self.siblings.impacts[instance] = [{"instanceId": one, "branch": "master", "forking": False} for one in names]
        for one in names:
            self.siblings.origins[one] = _event(one, name="calculate.request", timestamp="2018-07-20T15:08:41.884268")
        self.publisher.body(SYSTEM, _event(instance))
        pending = f"/v1.0.0/reprocessing/{SYSTEM}/pending"
        await until(lambda: self.get(pending))
        id_: str = (await self.get(pending))[0]["id"]
        return id_


def _event(instance: str, **more: Any) -> dict[str, Any]:
    event = {"name": f"{SYSTEM}.persist.request", "systemId": SYSTEM, "instanceId": instance, "tag": "tag"}
    return event | {"branch": "master", "scope": "execution"} | more


async def until(condition: Callable[[], Awaitable[Any]], seconds: float = 20.0) -> None:
    """Return once the condition holds. Raises `TimeoutError`."""
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110 - what another process or the broker does
            await asyncio.sleep(0.02)


@asynccontextmanager
async def house(folder: Path, url: str) -> AsyncIterator[House]:
    """Run all of Maestro in this process."""
    epoch = time.time_ns()
    # Ingress holds the lease in this very process, and the kernel tells nobody of locks of his own.
    LeaseReader._holder_lives = lambda _reader: True  # type: ignore[method-assign]  # noqa: SLF001
    begin_start(folder)
    make_lease(folder, Standing.UNKNOWN)
    async with RecordingSiblings((SYSTEM, SHOWN)) as siblings:
        settings = Settings(
            data_dir=folder, platform=siblings.settings(), broker=BrokerSettings(kind="rabbitmq", url=url),
            log=LogSettings(level="error"), http=HttpSettings(port=0),
        )  # fmt: skip
        client = EndpointClient(settings)
        client.listen()
        with lock_board(settings, lambda: client.entries) as look:
            services = [IngressService(settings, epoch), CascadeService(settings, epoch)]
            system = SystemService(settings, SYSTEM, epoch)
            shown = Owner(folder, SHOWN, epoch).ready()
            running = asyncio.ensure_future(client.run())
            publisher = Publisher(url)
            try:
                for command in ("open", "beat"):
                    shown.tell(command)
                for service in services:
                    await service.start()
                await system.start()
                client.attach(_Supervisor(), "supervisor", RUN_ID)  # type: ignore[arg-type]
                client.receive(Directory(RUN_ID, 1, _entries(epoch, shown.pid)))
                app = create_app(client, settings.http, look)
                async with serve_http(app, settings.http) as address, aiohttp.ClientSession() as http:
                    it = House(url, address.port, publisher, siblings)
                    it.http = http
                    await _consumed(publisher)
                    yield it
            finally:
                running.cancel()
                publisher.close()
                shown.end()
                for ending in (services[0], system, services[1]):
                    await ending.stop()
                await client.close()


async def _consumed(publisher: Publisher) -> None:
    async def consumed() -> bool:
        return publisher.consumed(SystemQueues(SYSTEM).persist)

    await until(consumed)


def _entries(epoch: int, shown: int) -> tuple[Entry, ...]:
    """Return the directory that the supervisor would send."""
    own, state = os.getpid(), "running"
    return (
        Entry(Role.INGRESS, "", "ingress", epoch, own, state),
        Entry(Role.CASCADE, "", "cascade", epoch, own, state),
        Entry(Role.SYSTEM, SYSTEM, SYSTEM, epoch, own, state),
        Entry(Role.SYSTEM, SHOWN, SHOWN, epoch, shown, state),
    )


async def lock_check(it: House) -> Trip:
    """Ask whether a system may proceed."""
    trip = Trip()
    with trip.going():
        await it.get(f"/v1.0.0/gateway/{SHOWN}/proceed")
    return trip


async def event(it: House) -> Trip:
    """Let one event be committed and acknowledged."""
    trip = Trip()
    queue = SystemQueues(SYSTEM).persist
    number = len(it.siblings.commits) + 1
    with trip.going():
        it.publisher.event(SYSTEM)
        await it.siblings.wait_for(lambda: len(it.siblings.commits) == number, 20)
        await asyncio.sleep(0.6)  # acknowledgements gather for up to 0.4 s
    assert it.publisher.depth(queue) == 0
    return trip


async def approve(it: House, number: int) -> Trip:
    """Approve a reprocessing of one unit; let its run end afterwards."""
    document = await it.held(f"approved-{number}", 1)
    ended = asyncio.Event()
    it.siblings.on_sendevent = lambda sent: _answer(it, sent, ended)
    trip = Trip()
    with trip.going():
        await it.approve(document)
    await asyncio.wait_for(ended.wait(), 20)
    return trip


async def replay_steps(it: House) -> list[Trip]:
    """Let a run of some units go on; each replay but the first and the last is a trip."""
    document = await it.held("run", UNITS)
    ended = asyncio.Event()
    trips: list[Trip] = []

    async def sent(event: dict[str, Any]) -> None:
        if trips:
            trips[-1].end()
        if event.get("scope") == "reprocessing":
            trips.append(Trip())
            trips[-1].begin()
        await _answer(it, event, ended)

    it.siblings.on_sendevent = sent
    await it.approve(document)
    await asyncio.wait_for(ended.wait(), 30)
    return trips[1:-1]


async def _answer(it: House, sent: dict[str, Any], ended: asyncio.Event) -> None:
    """Execute a replay that was sent; take note of the run's end."""
    if sent.get("scope") == "reprocessing":
        replay = f"{SYSTEM}--re-{time.monotonic_ns()}"
        it.publisher.body(SYSTEM, sent | {"name": f"{SYSTEM}.persist.request", "instanceId": replay})
    elif sent.get("name", "").endswith(".reprocessing.finished"):
        ended.set()


def shortest(trips: list[Trip]) -> Trip:
    """Return the trip with the fewest calls."""
    return min(trips, key=lambda trip: len(trip.calls))


def show_lines() -> None:
    """Print files, lines of code and all lines of each package."""
    print(f"{'package':<16}{'files':>6}{'code':>8}{'lines':>8}")
    totals: dict[str, list[int]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        where = path.relative_to(PACKAGE)
        lines = path.read_text().splitlines()
        code = sum(bool(line.strip()) and not line.lstrip().startswith("#") for line in lines)
        total = totals.setdefault(
            where.parts[0].removesuffix(".py") if len(where.parts) == 1 else where.parts[0], [0] * 3
        )
        for n, value in enumerate((1, code, len(lines))):
            total[n] += value
    for name, (files, code, all_lines) in [
        *totals.items(),
        ("all", [sum(each) for each in zip(*totals.values(), strict=True)]),
    ]:
        print(f"{name:<16}{files:>6}{code:>8,}{all_lines:>8,}")


def show(name: str, trip: Trip) -> None:
    """Print what a trip led through."""
    functions = len(set(trip.calls))
    length = f"{functions} functions, {len(trip.calls)} calls"
    print(f"\n{name}: {len(trip.files)} files, {trip.changes} file changes, {length}")
    print("   " + ", ".join(f"{file} {count}" for file, count in trip.files.most_common()))


async def main(folder: Path, url: str) -> None:
    """Make all trips, and print them."""
    async with house(folder, url) as it:
        found = {"lock check": shortest([await lock_check(it) for _ in range(RUNS)])}
        found["event"] = shortest([await event(it) for _ in range(RUNS)])
        found["approve"] = shortest([await approve(it, number) for number in range(RUNS)])
        found["replay step"] = shortest(await replay_steps(it))
    for name, trip in found.items():
        show(name, trip)


if __name__ == "__main__":
    show_lines()
    logs.configure(LogSettings(level="error"))
    with tempfile.TemporaryDirectory(prefix="maestro-trips-") as temporary:
        bench = Bench(Path(temporary))
        try:
            bench.node.start()
            data_dir = Path(temporary) / "data"
            data_dir.mkdir()
            asyncio.run(main(data_dir, bench.vhost("trips")))
        finally:
            bench.node.close()
