"""What the look at an idle connection costs that a commit is preceded by: `python -m benchmarks.look`.

Prints microseconds a look over loopback: median, least and most of nine runs of 20,000 looks.
"""

import asyncio
from statistics import median
from timeit import repeat

from maestro.platform.connections import Connection

LOOKS, RUNS = 20_000, 9


async def main() -> None:
    """Connect to a server of our own that says nothing, and look."""
    server = await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(lambda: Connection(1000, None), "127.0.0.1", port)  # type: ignore[arg-type]
    assert not connection.speaks_unasked()
    runs = [1e6 * took / LOOKS for took in repeat(connection.speaks_unasked, number=LOOKS, repeat=RUNS)]
    print(f"a look: {median(runs):.1f} us ({min(runs):.1f} to {max(runs):.1f})")
    server.close()


if __name__ == "__main__":
    asyncio.run(main())
