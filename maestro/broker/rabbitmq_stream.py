"""pika's byte stream, carried by the event loop's own transport.

pika's asyncio adapter watches the socket itself: each send registers a writer and takes it back, each receive ends in
one that finds nothing. The loop's transport knows better, and what pika writes in one turn of the loop goes through it
with one system call.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import Any

from pika.adapters.asyncio_connection import _AsyncioIOServicesAdapter
from pika.adapters.utils import nbio_interface

#: What pika is told: the transport and its protocol, or why there are none.
Done = Callable[[Any], None]


class LoopStreams(_AsyncioIOServicesAdapter):  # type: ignore[misc]  # pika is not typed
    """pika's services of an event loop, with streams that are the loop's."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._loop: asyncio.AbstractEventLoop = loop

    def create_streaming_connection(
        self,
        protocol_factory: Callable[[], Any],
        sock: socket.socket,
        on_done: Done,
        ssl_context: ssl.SSLContext | None = None,
        server_hostname: str | None = None,
    ) -> "_Linking":
        """See pika. Takes the socket, which is connected, over."""
        stream = _Stream(self._loop, protocol_factory(), on_done)
        link = self._loop.create_connection(lambda: stream, sock=sock, ssl=ssl_context, server_hostname=server_hostname)
        return _Linking(self._loop.create_task(_report(link, sock, on_done)))


class _Stream(asyncio.Protocol, nbio_interface.AbstractStreamTransport):  # type: ignore[misc]  # pika is not typed
    """Between the loop's transport and pika's protocol: each takes it for the other."""

    def __init__(self, loop: asyncio.AbstractEventLoop, protocol: Any, on_done: Done) -> None:
        self._loop = loop
        self._protocol = protocol
        self._on_done = on_done
        self._transport: asyncio.Transport
        self._written: list[bytes] = []
        self.data_received = protocol.data_received  # type: ignore[method-assign]  # one call less for each receive

    # --- for the loop --------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # of a stream
        try:
            self._protocol.connection_made(self)
        except Exception as error:  # noqa: BLE001 - pika is told, and connects again
            self.abort()
            self._on_done(error)
        else:
            self._on_done((self, self._protocol))

    def eof_received(self) -> bool | None:
        ended: bool | None = self._protocol.eof_received()
        return ended

    def connection_lost(self, exc: Exception | None) -> None:
        self._protocol.connection_lost(exc)

    # --- for pika ------------------------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """See pika. It goes out at the end of this turn of the loop, with all that is written until then."""
        if not self._written:
            self._loop.call_soon(self._flush)
        self._written.append(data)

    def _flush(self) -> None:
        written, self._written = self._written, []
        if not self._transport.is_closing():
            self._transport.write(b"".join(written))

    def get_write_buffer_size(self) -> int:
        """See pika."""
        return self._transport.get_write_buffer_size() + sum(map(len, self._written))

    def get_protocol(self) -> Any:
        """See pika."""
        return self._protocol

    def abort(self) -> None:
        """See pika."""
        self._transport.abort()


class _Linking(nbio_interface.AbstractIOReference):  # type: ignore[misc]  # pika is not typed
    """A link that is being made."""

    def __init__(self, task: asyncio.Task[None]) -> None:
        self._task = task

    def cancel(self) -> bool:
        """See pika."""
        return self._task.cancel()


async def _report(link: Any, sock: socket.socket, on_done: Done) -> None:
    """Tell why there is no link, if there is none."""
    try:
        await link
    except Exception as error:  # noqa: BLE001 - whatever it is, pika tells it to the code that connects
        sock.close()
        on_done(error)
