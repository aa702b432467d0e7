"""Asks the same few URLs over and over on some connections, in a process of its own; prints what came as JSON.

python -m benchmarks.http_load PORT CONNECTIONS SECONDS PATH...
"""

import asyncio
import random
import sys
import time
from typing import cast

import orjson
import uvloop

from benchmarks.figures import percentiles

WARM_UP = 0.5


class Client(asyncio.Protocol):
    """One connection: the next request goes out when the answer is there."""

    def __init__(self, requests: list[bytes], statuses: dict[bytes, int], times: list[float]) -> None:
        self._requests = requests
        self._statuses = statuses
        self._times = times
        self._buffer = b""
        self._sent = 0.0
        self.measuring = self.stopped = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._next()

    def _next(self) -> None:
        if not self.stopped:
            self._sent = time.perf_counter()
            self.transport.write(random.choice(self._requests))

    def data_received(self, data: bytes) -> None:
        data = self._buffer + data
        end = data.find(b"\r\n\r\n")
        at = data.find(b"ontent-Length: ", 0, end)
        if end < 0 or len(data) < end + 4 + int(data[at + 15 : data.find(b"\r", at)]):
            self._buffer = data
            return
        self._buffer = b""
        if self.measuring:
            self._times.append(time.perf_counter() - self._sent)
            status = data[9:12]
            self._statuses[status] = self._statuses.get(status, 0) + 1
        self._next()


async def main(port: int, connections: int, seconds: float, paths: list[str]) -> None:
    loop = asyncio.get_running_loop()
    requests = [f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode() for path in paths]
    statuses: dict[bytes, int] = {}
    times: list[float] = []
    clients = [
        (await loop.create_connection(lambda: Client(requests, statuses, times), "127.0.0.1", port))[1]
        for _ in range(connections)
    ]
    await asyncio.sleep(WARM_UP)
    began = time.perf_counter()
    for client in clients:
        client.measuring = True
    await asyncio.sleep(seconds)
    took = time.perf_counter() - began
    count = len(times)
    for client in clients:
        client.stopped = True
        client.transport.abort()
    found = {"rate": count / took, "statuses": {status.decode(): n for status, n in statuses.items()}}
    print(orjson.dumps(found | percentiles(times)).decode())


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), sys.argv[4:]))
