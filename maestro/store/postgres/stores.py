"""`PostgresStores`: the stores of an installation in one PostgreSQL database."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from socket import gethostname
from typing import Final, LiteralString, NamedTuple

import structlog

from maestro.backoff import Backoff
from maestro.store.base import StoreAway, StoreError, StoreFenced
from maestro.store.fenced import note_fenced
from maestro.store.held_lease import read_lease
from maestro.store.installation import Installation, read_installation
from maestro.store.places import elsewhere_mark, store_files
from maestro.store.postgres import schema
from maestro.store.postgres.connection import Connection, connect, execute, named
from maestro.store.postgres.copy import Copy
from maestro.store.postgres.store import PostgresStore, claim, claim_as, load
from maestro.store.postgres.whose import UNKNOWN, Whose, cluster_owner, may_move, moved_to_files, moving_to_files
from maestro.store.rest_mark import RestMark, encoded

#: Seconds that a start waits for a database that is away: it may be starting as well.
START_WAITS: Final = 30.0
_PAUSE, _PAUSE_MAX = 0.5, 5.0

#: Places of rows that one reading returns.
_PAGE: Final = 5000

_ENTER: Final = """
    INSERT INTO maestro.installation (one, id, run, host, since) VALUES (true, %s, %s, %s, now())
    ON CONFLICT (one) DO UPDATE SET id = excluded.id, run = excluded.run, host = excluded.host, since = excluded.since
    WHERE (installation.id = ANY(%s) OR %s) AND NOT (%s AND EXISTS (SELECT 1 FROM maestro.nodes WHERE beat > 0))
    RETURNING id
"""
#: Before `_ENTER`, by a claim: who has a store of another one's open writes nothing more, though nobody opens it yet.
_FENCE: Final = """
    WITH fenced AS (
        UPDATE maestro.systems SET epoch = epoch + 1
        WHERE EXISTS (SELECT 1 FROM maestro.installation WHERE id <> %s OR run <> %s)
    )
"""
#: A migration to files takes the stores from whom it saw to have them.
_HOLD: Final = """
    UPDATE maestro.installation SET id = %s, run = %s, host = %s, since = now()
    WHERE id = %s AND run = %s AND NOT EXISTS (SELECT 1 FROM maestro.nodes WHERE beat > 0)
    RETURNING id
"""
_GIVE_BACK: Final = "UPDATE maestro.installation SET id = %s, run = %s, host = %s, since = %s WHERE id = %s"
_WHOSE: Final = "SELECT id, host, since::text, run FROM maestro.installation"
_SERVER: Final = "SELECT current_setting('server_version'), current_user::text"
_UNSAFE: Final = """
    SELECT s.name, current_setting(s.name) FROM unnest(ARRAY['fsync', 'full_page_writes', 'synchronous_commit']) s(name)
    WHERE current_setting(s.name) = 'off'
"""
_CONFIRMED: Final = "SELECT current_setting('synchronous_commit'), current_setting('synchronous_standby_names')"
_SYSTEMS: Final = "SELECT id FROM maestro.systems ORDER BY id"
_SETTLE: Final = "UPDATE maestro.systems SET life = %s, epoch = epoch + 1 WHERE id = ANY(%s)"
_LEAVE: Final = """
    WITH files AS (
        UPDATE maestro.installation SET id = %s, run = '', host = %s, since = now()
        WHERE id = %s AND NOT EXISTS (SELECT 1 FROM maestro.systems WHERE life <> %s)
        RETURNING id
    ), settled AS (
        UPDATE maestro.systems SET life = %s, epoch = epoch + 1 WHERE EXISTS (SELECT 1 FROM files)
    )
    SELECT count(*) FROM files
"""
_PLACES: Final = """
    SELECT tbl, key FROM maestro.records WHERE system = %s AND (tbl, key) > (%s, %s) ORDER BY tbl, key LIMIT %s
"""
_LIVES: Final = "SELECT id, life FROM maestro.systems"
_JOINED: Final = "SELECT node FROM maestro.nodes WHERE beat > 0 ORDER BY node"
_STATES: Final[LiteralString] = f"SELECT id, {schema.STATE} FROM maestro.systems WHERE id = ANY(%s)"  # noqa: S608 - constant
_RESTED: Final[LiteralString] = f"""
    INSERT INTO maestro.rest_marks (system, state, mark)
    SELECT id, {schema.STATE}, %s FROM maestro.systems
    WHERE id = %s AND node = %s AND incarnation = %s AND {schema.STATE} = %s
    ON CONFLICT (system) DO UPDATE SET state = excluded.state, mark = excluded.mark
"""  # noqa: S608 - constant


class Look(NamedTuple):
    """What a look at the database finds."""

    server: str
    role: str
    schema: int
    whose: Whose | None
    #: Settings of the database under which the loss of power may take what was acknowledged.
    unsafe: list[str]
    #: Which standbys a commit waits for (`synchronous_standby_names`; empty: none), and how far (`synchronous_commit`).
    standbys: str
    waits_for: str


class PostgresStores:
    """See `maestro.store.door.Stores`.

    Args:
        seconds: how long the database has for an answer.
        cluster: the name of the cluster that the stores belong to; empty: they are one installation's.
    """

    def __init__(self, url: str, seconds: float, data_dir: Path, cluster: str = "") -> None:
        self._url = url
        self._seconds = seconds
        self._data_dir = data_dir
        self._cluster = cluster_owner(cluster)

    async def enter(self, installation: Installation) -> None:
        """See `Stores.enter`: the schema is made or brought up to date, and the stores are this installation's.

        Raises:
            StoreError: also when the data folder has stores of its own: what they hold would be missing.
        """
        if left := store_files(self._data_dir):
            raise StoreError(
                f"{left[0].parent}: has the stores of {len(left)} systems, and store.url names PostgreSQL: "
                f"maestro store migrate --to postgresql, or move them away"
            )
        await self.take(installation)
        try:
            elsewhere_mark(self._data_dir).touch(mode=0o600)
        except OSError as problem:
            raise StoreError(f"{self._data_dir}: cannot be written: {problem.strerror}") from problem

    async def take(self, installation: Installation, *, taking: bool = False) -> None:
        """Make the stores this installation's, or its cluster's; `taking`: also when they are another one's.

        Raises as `enter`.
        """
        ours = self.owner_of(installation)
        # The nodes of a cluster enter side by side: what fences one of them is its lease.
        await self._take(ours, self._cluster or installation.run, (ours,), taking=taking)

    async def take_to_move(self, installation: Installation) -> None:
        """Make the stores this installation's: also those that are brought back to its files, or were.

        Raises:
            StoreError: as `enter`, and while nodes of a cluster may work on them.
        """
        free = may_move(installation.id, self._cluster)
        await self._take(installation.id, installation.run, free, alone=True)

    @asynccontextmanager
    async def moving_to_files(self, installation: Installation) -> AsyncIterator[None]:
        """Keep everybody from the stores while the context is open: also the nodes of this installation's cluster.

        Whose they were has them back when it closes, unless `leave` was called.

        Raises:
            StoreError: as `take_to_move`.
        """
        async with self.connection() as connection:
            await schema.migrate(connection, self._seconds)
            await schema.check(connection, self._seconds)
            seen = await self.whose(connection) or UNKNOWN
        if seen.id not in may_move(installation.id, self._cluster):
            raise seen.refusal(installation.id)
        try:
            await self._hold(installation, seen)
            yield
        except BaseException:
            with suppress(StoreError):  # the first problem is told; every start says what is left
                await self._give_back(installation, seen)
            raise
        await self._give_back(installation, seen)

    async def _hold(self, installation: Installation, seen: Whose) -> None:
        former = seen.run if seen.moving_to else seen.id
        given = (moving_to_files(installation.id), former, self._where(), seen.id, seen.run)
        async with self.connection() as connection:
            held = await execute(connection, _HOLD, given, self._seconds)
        # Also one that joined while its row was taken: `_HOLD` did not see it.
        await self._refuse_joined()
        if not held:
            raise StoreError("PostgreSQL: somebody else took the stores in this moment: run it again")

    async def _give_back(self, installation: Installation, seen: Whose) -> None:
        """Make the stores those of whom they were before `seen` was held, if they are held."""
        former = seen._replace(id=seen.run, host=gethostname()) if seen.moving_to else seen
        runs = {installation.id: installation.run, self._cluster: self._cluster}
        given = (former.id, runs.get(former.id, ""), former.host, former.since, moving_to_files(installation.id))
        async with self.connection() as connection:
            await execute(connection, _GIVE_BACK, given, self._seconds)

    async def refuse_others(self, installation: Installation) -> bool:
        """Return whether anybody has stores here, and change nothing.

        Raises:
            StoreLocked: `take_to_move` would.
            StoreError: the database cannot be used.
        """
        async with self.connection() as connection:
            if not await schema.version(connection, self._seconds):
                return False
            whose = await self.whose(connection)
        if whose is not None and whose.id not in may_move(installation.id, self._cluster):
            raise whose.refusal(installation.id)
        return whose is not None

    async def _take(
        self, ours: str, run: str, free: Sequence[str], *, taking: bool = False, alone: bool = False
    ) -> None:
        """Make the stores those of `ours`, when they are of one of `free`, or nobody's; `alone`: and no node lives."""
        query: LiteralString = _ENTER
        given: Sequence[object] = (ours, run, gethostname(), list(free), taking, alone)
        if taking:
            query, given = _FENCE + query, (ours, run, *given)
        pauses, until = Backoff(_PAUSE, _PAUSE_MAX), time.monotonic() + START_WAITS
        while True:
            try:
                async with self.connection() as connection:
                    await schema.migrate(connection, self._seconds)
                    await schema.check(connection, self._seconds)
                    if await execute(connection, query, given, self._seconds):
                        return
                    whose = await self.whose(connection)
                break
            except StoreAway as problem:
                pause = pauses.next()
                if time.monotonic() + pause > until:
                    raise
                structlog.get_logger(part="store").warning("the store is waited for", cause=str(problem))
                await asyncio.sleep(pause)
        if alone:
            await self._refuse_joined()
        raise (whose or UNKNOWN).refusal(ours)

    def owner_of(self, installation: Installation | None) -> str:
        """Return whom the stores belong to when they are this installation's: its id, or that of its cluster."""
        return self._cluster or (installation.id if installation is not None else "")

    async def systems(self) -> list[str]:
        """See `Stores.systems`."""
        async with self.connection() as connection:
            return [system_id for (system_id,) in await execute(connection, _SYSTEMS, (), self._seconds)]

    async def open(self, system_id: str) -> PostgresStore:
        """See `Stores.open`."""
        return await self.open_as(system_id, uuid.uuid4().hex)

    async def open_as(self, system_id: str, life: str) -> PostgresStore:
        """Open a system's store as the owner `life`. In a cluster the system is this node's by now."""
        lease = read_lease(self._data_dir) if self._cluster else None
        if self._cluster and lease is None:
            raise StoreFenced("PostgreSQL: this node holds no lease in its cluster; it may not write")
        url = named(self._url, lease.node) if lease is not None else self._url
        connection = await connect(url, self._seconds)
        try:
            if lease is not None:
                standing, lock = await claim_as(connection, system_id, lease, life, self._seconds)
            else:
                ours = read_installation(self._data_dir)
                run = ours.run if ours is not None else ""
                standing, lock = await claim(connection, system_id, run, life, self._seconds)
            copy = await load(connection, system_id, self._seconds)
        except BaseException:
            await connection.close()
            raise
        refused = partial(note_fenced, self._data_dir)
        return PostgresStore(url, self._seconds, system_id, standing, copy, connection, lock, refused)

    async def settled(self, system_ids: Iterable[str], life: str) -> None:
        """Say that these systems were migrated and not been used since: `life` is in the place of an owner."""
        async with self.connection() as connection:
            await execute(connection, _SETTLE, (life, list(system_ids)), self._seconds)

    async def leave(self, installation: Installation, copied: str, settled: str) -> bool:
        """Say that the stores were brought back to this installation's files, and return whether they were.

        They were not when another one has them by now, or has used a system: its life is not `copied`. `settled` is in
        the place of each owner from then on, and no start uses these stores by mistake.
        """
        ours = installation.id
        given = (moved_to_files(ours), self._where(), moving_to_files(ours), copied, settled)
        async with self.connection() as connection:
            ((left,),) = await execute(connection, _LEAVE, given, self._seconds)
        return bool(left)

    def _where(self) -> str:
        return f"{gethostname()}:{self._data_dir.resolve()}"

    async def lives(self) -> dict[str, str]:
        """Return what each system's last owner was."""
        async with self.connection() as connection:
            return dict(await execute(connection, _LIVES, (), self._seconds))

    async def _refuse_joined(self) -> None:
        """Raise `StoreError` when nodes of a cluster hold a lease: they run, or have not been stopped in order."""
        async with self.connection() as connection:
            joined = [node for (node,) in await execute(connection, _JOINED, (), self._seconds)]
        if joined:
            raise StoreError(
                f"PostgreSQL: nodes of the cluster hold a lease: {', '.join(joined)}: stop them in order first; the "
                f"lease of one that was killed is broken by any other that runs"
            )

    async def states(self, system_ids: Iterable[str]) -> dict[str, str]:
        """See `Stores.states`."""
        wanted = list(system_ids)
        if not wanted:
            return {}
        async with self.connection() as connection:
            found = await execute(connection, _STATES, (wanted,), self._seconds)
        return dict(found)

    async def rested(self, system_id: str, mark: RestMark) -> None:
        """See `Stores.rested`. Of a system that is another node's by now nothing is kept."""
        lease = read_lease(self._data_dir) if self._cluster else None
        if lease is not None:
            async with self.connection() as connection:
                given = (encoded(mark), system_id, *lease, mark.state)
                await execute(connection, _RESTED, given, self._seconds)

    async def look(self) -> Look:
        """Look at the database as `enter` does, and change nothing. Raises `StoreError`."""
        async with self.connection() as connection:
            await schema.check(connection, self._seconds)
            server, role = (await execute(connection, _SERVER, (), self._seconds))[0]
            unsafe = [f"{name} = {value}" for name, value in await execute(connection, _UNSAFE, (), self._seconds)]
            waits_for, standbys = (await execute(connection, _CONFIRMED, (), self._seconds))[0]
            version = await schema.version(connection, self._seconds)
            return Look(server, role, version, await self.whose(connection), unsafe, standbys, waits_for)

    async def version(self) -> int:
        """Return the schema's version; 0: there is none. Raises `StoreError`."""
        async with self.connection() as connection:
            return await schema.version(connection, self._seconds)

    async def read(self, system_id: str) -> Copy:
        """Read a system's rows, each checked, and own nothing. Raises `StoreDamaged`, `StoreError`."""
        async with self.connection() as connection:
            return await load(connection, system_id, self._seconds)

    async def places(self, system_id: str) -> list[tuple[str, str]]:
        """Return table and key of each row that PostgreSQL has of a system. Raises `StoreError`."""
        found: list[tuple[str, bytes]] = []
        async with self.connection() as connection:
            after: tuple[str, bytes] = ("", b"")
            while page := await execute(connection, _PLACES, (system_id, *after, _PAGE), self._seconds):
                found += [(table, key) for table, key in page]
                after = found[-1]
        return [(table, key.decode("utf-8", "surrogateescape")) for table, key in found]

    async def whose(self, connection: Connection) -> Whose | None:
        """Return whose the stores are; None: nobody's yet. Raises `StoreError`."""
        found = await execute(connection, _WHOSE, (), self._seconds)
        return Whose(*found[0]) if found else None

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Be connected while the context is open. Raises `StoreAway`, `StoreError`."""
        connection = await connect(self._url, self._seconds)
        try:
            yield connection
        finally:
            await connection.close()
