"""What is stored of all systems, for who does not own them: of a cluster's nodes, each other one.

An owner stores that a system is locked before it acts under the lock, and that it is open after its last act. So what
is stored *now* is right, whichever node owns the system, also while its owner is dead or frozen. Nothing is kept of an
answer: each is from a statement that was sent after the question. Questions that come while all connections are busy
share the next statement.

A lock check is asked before nearly every event of the platform. So these statements do not go through psycopg's cursors
but through libpq's calls, with callbacks of the event loop, at a third less processor time for each check.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

import psycopg
import structlog
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGresult

from maestro.backoff import Backoff
from maestro.events import SYSTEM_ID
from maestro.store.base import StoreAway, StoredSystem, StoreError
from maestro.store.postgres.connection import Connection, connect, cut, execute, translated
from maestro.store.postgres.line import Line

#: Statements under way at once; systems that one of them asks for; questions that wait for one.
CONNECTIONS: Final = 2
_TOGETHER: Final = 500
_MOST: Final = 20_000
#: Seconds between two attempts while PostgreSQL is away; meanwhile questions are refused at once.
_PAUSE, _PAUSE_MAX = 0.1, 1.0

#: A lock in its two columns, as on the lock board: nobody stored it, open, locked.
_UNKNOWN, _OPEN, _LOCKED = 0, 2, 3

_FIND: Final = b"SELECT id, lock, lock_facts, node FROM maestro.systems WHERE id = ANY($1::text[])"
_STANDBY: Final = "SELECT pg_is_in_recovery()"
_OWNERS: Final = "SELECT id, node FROM maestro.systems"
_CLOSED: Final = "PostgreSQL: systems are not looked up any more"
_ADD: Final = """
    INSERT INTO maestro.systems (id, epoch, life, number) VALUES (%s, 1, '', 0) ON CONFLICT (id) DO NOTHING
"""

_Found = asyncio.Future[StoredSystem | None]


class _Question(NamedTuple):
    system_id: str
    found: _Found
    #: Until when (monotonic) it may be put to the database.
    until: float


def lock_columns(lock: bytes | None) -> tuple[int, str]:
    """Return a lock as its two columns have it: see `Store.show_lock`; None: not known."""
    if lock is None:
        return _UNKNOWN, ""
    return (_LOCKED, lock.decode()) if lock else (_OPEN, "")


def lock_of(state: int, facts: bytes) -> bytes | None:
    """Return the lock that the two columns have."""
    return facts if state == _LOCKED else b"" if state == _OPEN else None


class SystemLookup:
    """Looks systems up while it is open.

    `seconds`: how long a question waits for the database's turn, and the database has for an answer then.
    """

    def __init__(self, url: str, seconds: float) -> None:
        self._seconds = seconds
        self._waiting: deque[_Question] = deque()
        self._lines = [_Line(url, seconds, self._take, self._trouble, self._well) for _ in range(CONNECTIONS)]
        #: For what is no question about one system.
        self._rest = Line(url, seconds, _connected)
        self._pauses = Backoff(_PAUSE, _PAUSE_MAX)
        #: Until when (monotonic) nobody is asked, and why.
        self._away_until = 0.0
        self._problem = ""
        self._closed = False
        self._log = structlog.get_logger(part="lookup")

    def find(self, system_id: str) -> _Found:
        """Ask for a system, as it is stored after this call. None: there is no such system.

        The future fails with `StoreAway` when the database cannot be asked, or within three times `seconds`.
        """
        found: _Found = asyncio.get_running_loop().create_future()
        now = time.monotonic()
        if not SYSTEM_ID.fullmatch(system_id):
            found.set_result(None)
        elif self._closed or (self._problem and now < self._away_until):
            found.set_exception(StoreAway(self._problem or _CLOSED))
        elif len(self._waiting) >= _MOST:
            found.set_exception(StoreAway(f"{_MOST} questions wait for PostgreSQL"))
        else:
            self._waiting.append(_Question(system_id, found, now + self._seconds))
            for line in self._lines:
                if line.idle:
                    line.ask_soon()
                    break
        return found

    async def owners(self) -> dict[str, str]:
        """Return all systems, each with the node that owns it; empty: nobody does. Raises `StoreError`."""
        return dict(await self._rest.execute(_OWNERS))

    async def add(self, system_id: str) -> None:
        """Make a system known, without an owner. Twice is no error. Raises `StoreError`."""
        await self._rest.execute(_ADD, (system_id,))

    async def close(self) -> None:
        """Look nothing up any more; what waits is not answered."""
        self._closed = True
        await asyncio.gather(self._rest.close(), *(line.close() for line in self._lines))
        _fail(self._waiting, StoreAway(_CLOSED))

    def _take(self) -> list[_Question]:
        """Return the questions that one statement puts: the oldest, and of these what still may be."""
        taken = [self._waiting.popleft() for _ in range(min(_TOGETHER, len(self._waiting)))]
        now = time.monotonic()
        if taken and taken[0].until < now:
            _fail((one for one in taken if one.until < now), StoreAway("PostgreSQL: no answer in time"))
            taken = [one for one in taken if one.until >= now]
        return taken

    def _well(self) -> None:
        if self._problem:
            self._problem = ""
            self._pauses.reset()
            self._log.info("the store is back: systems are looked up")

    def _trouble(self, problem: StoreError, taken: list[_Question], *, kept: bool) -> None:
        """A statement failed; on a connection that was `kept` it broke while nothing was asked, as a rule."""
        if kept and not self._closed:
            self._waiting.extendleft(reversed(taken))
            for line in self._lines:
                if line.idle:
                    line.ask_soon()
            return
        if not self._problem and not self._closed:
            self._log.warning("systems cannot be looked up: the store is away", cause=str(problem))
        self._problem = str(problem)
        self._away_until = time.monotonic() + self._pauses.next()
        _fail(taken, problem)
        _fail(self._waiting, problem)
        self._waiting.clear()


class _Line:
    """One connection, and the statement that is under way on it.

    Args:
        take: gives the questions of the next statement.
        trouble: is given those of one that failed.
        well: is called when one was answered.
    """

    def __init__(
        self,
        url: str,
        seconds: float,
        take: Callable[[], list[_Question]],
        trouble: Callable[..., None],
        well: Callable[[], None],
    ) -> None:
        self._url = url
        self._seconds = seconds
        self._take = take
        self._trouble = trouble
        self._well = well
        self._loop = asyncio.get_running_loop()
        self._connection: Connection | None = None
        self._descriptor = -1
        self._writing = False
        self._connecting: asyncio.Task[None] | None = None
        self._taken: list[_Question] = []
        self._timer: asyncio.TimerHandle | None = None
        #: Whether the connection has answered before.
        self._kept = False
        #: Whether nothing is under way.
        self.idle = True

    def ask_soon(self) -> None:
        """Put what waits, in the next turn of the loop: with what comes in this one."""
        self.idle = False
        self._loop.call_soon(self._ask)

    def _ask(self) -> None:
        self._taken = self._take()
        self.idle = not self._taken
        if self.idle:
            return
        if self._connection is None:
            self._connecting = self._loop.create_task(self._connect(), name="connect to look systems up")
        else:
            self._send(self._connection)

    async def _connect(self) -> None:
        try:
            self._connection = connection = await _connected(self._url, self._seconds)
        except StoreError as problem:
            self._failed(problem)
            return
        self._kept = False
        self._descriptor = connection.fileno()
        self._loop.add_reader(self._descriptor, self._readable)
        self._send(connection)

    def _send(self, connection: Connection) -> None:
        ids = ",".join({f'"{one.system_id}"' for one in self._taken})
        self._timer = self._loop.call_later(self._seconds, cut, connection)
        try:
            connection.pgconn.send_query_params(_FIND, [b"{%b}" % ids.encode()])
        except psycopg.Error as problem:
            self._failed(translated(problem))
        else:
            self._flush()

    def _flush(self) -> None:
        """Send what libpq has; what the socket does not take now goes when it does."""
        assert self._connection is not None, "there is one while something is under way"
        try:
            left = self._connection.pgconn.flush()
        except psycopg.Error as problem:
            self._failed(translated(problem))
            return
        if left and not self._writing:
            self._loop.add_writer(self._descriptor, self._flush)
        elif self._writing and not left:
            self._loop.remove_writer(self._descriptor)
        self._writing = bool(left)

    def _readable(self) -> None:
        assert self._connection is not None, "there is one while it is watched"
        server = self._connection.pgconn
        try:
            server.consume_input()
            if server.is_busy():
                return
            result = server.get_result()
            while result is not None and server.get_result() is not None:
                pass
        except psycopg.Error as problem:
            self._failed(translated(problem))
            return
        if result is None:
            return  # a notice, with nothing under way
        if result.status != ExecStatus.TUPLES_OK:
            text = result.get_error_message()
            self._failed(StoreError(f"PostgreSQL: {text}"))
            return
        self._answer(result)

    def _answer(self, result: PGresult) -> None:
        if self._timer is not None:
            self._timer.cancel()
        taken, self._taken = self._taken, []
        self._kept = True
        found = {}
        for row in range(result.ntuples):
            id_, lock, facts, node = (result.get_value(row, column) or b"" for column in range(4))
            found[id_.decode()] = StoredSystem(lock_of(int(lock), facts), node.decode())
        for question in taken:
            if not question.found.done():
                question.found.set_result(found.get(question.system_id))
        self._well()
        self._ask()

    def _failed(self, problem: StoreError) -> None:
        if self._timer is not None:
            self._timer.cancel()
        taken, self._taken = self._taken, []
        kept, self._kept = self._kept, False
        self._drop()
        self.idle = True
        self._trouble(problem, taken, kept=kept)

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            self._loop.remove_reader(self._descriptor)
            self._loop.remove_writer(self._descriptor)
            self._writing = False
            connection.pgconn.finish()

    async def close(self) -> None:
        """Let go of the connection; what is under way is not answered."""
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.gather(self._connecting, return_exceptions=True)
        if self._timer is not None:
            self._timer.cancel()
        self._drop()
        _fail(self._taken, StoreAway(_CLOSED))


async def _connected(url: str, seconds: float) -> Connection:
    """Connect to the primary: a standby may know of no lock yet. Raises `StoreError`."""
    connection = await connect(url, seconds)
    try:
        ((standby,),) = await execute(connection, _STANDBY, (), seconds)
    except BaseException:
        await connection.close()
        raise
    if standby:
        await connection.close()
        raise StoreAway("PostgreSQL: this server is a standby")
    return connection


def _fail(questions: Iterable[_Question], problem: StoreError) -> None:
    for question in questions:
        if not question.found.done():
            question.found.set_exception(StoreAway(str(problem)))
            question.found.exception()  # who asked may be gone
