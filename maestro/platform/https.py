"""https to the siblings, through aiohttp.

Imported only where a sibling is reached that way: aiohttp takes memory, and time to start, of hundreds of processes.
"""

import ssl
from collections.abc import Mapping
from typing import Final

import aiohttp

from maestro.platform.connections import (
    Answer,
    Bounds,
    ConnectionFailedError,
    NoConnectionInTimeError,
    NotSentError,
    Sink,
)
from maestro.platform.errors import WrongShapeError
from maestro.platform.target import Target

#: Connections in all.
CONNECTIONS: Final = 64


class HttpsConnections:
    """As `Connections`, which are for http; `headers` are of every request. Belongs to one event loop."""

    def __init__(self, headers: Mapping[str, str], bounds: Bounds) -> None:
        self._limit = bounds.limit
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=CONNECTIONS,
                limit_per_host=bounds.per_host,
                keepalive_timeout=bounds.keep_for,
                ssl=ssl.create_default_context(),  # of now: aiohttp's own is made with its import
            ),
            timeout=aiohttp.ClientTimeout(total=bounds.answer_timeout, sock_connect=bounds.connect_timeout),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=headers,
        )

    async def request(self, method: str, target: Target, body: bytes | None, sink: Sink | None = None) -> Answer:
        """Send one request; return status and body. A `sink` takes the body of an answer that says yes, as it comes.

        Raises:
            NotSentError, ConnectionFailedError, WrongShapeError: as they say.
            NoConnectionInTimeError, TimeoutError: no connection, no complete answer in time.
        """
        try:
            async with self._session.request(
                method, target.url, data=body, headers=dict(target.fields), allow_redirects=False
            ) as response:
                return response.status, await self._read(response, sink if response.status < 300 else None)  # noqa: PLR2004
        except aiohttp.ConnectionTimeoutError as problem:
            raise NoConnectionInTimeError from problem
        except TimeoutError:
            raise
        except aiohttp.ClientConnectorError as problem:  # before there was a connection, its handshake included
            raise NotSentError(f"{type(problem).__name__}: {problem}") from problem
        except aiohttp.ClientError as problem:
            raise ConnectionFailedError(f"{type(problem).__name__}: {problem}") from problem

    async def close(self) -> None:
        """Close all connections; requests under way fail. Twice is no error."""
        await self._session.close()

    async def _read(self, response: aiohttp.ClientResponse, sink: Sink | None) -> bytes:
        length = response.content_length
        if sink is None and length is not None and length <= self._limit and "Content-Encoding" not in response.headers:
            return await response.read()
        parts, size = bytearray(), 0
        async for part in response.content.iter_any():
            size += len(part)
            if sink is None:
                parts += part
            else:
                sink(part)
            if size > self._limit:
                # The rest stays unread, so the connection cannot be used again.
                response.close()
                raise WrongShapeError(f"it is larger than {self._limit} bytes")
        return bytes(parts)
