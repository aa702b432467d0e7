"""Approves reprocessings, each once, on some connections at the same time; prints the seconds each took, as JSON.

python -m benchmarks.decide PORT CONNECTIONS ID...

The first connection that is free takes the next id. Ends with 1 when an answer is no 200.
"""

import asyncio
import sys
import time

import orjson
import uvloop

BODY = b'{"user": "bench"}'
_REQUEST = (
    "POST /v1.0.0/reprocessing/{}/approve HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    "Content-Type: application/json\r\nContent-Length: {}\r\n\r\n"
)


async def main(port: int, connections: int, ids: list[str]) -> None:
    """Approve all ids."""
    left, times = iter(ids), []

    async def worker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for id_ in left:
            began = time.perf_counter()
            writer.write(_REQUEST.format(id_, len(BODY)).encode() + BODY)
            head = await reader.readuntil(b"\r\n\r\n")
            body = await reader.readexactly(int(head.lower().partition(b"content-length:")[2].split(b"\r", 1)[0]))
            times.append(time.perf_counter() - began)
            if head[9:12] != b"200":
                sys.exit(f"{id_}: {(head + body).decode()}")
        writer.close()

    opened = [await asyncio.open_connection("127.0.0.1", port) for _ in range(connections)]
    await asyncio.gather(*(worker(*one) for one in opened))
    print(orjson.dumps(times).decode())


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]))
