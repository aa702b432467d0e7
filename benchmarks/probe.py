"""Asks some URLs now and then, each on a connection of its own, until stdin closes; prints how long answers took.

python -m benchmarks.probe PORT PAUSE PATH...

A question is put every PAUSE seconds, or as soon as the one before is answered. The first line printed says that the
connections are open, the last one is JSON: percentiles and the longest in ms, and how many answers were no 200.
"""

import asyncio
import sys
import time

import orjson
import uvloop

from benchmarks.figures import percentiles


class Asked:
    """What the answers to one path were like."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.refused = 0


async def ask(port: int, path: str, pause: float, asked: Asked, opened: asyncio.Event) -> None:
    """Put one question over and over."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 26)
    opened.set()
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
    while True:
        began = time.perf_counter()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r", 1)[0])
        await reader.readexactly(length)
        took = time.perf_counter() - began
        asked.times.append(took)
        asked.refused += head[9:12] != b"200"
        await asyncio.sleep(max(0.0, pause - took))


async def main(port: int, pause: float, paths: list[str]) -> None:
    """Ask until stdin closes."""
    loop = asyncio.get_running_loop()
    found = {path: Asked() for path in paths}
    opened = [asyncio.Event() for _ in paths]
    tasks = [
        loop.create_task(ask(port, path, pause, found[path], event))
        for path, event in zip(paths, opened, strict=True)
    ]  # fmt: skip
    ended = loop.create_future()
    loop.add_reader(0, lambda: ended.done() or ended.set_result(None))
    await asyncio.gather(*(event.wait() for event in opened))
    print("asking", flush=True)
    await asyncio.wait([ended, *tasks], return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        if task.done():
            task.result()  # it never ends by itself: raises what went wrong
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    answers = {
        path: percentiles(one.times) | {"max ms": round(1000 * max(one.times, default=0.0), 1)}
        | {"asked": len(one.times), "refused": one.refused}
        for path, one in found.items()
    }  # fmt: skip
    print(orjson.dumps(answers).decode())


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3:]))
