"""What is stored of all systems, for who does not own them: of a cluster's nodes, each other one.

An owner stores that a system is locked before it acts under the lock, and that it is open after its last act. So what
is stored *now* is right, whichever node owns the system, also while its owner is dead or frozen. Nothing is kept of an
answer: each is from a statement that was sent after the question. Questions that come while both connections are busy
share the next statement.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Final, NamedTuple

import structlog

from maestro.backoff import Backoff
from maestro.store.base import StoreAway, StoredSystem, StoreError
from maestro.store.postgres.connection import Connection, connect, execute

#: Statements under way at once; systems that one of them asks for; questions that wait for one.
CONNECTIONS: Final = 2
_TOGETHER: Final = 500
_MOST: Final = 20_000
#: Seconds between two attempts while PostgreSQL is away; meanwhile questions are refused at once.
_PAUSE, _PAUSE_MAX = 0.1, 1.0

#: A lock in its two columns, as on the lock board: nobody stored it, open, locked.
_UNKNOWN, _OPEN, _LOCKED = 0, 2, 3

_FIND: Final = "SELECT id, lock, lock_facts, node FROM maestro.systems WHERE id = ANY(%s)"
_STANDBY: Final = "SELECT pg_is_in_recovery()"
_OWNERS: Final = "SELECT id, node FROM maestro.systems"
_URLS: Final = "SELECT node, url FROM maestro.nodes WHERE beat > 0"
_ADD: Final = """
    INSERT INTO maestro.systems (id, epoch, life, number) VALUES (%s, 1, '', 0) ON CONFLICT (id) DO NOTHING
"""

_Question = tuple[str, "asyncio.Future[StoredSystem | None]"]


class Everything(NamedTuple):
    """All nodes that hold a lease, with their gateways' URLs, and all systems, with who owns them; empty: nobody."""

    urls: dict[str, str]
    owners: dict[str, str]


def lock_columns(lock: bytes | None) -> tuple[int, str]:
    """Return a lock as its two columns have it: see `Store.show_lock`; None: not known."""
    if lock is None:
        return _UNKNOWN, ""
    return (_LOCKED, lock.decode()) if lock else (_OPEN, "")


def lock_of(state: int, facts: str) -> bytes | None:
    """Return the lock that the two columns have."""
    return {_OPEN: b"", _LOCKED: facts.encode()}.get(state)


class SystemLookup:
    """Looks systems up while it is open. `seconds`: how long the database has for an answer."""

    def __init__(self, url: str, seconds: float) -> None:
        self._url = url
        self._seconds = seconds
        self._waiting: deque[_Question] = deque()
        self._more = asyncio.Event()
        self._pauses = Backoff(_PAUSE, _PAUSE_MAX)
        #: Until when (monotonic) nobody is asked, and why.
        self._away_until = 0.0
        self._problem = ""
        self._log = structlog.get_logger(part="lookup")
        loop = asyncio.get_running_loop()
        self._readers = [loop.create_task(self._read(), name=f"look systems up {n}") for n in range(CONNECTIONS)]

    def find(self, system_id: str) -> "asyncio.Future[StoredSystem | None]":
        """Ask for a system, as it is stored after this call. None: there is no such system.

        The future fails with `StoreAway` when the database cannot be asked, some times `seconds` later at most.
        """
        asked: asyncio.Future[StoredSystem | None] = asyncio.get_running_loop().create_future()
        if self._problem and time.monotonic() < self._away_until:
            asked.set_exception(StoreAway(self._problem))
        elif len(self._waiting) >= _MOST:
            asked.set_exception(StoreAway(f"{_MOST} questions wait for PostgreSQL"))
        else:
            self._waiting.append((system_id, asked))
            self._more.set()
        return asked

    async def everything(self) -> Everything:
        """Return all nodes and systems. Raises `StoreError`."""
        async with self._connection() as connection:
            owners = await execute(connection, _OWNERS, (), self._seconds)
            urls = await execute(connection, _URLS, (), self._seconds)
            return Everything(dict(urls), dict(owners))

    async def add(self, system_id: str) -> None:
        """Make a system known, without an owner. Twice is no error. Raises `StoreError`."""
        async with self._connection() as connection:
            await execute(connection, _ADD, (system_id,), self._seconds)

    async def close(self) -> None:
        """Look nothing up any more; what waits is not answered."""
        for reader in self._readers:
            reader.cancel()
        await asyncio.gather(*self._readers, return_exceptions=True)
        self._fail(self._waiting, StoreError("PostgreSQL: is closed"))

    async def _read(self) -> None:
        """Answer with one connection, for as long as this is open."""
        connection: Connection | None = None
        taken: list[_Question] = []
        try:
            while True:
                if not self._waiting:
                    self._more.clear()
                    await self._more.wait()
                taken = [self._waiting.popleft() for _ in range(min(_TOGETHER, len(self._waiting)))]
                kept = connection
                try:
                    if connection is None:
                        connection = await self._connected()
                    await self._answer(connection, taken)
                except StoreError as problem:
                    if connection is not None:
                        await connection.close()
                    connection = None
                    if kept is not None:  # it broke while nothing was asked, as a rule: another one may be had
                        self._waiting.extendleft(reversed(taken))
                    else:
                        self._trouble(problem, taken)
        finally:
            self._fail(taken, StoreError("PostgreSQL: is closed"))
            if connection is not None:
                await connection.close()

    async def _answer(self, connection: Connection, taken: list[_Question]) -> None:
        """Answer these questions by one statement, which is sent now. Raises `StoreError`."""
        ids = list({system_id for system_id, _ in taken})
        rows = await execute(connection, _FIND, (ids,), self._seconds)
        if self._problem:
            self._problem = ""
            self._pauses.reset()
            self._log.info("the store is back: systems are looked up")
        found = {system_id: StoredSystem(lock_of(lock, facts), node) for system_id, lock, facts, node in rows}
        for system_id, asked in taken:
            if not asked.done():
                asked.set_result(found.get(system_id))

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        connection = await self._connected()
        try:
            yield connection
        finally:
            await connection.close()

    async def _connected(self) -> Connection:
        """Connect to the primary: a standby may know of no lock yet. Raises `StoreError`."""
        connection = await connect(self._url, self._seconds)
        try:
            ((standby,),) = await execute(connection, _STANDBY, (), self._seconds)
        except BaseException:
            await connection.close()
            raise
        if standby:
            await connection.close()
            raise StoreAway("PostgreSQL: this server is a standby")
        return connection

    def _trouble(self, problem: StoreError, taken: list[_Question]) -> None:
        if not self._problem:
            self._log.warning("systems cannot be looked up: the store is away", cause=str(problem))
        self._problem = str(problem)
        self._away_until = time.monotonic() + self._pauses.next()
        self._fail(taken, problem)
        self._fail(self._waiting, problem)
        self._waiting.clear()

    def _fail(self, questions: Iterable[_Question], problem: StoreError) -> None:
        for _, asked in questions:
            if not asked.done():
                asked.set_exception(StoreAway(str(problem)))
                asked.exception()  # who asked may be gone
