"""`PostgresStore`: one system's rows in PostgreSQL, written by one owner, read from its copy.

A commit is one statement: it raises the system's number, if epoch, life and number are still what this owner knows, and
writes its rows only then. So an owner that was replaced writes nothing, and neither does one whose last commits the
database lost in a fail-over. When the system's lock has moved, the same statement says so, to all who ask for it here
(`lookup`). One statement is under way at a time; commits that come meanwhile share the next one.

When an answer is lost, the number tells whether the statement was carried out. It is sent again only when it was not.
While PostgreSQL is away commits wait, and `problem` says so. Every commit is as durable as the database makes it.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, LiteralString, NamedTuple

import structlog

from maestro.backoff import Backoff
from maestro.cluster.node import Lease
from maestro.store.base import (
    DONE,
    LEDGER_READS,
    LEDGER_WRITES,
    Commit,
    StoreAway,
    StoreDamaged,
    StoreError,
    StoreFenced,
)
from maestro.store.postgres.connection import Connection, execute
from maestro.store.postgres.copy import Copy
from maestro.store.postgres.line import Line
from maestro.store.postgres.lookup import lock_columns, lock_of
from maestro.store.row_store import RowStore
from maestro.store.statements import checksum
from maestro.store.tail import Row

#: Pauses between two tries while PostgreSQL is away, in seconds.
_PAUSE, _PAUSE_MAX = 0.1, 2.0
#: Seconds after which a commit that is not confirmed is a problem, though nothing has failed yet.
_SLOW: Final = 2.0
#: Bytes after which no further commit joins a statement, and rows that one reading returns.
_TOGETHER: Final = 4 * 1024 * 1024
_PAGE: Final = 500

_GUARD: Final = """WITH guard AS (
    UPDATE maestro.systems SET number = number + 1
    WHERE id = %s AND epoch = %s AND life = %s AND number = %s RETURNING id
)"""
_GUARD_AND_LOCK: Final = """WITH guard AS (
    UPDATE maestro.systems SET number = number + 1, lock = %s, lock_facts = %s
    WHERE id = %s AND epoch = %s AND life = %s AND number = %s RETURNING id
)"""
_PUT: Final = """, put AS (
    INSERT INTO maestro.records (system, tbl, key, body, crc)
    SELECT guard.id, p.tbl, p.key, p.body, p.crc
    FROM guard, unnest(%s::text[], %s::bytea[], %s::bytea[], %s::bigint[]) AS p (tbl, key, body, crc)
    ON CONFLICT (system, tbl, key) DO UPDATE SET body = excluded.body, crc = excluded.crc
)"""
_GONE: Final = """, gone AS (
    DELETE FROM maestro.records USING guard, unnest(%s::text[], %s::bytea[]) AS g (tbl, key)
    WHERE records.system = guard.id AND records.tbl = g.tbl AND records.key = g.key
)"""
_COUNT: Final = " SELECT count(*) FROM guard"

_CLAIM: Final = """
    INSERT INTO maestro.systems (id, epoch, life, number)
    SELECT %s, 1, %s, 0 FROM maestro.installation WHERE run = %s
    ON CONFLICT (id) DO UPDATE SET epoch = systems.epoch + 1, life = excluded.life
    RETURNING epoch, number, lock, lock_facts
"""
_CLAIM_IN_CLUSTER: Final = """
    UPDATE maestro.systems SET epoch = epoch + 1, life = %s
    WHERE id = %s AND node = %s AND incarnation = %s AND EXISTS (
        SELECT 1 FROM maestro.nodes WHERE nodes.node = systems.node AND nodes.incarnation = systems.incarnation
    )
    RETURNING epoch, number, lock, lock_facts
"""
_STANDS: Final = "SELECT epoch, life, number FROM maestro.systems WHERE id = %s"
_ROWS: Final = """
    SELECT tbl, key, body, crc FROM maestro.records WHERE system = %s AND (tbl, key) > (%s, %s)
    ORDER BY tbl, key LIMIT %s
"""


class Standing(NamedTuple):
    """Who owns a system, and the number of its last commit."""

    epoch: int
    life: str
    number: int


@dataclass(slots=True)
class _Waiting:
    rows: Sequence[Row]
    #: The lock as it is from this commit on (see `Store.show_lock`); None: not known.
    lock: bytes | None
    future: "asyncio.Future[None]"
    since: float


class PostgresStore(RowStore):
    """A `maestro.store.base.Store` in PostgreSQL, on the event loop that opened it."""

    def __init__(
        self,
        url: str,
        seconds: float,
        system_id: str,
        standing: Standing,
        copy: Copy,
        connection: Connection,
        lock: bytes | None = None,
        refused: Callable[[int], None] = lambda _lost: None,
    ) -> None:
        super().__init__(copy)
        #: Told of a commit that is refused: how many earlier ones the database lost, 0: another owner has the system.
        self._refused = refused
        self._id = system_id
        self._standing = standing
        self._copy = copy
        self._line = Line(url, seconds, connection=connection)
        #: The lock as it is stored, and as the next commit is to say it.
        self._lock_stored = lock
        self._lock: bytes | None = None
        self._queue: deque[_Waiting] = deque()
        self._sending: list[_Waiting] = []
        self._problem = ""
        self._failed: StoreError | None = None
        self._closed = False
        self._more = asyncio.Event()
        self._log = structlog.get_logger(system=system_id)
        self._task = asyncio.get_running_loop().create_task(self._run(), name=f"commits of {system_id}")

    @property
    def problem(self) -> str:
        """See `RowStore.problem`."""
        return self._problem and f"{self._problem}; commits wait"

    @property
    def waits(self) -> float:
        """See `RowStore.waits`."""
        first = next(iter(self._sending or self._queue), None)
        return time.monotonic() - first.since if first is not None else 0.0

    def save(self, rows: Sequence[Row], *, durable: bool) -> Commit:  # noqa: ARG002 - all are
        """See `RowStore.save`."""
        if self._failed is not None:
            raise self._failed
        rows = [_keyed(row) for row in rows]
        self._copy.save(rows)
        if not rows and not self._queue and not self._sending and self._lock == self._lock_stored:
            return DONE
        waiting = _Waiting(rows, self._lock, asyncio.get_running_loop().create_future(), time.monotonic())
        self._queue.append(waiting)
        self._more.set()
        return waiting.future

    def show_lock(self, facts: bytes) -> None:
        """See `Store.show_lock`."""
        self._lock = facts

    def backup(self, path: str) -> None:
        """Refuse: the database is backed up, not one system of it. Raises `StoreError`."""
        self._copy.connection  # noqa: B018 - raises once it is closed
        raise StoreError(f"{path}: a store in PostgreSQL is backed up with PostgreSQL's own tools")

    def close(self) -> None:
        """See `Store.close`. What is not done by then fails; whether it is stored is not known."""
        if self._closed:
            return
        self._closed = True
        self._more.set()
        self._line.cut()
        self._fail(StoreError(f"{self._copy.name}: is closed"))
        super().close()

    async def ended(self) -> None:
        """Return once nothing of a closed store is left, its connection neither."""
        await asyncio.wait({self._task})

    # --- writing -----------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        try:
            while not self._closed:
                await self._more.wait()
                self._more.clear()
                while self._queue and not self._closed:
                    self._sending = self._next()
                    await self._carry_out(_latest(self._sending), self._sending[-1].lock)
                    done, self._sending = self._sending, []
                    for one in done:
                        if not one.future.done():
                            one.future.set_result(None)
        except StoreError as problem:
            self._fail(problem)
        except Exception as problem:  # noqa: BLE001 - a bug: nobody may wait for it for ever
            self._fail(StoreError(f"{self._copy.name}: {type(problem).__name__}: {problem}"))
        finally:
            await self._line.close()

    def _next(self) -> list[_Waiting]:
        taken, size = [], 0
        while self._queue and size < _TOGETHER:
            one = self._queue.popleft()
            size += sum(len(json or b"") for _, _, json in one.rows)
            taken.append(one)
        return taken

    async def _carry_out(self, rows: dict[tuple[str, str], bytes | None], lock: bytes | None) -> None:
        """Have one statement carried out, exactly once, however often that has to be tried. Raises `StoreError`."""
        query, parameters = _statement(self._id, self._standing, rows)
        if lock != self._lock_stored:
            query = _GUARD_AND_LOCK + query.removeprefix(_GUARD)
            parameters = [*lock_columns(lock), *parameters]
        following = self._standing._replace(number=self._standing.number + 1)
        pauses = Backoff(_PAUSE, _PAUSE_MAX)
        slow = asyncio.get_running_loop().call_later(_SLOW, self._trouble, "PostgreSQL: gives no answer")
        try:
            await self._until_done(query, parameters, following, pauses)
        finally:
            slow.cancel()
        self._standing = following
        self._lock_stored = lock
        if self._problem:
            self._trouble("")
            self._log.info("the store is back: commits go on")

    async def _until_done(
        self, query: LiteralString, parameters: Sequence[object], following: Standing, pauses: Backoff
    ) -> None:
        tried = False
        while True:
            try:
                if tried and await self._stands() == following:
                    return
                tried = True
                ((done,),) = await self._line.execute(query, parameters)
                if not done and (found := await self._stands()) != following:
                    raise self._fenced(found)
            except StoreAway as problem:
                if self._closed:
                    raise
                self._trouble(str(problem))
                await asyncio.sleep(pauses.next())
            else:
                return

    def _trouble(self, problem: str) -> None:
        """Say what keeps commits from being done; empty: nothing any more."""
        if problem and not self._problem:
            self._log.warning("commits wait: the store is away", cause=problem)
        self._problem = problem
        self.on_problem()

    def _fenced(self, found: Standing | None) -> StoreFenced:
        """Return why a commit is refused, and have it counted."""
        known, name = self._standing, self._copy.name
        lost = 0
        if found is None:
            message = f"{name}: is gone from the database"
        elif found.epoch < known.epoch:
            lost, message = 1, f"{name}: the database lost that this owner opened it, as a fail-over to a standby may"
        elif (found.epoch, found.life) != (known.epoch, known.life):
            message = f"{name}: another owner has it (epoch {found.epoch}, this one's is {known.epoch})"
        else:
            lost = known.number - found.number
            message = f"{name}: the database lost the last {lost} commits, as a fail-over to a standby may"
        self._refused(lost)
        return StoreFenced(message)

    async def _stands(self) -> Standing | None:
        found = await self._line.execute(_STANDS, (self._id,))
        return Standing(*found[0]) if found else None

    def _fail(self, problem: StoreError) -> None:
        self._failed = self._failed or problem
        for one in [*self._sending, *self._queue]:
            if not one.future.done():
                one.future.set_exception(problem)
                one.future.exception()  # nobody has to ask for it: the engine ends with it
        self._sending = []
        self._queue.clear()


async def claim(
    connection: Connection, system_id: str, run: str, life: str, seconds: float
) -> tuple[Standing, bytes | None]:
    """Make `life` the owner of a system: whatever an earlier one sends from now on is refused.

    Returns with it the lock as it is stored.

    Raises:
        StoreFenced: the stores are another start's of Maestro by now.
        StoreError: the database cannot be used.
    """
    found = await execute(connection, _CLAIM, (system_id, life, run), seconds)
    if not found:
        raise StoreFenced("PostgreSQL: another start of Maestro has taken the stores over; this one may not write")
    return _claimed(life, *found[0])


async def claim_as(
    connection: Connection, system_id: str, lease: Lease, life: str, seconds: float
) -> tuple[Standing, bytes | None]:
    """Make `life` the owner of a system of this node's. Returns with it the lock as it is stored.

    Raises:
        StoreFenced: the system is not this node's, or its lease was broken.
        StoreError: the database cannot be used.
    """
    found = await execute(connection, _CLAIM_IN_CLUSTER, (life, system_id, *lease), seconds)
    if not found:
        raise StoreFenced(f"PostgreSQL: system {system_id} is not node {lease.node}'s by now; this one may not write")
    return _claimed(life, *found[0])


def _claimed(life: str, epoch: int, number: int, lock: int, facts: str) -> tuple[Standing, bytes | None]:
    return Standing(epoch, life, number), lock_of(lock, facts.encode())


async def load(connection: Connection, system_id: str, seconds: float) -> Copy:
    """Read all rows of a system, each checked. Raises `StoreDamaged` and `StoreError`."""
    copy = Copy(system_id)
    try:
        after: tuple[str, bytes] = ("", b"")
        while True:
            page = await execute(connection, _ROWS, (system_id, *after, _PAGE), seconds)
            copy.save([_checked(copy.name, *row) for row in page])
            if len(page) < _PAGE:
                return copy
            after = page[-1][0], page[-1][1]
    except BaseException:
        copy.close()
        raise


def _checked(name: str, table: str, raw: bytes, body: bytes, crc: int) -> Row:
    key = raw.decode("utf-8", "surrogateescape")
    if checksum(table, key, body) != crc:
        raise StoreDamaged(f"{name}: table {table!r}, key {key!r}: the checksum does not match")
    return table, key, body


def _keyed(row: Row) -> Row:
    """A number of the ledger is one key, however it is written."""
    table, key, json = row
    return (table, f"{int(key):015d}", json) if table in (LEDGER_WRITES, LEDGER_READS) else row


def _latest(waiting: Sequence[_Waiting]) -> dict[tuple[str, str], bytes | None]:
    """Return each row as the last of these commits leaves it: a statement may write a row once."""
    return {(table, key): json for one in waiting for table, key, json in one.rows}


def _statement(
    system_id: str, standing: Standing, rows: dict[tuple[str, str], bytes | None]
) -> tuple[LiteralString, list[object]]:
    puts = [(table, key, json) for (table, key), json in rows.items() if json is not None]
    gone = [place for place, json in rows.items() if json is None]
    query: LiteralString = _GUARD
    parameters: list[object] = [system_id, standing.epoch, standing.life, standing.number]
    if puts:
        query += _PUT
        parameters += [
            [table for table, _, _ in puts],
            [_raw(key) for _, key, _ in puts],
            [json for _, _, json in puts],
            [checksum(*put) for put in puts],
        ]
    if gone:
        query += _GONE
        parameters += [[table for table, _ in gone], [_raw(key) for _, key in gone]]
    return query + _COUNT, parameters


def _raw(key: str) -> bytes:
    return key.encode("utf-8", "surrogateescape")
