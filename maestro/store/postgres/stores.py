"""`PostgresStores`: the stores of an installation in one PostgreSQL database."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from socket import gethostname
from typing import Final, LiteralString, NamedTuple

import structlog

from maestro.backoff import Backoff
from maestro.store.base import StoreAway, StoreError, StoreFenced, StoreLocked
from maestro.store.fenced import note_fenced
from maestro.store.held_lease import read_lease
from maestro.store.installation import Installation, read_installation
from maestro.store.places import elsewhere_mark, store_files
from maestro.store.postgres import schema
from maestro.store.postgres.connection import Connection, connect, execute, named
from maestro.store.postgres.copy import Copy
from maestro.store.postgres.store import PostgresStore, claim, claim_as, load
from maestro.store.rest_mark import RestMark, encoded

#: Seconds that a start waits for a database that is away: it may be starting as well.
START_WAITS: Final = 30.0
_PAUSE, _PAUSE_MAX = 0.5, 5.0

#: Places of rows that one reading returns.
_PAGE: Final = 5000

#: Stands before an installation's id once the stores were brought back to its files.
_FILES_OF: Final = "moved to files of "

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
_WHOSE: Final = "SELECT id, host, since::text FROM maestro.installation"
_SERVER: Final = "SELECT current_setting('server_version'), current_user::text"
_UNSAFE: Final = """
    SELECT s.name, current_setting(s.name) FROM unnest(ARRAY['fsync', 'full_page_writes', 'synchronous_commit']) s(name)
    WHERE current_setting(s.name) = 'off'
"""
_CONFIRMED: Final = "SELECT current_setting('synchronous_commit'), current_setting('synchronous_standby_names')"
_SYSTEMS: Final = "SELECT id FROM maestro.systems ORDER BY id"
_SETTLE: Final = "UPDATE maestro.systems SET life = %s, epoch = epoch + 1 WHERE id = ANY(%s)"
_LEAVE: Final = "UPDATE maestro.installation SET id = %s, run = '', host = %s, since = now()"
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


class Whose(NamedTuple):
    """The installation that the stores belong to: its id, the machine it ran on, and since when."""

    id: str
    #: With the data folder, where they were brought back to files.
    host: str
    since: str

    @property
    def files_of(self) -> str:
        """The installation to whose files they were brought back; empty: they are in use here."""
        return self.id.removeprefix(_FILES_OF) if self.id.startswith(_FILES_OF) else ""

    def refusal(self, ours: str) -> StoreLocked:
        """Return why another one may not use them."""
        if self.files_of:
            return StoreLocked(
                f"PostgreSQL: the stores were brought back to files of installation {self.files_of} at {self.host} "
                f"since {self.since}: start Maestro there, without store.url. When those files are lost for good: "
                f"maestro store claim, which goes on from that moment"
            )
        return StoreLocked(
            f"PostgreSQL: the stores belong to another installation: {self.id} on {self.host} since {self.since}; "
            f"this one is {ours}. When that one is stopped for good: maestro store claim"
        )


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
        self._cluster = cluster and f"cluster {cluster}"

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
        """Make the stores this installation's: also its cluster's, and those that were brought back to its files.

        Raises:
            StoreError: as `enter`, and while nodes of a cluster may work on them.
        """
        await self._take(installation.id, installation.run, self._may_move(installation), alone=True)

    async def refuse_others(self, installation: Installation) -> bool:
        """Return whether anybody has stores here, and change nothing.

        Raises:
            StoreLocked: `take_to_move` would.
            StoreError: the database cannot be used.
        """
        async with self.connection() as connection:
            whose = await self.whose(connection)
        if whose is not None and whose.id not in self._may_move(installation):
            raise whose.refusal(installation.id)
        return whose is not None

    def _may_move(self, installation: Installation) -> Sequence[str]:
        own = [installation.id, f"{_FILES_OF}{installation.id}"]
        return [*own, self._cluster] if self._cluster else own

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
        if alone and (joined := await self._joined()):
            raise StoreError(
                f"PostgreSQL: nodes of the cluster hold a lease: {', '.join(joined)}: stop them in order first; the "
                f"lease of one that was killed is broken by any other that runs"
            )
        raise (whose or Whose("unknown", "unknown", "unknown")).refusal(ours)

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

    async def leave(self, installation: Installation) -> None:
        """Say that the stores were brought back to this installation's files: no start uses these by mistake."""
        where = f"{gethostname()}:{self._data_dir.resolve()}"
        async with self.connection() as connection:
            await execute(connection, _LEAVE, (f"{_FILES_OF}{installation.id}", where), self._seconds)

    async def lives(self) -> dict[str, str]:
        """Return what each system's last owner was."""
        async with self.connection() as connection:
            return dict(await execute(connection, _LIVES, (), self._seconds))

    async def _joined(self) -> list[str]:
        """Return the nodes of a cluster that hold a lease: they run, or have not been stopped in order."""
        async with self.connection() as connection:
            return [node for (node,) in await execute(connection, _JOINED, (), self._seconds)]

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
