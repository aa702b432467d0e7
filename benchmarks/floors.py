"""The same work without Maestro: what this machine gives at best, in Python. Each floor is a process of its own.

python -m benchmarks.floors handler PORT             a bare aiohttp handler, until stdin closes
python -m benchmarks.floors calls PORT LOOPS SECONDS  loops that make an event's two calls; prints calls' pairs/s
python -m benchmarks.floors consume URL QUEUE COUNT   a bare pika consumer; prints messages/s
"""

import asyncio
import sys
import time
from typing import Any

import aiohttp
import pika
import uvloop
from aiohttp import web


async def handler(port: int) -> None:
    async def proceed(_request: web.Request) -> web.Response:
        return web.Response()

    app = web.Application()
    app.router.add_get("/v1.0.0/gateway/{systemId}/proceed", proceed)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    loop = asyncio.get_running_loop()
    ended = loop.create_future()
    loop.add_reader(0, lambda: ended.done() or ended.set_result(None))
    await ended
    await runner.cleanup()


async def calls(port: int, loops: int, seconds: float) -> None:
    url = f"http://127.0.0.1:{port}"
    done = 0
    connector = aiohttp.TCPConnector(limit=64, limit_per_host=64)
    deadline = time.perf_counter() + seconds

    async def one_system(session: aiohttp.ClientSession, system: str) -> None:
        nonlocal done
        while time.perf_counter() < deadline:
            instance = f"{system}--{done}"
            query = f"systemID={system}&instanceID={instance}"
            async with session.get(f"{url}/v1.0.0/discovery/entities?{query}") as answer:
                await answer.json()
            async with session.post(f"{url}/instance/{instance}/persist") as answer:
                await answer.read()
            done += 1

    began = time.perf_counter()
    async with aiohttp.ClientSession(connector=connector) as session:
        await asyncio.gather(*(one_system(session, f"floor{n}") for n in range(loops)))
    print(done / (time.perf_counter() - began))


def consume(url: str, queue: str, count: int) -> None:
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


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["handler", port]:
            uvloop.run(handler(int(port)))
        case ["calls", port, loops, seconds]:
            uvloop.run(calls(int(port), int(loops), float(seconds)))
        case ["consume", url, queue, count]:
            consume(url, queue, int(count))
