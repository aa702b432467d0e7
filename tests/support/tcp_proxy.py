"""A TCP proxy on loopback between Maestro and its broker, that can cut connections, refuse new ones, and delay.

async with TcpProxy(port_of_the_broker) as proxy:
    proxy.refuse()      # nobody gets in, and who is in is thrown out
    proxy.accept()
"""

import asyncio
import ssl
from contextlib import suppress
from random import Random
from types import TracebackType
from typing import Self

from maestro.ports import free_port

HOST = "127.0.0.1"
CHUNK = 64 * 1024


class TcpProxy:
    """Listens on `port` while it is entered, and carries bytes to and from `target` on the same machine.

    With `tls` it speaks TLS to whoever connects.
    """

    def __init__(self, target: int, tls: ssl.SSLContext | None = None) -> None:
        self.port = free_port()
        #: Seconds that each chunk of bytes takes more, in either direction; and up to so many more, drawn for each.
        self.delay = 0.0
        self.jitter = 0.0
        self._dice = Random(0)
        #: Whether an answer is lost, and its connection with it.
        self.lose_answers = False
        #: Connections carried so far.
        self.carried = 0
        self._target = target
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._clients: set[asyncio.StreamWriter] = set()
        self._parted: set[asyncio.StreamWriter] = set()
        self._left: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def accept(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._carry, HOST, self.port, reuse_address=True, ssl=self._tls)

    async def refuse(self) -> None:
        """Stop listening, so that connecting is refused, and cut what is connected."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.cut()

    def cut(self) -> None:
        """Reset all connections; new ones are welcome."""
        for writer in list(self._writers):
            writer.transport.abort()

    def part(self) -> None:
        """Reset the clients' connections and say nothing to the other side, until `tell` or `cut`."""
        self._parted |= self._clients
        for writer in list(self._clients):
            writer.transport.abort()

    def tell(self) -> None:
        """Reset what is left of the connections that were parted."""
        for writer in self._left:
            writer.transport.abort()
        self._left.clear()

    async def __aenter__(self) -> Self:
        await self.accept()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.refuse()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.carried += 1
        self._writers.add(writer)
        self._clients.add(writer)
        try:
            with suppress(OSError):
                there, away = await asyncio.open_connection(HOST, self._target)
                self._writers.add(away)
                await self._both_ways((reader, away), (there, writer))
                if writer in self._parted:
                    self._parted.discard(writer)
                    self._left.add(away)
                else:
                    self._close(away)
        finally:
            self._clients.discard(writer)
            self._close(writer)

    async def _both_ways(self, *ways: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> None:
        tasks = {asyncio.create_task(self._pump(*way)) for way in ways}
        self._tasks |= tasks
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            self._tasks -= tasks

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while chunk := await reader.read(CHUNK):
                if self.delay or self.jitter:
                    await asyncio.sleep(self.delay + self._dice.uniform(0, self.jitter))
                if self.lose_answers and writer in self._clients:
                    return
                writer.write(chunk)
                await writer.drain()

    def _close(self, writer: asyncio.StreamWriter) -> None:
        self._writers.discard(writer)
        writer.close()
