"""One connection to PostgreSQL, kept between statements and made again when it broke."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, LiteralString

from maestro.store.base import StoreAway
from maestro.store.postgres.connection import Connection, connect, cut, execute


class Line:
    """One connection, made when it is needed, for one statement at a time.

    `seconds`: how long each waits for its turn at most, and how long it has then. `connecting` makes the connection;
    `connection`: one that is made already.
    """

    def __init__(
        self,
        url: str,
        seconds: float,
        connecting: Callable[[str, float], Awaitable[Connection]] = connect,
        connection: Connection | None = None,
    ) -> None:
        self._url = url
        self._seconds = seconds
        self._connecting = connecting
        self._connection = connection
        self._free = asyncio.Lock()

    async def execute(self, query: LiteralString, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return what a statement gives. Raises `StoreAway`: whether it was carried out is not known; `StoreError`."""
        try:
            async with asyncio.timeout(self._seconds):
                await self._free.acquire()
        except TimeoutError:
            raise StoreAway("PostgreSQL: no answer in time to what was asked before") from None
        try:
            return await self._carried_out(query, parameters)
        finally:
            self._free.release()

    async def _carried_out(self, query: LiteralString, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        try:
            if self._connection is None or self._connection.closed:
                self._connection = await self._connecting(self._url, self._seconds)
            return await execute(self._connection, query, parameters, self._seconds)
        except BaseException:
            await self._drop()
            raise

    async def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            cut(connection)
            await connection.close()

    def cut(self) -> None:
        """Have the statement that is under way fail, without waiting for anything. The next one connects again."""
        if self._connection is not None:
            cut(self._connection)

    async def close(self) -> None:
        """Let go of the connection."""
        async with self._free:
            await self._drop()
