"""The same work without Maestro: what this machine gives at best, in Python. Each floor is a process of its own.

python -m benchmarks.floors handler PORT                  a bare aiohttp handler, until stdin closes
python -m benchmarks.floors durable PORT FOLDER           one that syncs a file before it answers, until stdin closes
python -m benchmarks.floors calls PORT LOOPS SECONDS KIND  loops that make the calls of one piece of work; prints work/s
python -m benchmarks.floors get PORT PATH                 one answer, read and dropped; prints s
python -m benchmarks.floors consume URL QUEUE COUNT       a bare pika consumer; prints messages/s
python -m benchmarks.floors sqlite PATH ROWS              SQLite's look-up of so many rows of the ledger; prints ms
"""

import asyncio
import os
import random
import sqlite3
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median
from typing import Any

import aiohttp
import orjson
import pika
import uvloop
from aiohttp import web

PROCEED = "/v1.0.0/gateway/{systemId}/proceed"
APPROVE = "/v1.0.0/reprocessing/{id}/approve"


async def serve(port: int, *routes: web.RouteDef) -> None:
    """Serve until stdin closes."""
    app = web.Application()
    app.add_routes(routes)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    loop = asyncio.get_running_loop()
    ended = loop.create_future()
    loop.add_reader(0, lambda: ended.done() or ended.set_result(None))
    await ended
    await runner.cleanup()


async def handler(port: int) -> None:
    """Answer lock checks with nothing."""

    async def proceed(_request: web.Request) -> web.Response:
        return web.Response()

    await serve(port, web.get(PROCEED, proceed))


async def durable(port: int, folder: Path) -> None:
    """Answer decisions once their body is synced to a file of the id's own, as a system's store is."""
    files: dict[str, int] = {}

    async def approve(request: web.Request) -> web.Response:
        name, body = request.match_info["id"], await request.read()
        if name not in files:
            files[name] = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(files[name], body * 20)
        await asyncio.to_thread(os.fdatasync, files[name])
        return web.Response(body=b"{}")

    await serve(port, web.post(APPROVE, approve))


class Calls:
    """The calls of one piece of work, one after the other, as Maestro makes them."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url

    async def event(self, system: str, instance: str) -> None:
        await self.trusted(system, instance)
        await self._look(instance)

    async def trusted(self, system: str, instance: str) -> None:
        await self._discovery(system, instance)
        await self._commit(instance)

    async def ledger(self, system: str, instance: str) -> None:
        await self._impact(system, instance)
        await self._commit(instance)
        await self._look(instance)

    async def replay(self, system: str, instance: str) -> None:
        origin = {"name": "calculate.request", "systemId": system, "scope": "floor", "payload": "x" * 200}
        async with self._session.put(f"{self._url}/sendevent", json=origin) as answer:
            await answer.read()
        await self._impact(system, instance)
        await self._look(instance)
        await self._commit(instance)
        await self._get(f"/{instance}/head")

    async def origin(self, _system: str, instance: str) -> None:
        await self._get(f"/{instance}/event")
        await self._look(instance)

    async def _impact(self, system: str, instance: str) -> None:
        await asyncio.gather(self._discovery(system, instance), self._get(f"/instance/{instance}/entities"))

    async def _discovery(self, system: str, instance: str) -> None:
        await self._get(f"/v1.0.0/discovery/entities?systemID={system}&instanceID={instance}")

    async def _look(self, instance: str) -> None:
        await self._get(f"/core/processInstance?filter=byId&id={instance}")

    async def _commit(self, instance: str) -> None:
        async with self._session.post(f"{self._url}/instance/{instance}/persist") as answer:
            await answer.read()

    async def _get(self, path: str) -> None:
        async with self._session.get(self._url + path) as answer:
            await answer.json()


async def calls(port: int, loops: int, seconds: float, kind: str) -> None:
    """Make the calls of an event, a replay, or the fetch of an origin in so many loops."""
    done = 0
    connector = aiohttp.TCPConnector(limit=64, limit_per_host=64)
    deadline = time.perf_counter() + seconds

    async with aiohttp.ClientSession(connector=connector) as session:
        made = Calls(session, f"http://127.0.0.1:{port}")
        work: dict[str, Callable[[str, str], Awaitable[None]]] = {
            "event": made.event, "trusted": made.trusted, "ledger": made.ledger, "replay": made.replay,
            "origin": made.origin,
        }  # fmt: skip

        async def one_system(system: str) -> None:
            nonlocal done
            while time.perf_counter() < deadline:
                await work[kind](system, f"{system}--{done}")
                done += 1

        began = time.perf_counter()
        await asyncio.gather(*(one_system(f"floor{n}") for n in range(loops)))
        print(done / (time.perf_counter() - began))


async def get(port: int, path: str) -> None:
    """Read one answer as it comes, and keep nothing of it."""
    began = time.perf_counter()
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}{path}") as answer:
        async for _ in answer.content.iter_any():
            pass
    print(time.perf_counter() - began)


def consume(url: str, queue: str, count: int) -> None:
    """Take messages off a queue, and acknowledge each."""
    connection = pika.BlockingConnection(pika.URLParameters(url))
    channel = connection.channel()
    channel.basic_qos(prefetch_count=256)
    left = count

    def take(channel: Any, method: Any, _properties: Any, _body: bytes) -> None:
        nonlocal left
        channel.basic_ack(method.delivery_tag)
        left -= 1
        if not left:
            channel.stop_consuming()

    channel.basic_consume(queue, take)
    began = time.perf_counter()
    channel.start_consuming()
    print(count / (time.perf_counter() - began))
    connection.close()


def sqlite(path: Path, rows: int) -> None:
    """Look rows of the ledger up, drawn at random, and do nothing with them; the median of nine times."""
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    known = [row for (row,) in connection.execute("SELECT row FROM ledger_reads")]
    random.seed(1)
    times = []
    query = "SELECT r.row, r.number FROM json_each(?) j CROSS JOIN ledger_reads r ON r.row = j.value"
    for _ in range(9):
        wanted = orjson.dumps(sorted(random.sample(known, min(rows, len(known))))).decode()
        began = time.perf_counter()
        connection.execute(query, (wanted,)).fetchall()
        times.append(1000 * (time.perf_counter() - began))
    print(median(times))


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["handler", port]:
            uvloop.run(handler(int(port)))
        case ["durable", port, folder]:
            uvloop.run(durable(int(port), Path(folder)))
        case ["calls", port, loops, seconds, kind]:
            uvloop.run(calls(int(port), int(loops), float(seconds), kind))
        case ["get", port, path]:
            uvloop.run(get(int(port), path))
        case ["consume", url, queue, count]:
            consume(url, queue, int(count))
        case ["sqlite", path, rows]:
            sqlite(Path(path), int(rows))
        case _:
            sys.exit(__doc__)
