"""The layout in the database and its versions: one migration per step, each in a transaction of its own."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Final, LiteralString

import psycopg

from maestro.store.base import StoreError
from maestro.store.postgres.connection import Connection, execute, translated, within

#: The state of a system: another one after each opening and each commit, and no other after a change of owner.
STATE: Final[LiteralString] = "systems.life || ' ' || systems.number"
#: `MIGRATIONS[n]` takes a database from version n to n + 1. Append only: there are databases of every older version.
#: Keys and bodies are bytes: exact, ordered as everywhere, and whole whatever characters are in them.
MIGRATIONS: Final[Sequence[Sequence[LiteralString]]] = (
    (
        """CREATE TABLE maestro.installation (
            one boolean PRIMARY KEY CHECK (one), id text NOT NULL, run text NOT NULL, host text NOT NULL,
            since timestamptz NOT NULL
        )""",
        # Updated by each commit: half of a page stays free, so that no index has to be.
        """CREATE TABLE maestro.systems (
            id text PRIMARY KEY, epoch bigint NOT NULL, life text NOT NULL, number bigint NOT NULL
        ) WITH (fillfactor = 50)""",
        """CREATE TABLE maestro.records (
            system text NOT NULL, tbl text NOT NULL, key bytea NOT NULL, body bytea NOT NULL, crc bigint NOT NULL,
            PRIMARY KEY (system, tbl, key)
        )""",
    ),
    (
        # A row is never removed: its incarnation is what says that an older one is of the past.
        """CREATE TABLE maestro.nodes (
            node text PRIMARY KEY, incarnation bigint NOT NULL, beat bigint NOT NULL, url text NOT NULL,
            capacity double precision NOT NULL, draining boolean NOT NULL, holds_events boolean NOT NULL,
            version text NOT NULL, schema integer NOT NULL, settings_digest text NOT NULL, joined bigint NOT NULL
        ) WITH (fillfactor = 50)""",
        # Who owns a system in a cluster (node '': nobody) and since which of its claims, and what its owner last
        # committed of its lock. 0: nothing, 2: open, 3: locked, as on the lock board.
        """ALTER TABLE maestro.systems
            ADD COLUMN node text NOT NULL DEFAULT '', ADD COLUMN incarnation bigint NOT NULL DEFAULT 0,
            ADD COLUMN claim bigint NOT NULL DEFAULT 0,
            ADD COLUMN lock smallint NOT NULL DEFAULT 0, ADD COLUMN lock_facts text NOT NULL DEFAULT '',
            ADD COLUMN activity text NOT NULL DEFAULT ''""",
        "CREATE INDEX systems_node ON maestro.systems (node, incarnation)",
    ),
    (  # What gateways share: see `gateway`.
        """CREATE TABLE maestro.tokens (
            one boolean PRIMARY KEY CHECK (one), version bigint NOT NULL, body bytea NOT NULL
        )""",
        """CREATE TABLE maestro.answers (
            id text PRIMARY KEY, owner text NOT NULL, at timestamptz NOT NULL, claim text NOT NULL,
            fingerprint text NOT NULL, status integer NOT NULL, system text NOT NULL, type text NOT NULL,
            body bytea NOT NULL
        )""",
        """CREATE TABLE maestro.audit_heads (
            log text PRIMARY KEY, number bigint NOT NULL, hash text NOT NULL, bytes bigint NOT NULL
        )""",
        """CREATE TABLE maestro.audit (
            log text NOT NULL, number bigint NOT NULL, line bytea NOT NULL, PRIMARY KEY (log, number)
        )""",
    ),
    # For how long a node believes its lease: others may have another setting.
    ("ALTER TABLE maestro.nodes ADD COLUMN lease_seconds double precision NOT NULL DEFAULT 0",),
    # What a system left behind when it came to rest (`maestro.store.rest_mark`), for the node that owns it next. It
    # counts while the system's row is as it was then: its next opening and its next commit change the state.
    ("CREATE TABLE maestro.rest_marks (system text PRIMARY KEY, state text NOT NULL, mark bytea NOT NULL)",),
    # What a node that drains waits for, in JSON: systems, and why each has not left (`maestro.cluster.waits`).
    ("ALTER TABLE maestro.nodes ADD COLUMN waits_for text NOT NULL DEFAULT '{}'",),
)

_MISSING: Final = """
    SELECT t.name FROM unnest(%s::text[]) AS t(name)
    WHERE NOT (has_table_privilege(t.name, 'SELECT') AND has_table_privilege(t.name, 'INSERT')
           AND has_table_privilege(t.name, 'UPDATE') AND has_table_privilege(t.name, 'DELETE'))
"""
#: What `IF NOT EXISTS` ends in when another connection makes the same in that moment.
_QUICKER: Final = (
    psycopg.errors.UniqueViolation,
    psycopg.errors.DuplicateTable,
    psycopg.errors.DuplicateSchema,
    psycopg.errors.DuplicateObject,  # the table's row type
)
_TABLES: Final = (
    "maestro.installation", "maestro.systems", "maestro.records", "maestro.nodes", "maestro.tokens", "maestro.answers",
    "maestro.audit_heads", "maestro.audit", "maestro.rest_marks",
)  # fmt: skip


async def version(connection: Connection, seconds: float) -> int:
    """Return the schema's version; 0: there is none. Raises `StoreError`."""
    query = "SELECT to_regclass('maestro.schema_version') IS NOT NULL"
    if not (await execute(connection, query, (), seconds))[0][0]:
        return 0
    found = await execute(connection, "SELECT coalesce(max(version), 0) FROM maestro.schema_version", (), seconds)
    return int(found[0][0])


async def check(connection: Connection, seconds: float, *, newest: int = len(MIGRATIONS)) -> None:
    """Look whether the schema is there, of this version, and may be used.

    Raises:
        StoreError: what is wrong, and what mends it.
    """
    if (await execute(connection, "SELECT pg_is_in_recovery()", (), seconds))[0][0]:
        raise StoreError("PostgreSQL: this server is a standby, which takes no writes: name the primary, or several "
                         "hosts and target_session_attrs=read-write")  # fmt: skip
    found = await version(connection, seconds)
    if found > newest:
        raise StoreError(f"PostgreSQL: has schema version {found}, this program knows up to {newest}; use a newer one")
    if found < newest:
        raise StoreError(f"PostgreSQL: has schema version {found}, this program needs {newest}; maestro serve makes it")
    missing = [name for (name,) in await execute(connection, _MISSING, (list(_TABLES),), seconds)]
    if missing:
        (role,) = (await execute(connection, "SELECT current_user::text", (), seconds))[0]
        raise StoreError(
            f"PostgreSQL: role {role} may not read and write {', '.join(missing)}: "
            f'GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA maestro TO "{role}"'
        )


async def migrate(
    connection: Connection, seconds: float, migrations: Sequence[Sequence[LiteralString]] = MIGRATIONS
) -> None:
    """Bring the schema to the newest version, and make it if there is none. Several may do so at once.

    Raises:
        StoreError: it is newer than this program knows, or the role may not; it is as it was before that step.
    """
    found = await version(connection, seconds)
    if found > len(migrations):
        await check(connection, seconds, newest=len(migrations))
    if found == len(migrations):
        return
    try:
        with within(connection, seconds) as again:
            if found == 0:
                await _begin(connection)
            for step in range(found + 1, len(migrations) + 1):
                again()
                await _step(connection, step, migrations[step - 1])
    except (psycopg.Error, OSError) as problem:
        if isinstance(problem, psycopg.errors.InsufficientPrivilege):
            (role, database) = (await execute(connection, "SELECT current_user::text, current_database()::text", (),
                                              seconds))[0]  # fmt: skip
            raise StoreError(
                f"PostgreSQL: role {role} may not make Maestro's schema in {database} "
                f"({problem.diag.message_primary}): "
                f'CREATE SCHEMA maestro AUTHORIZATION "{role}"'
            ) from problem
        raise translated(problem) from problem


async def _begin(connection: Connection) -> None:
    # Not `CREATE SCHEMA IF NOT EXISTS`: that needs the right to create even where the schema is there.
    cursor = await connection.execute("SELECT 1 FROM pg_namespace WHERE nspname = 'maestro'")
    if await cursor.fetchone() is None:
        with suppress(*_QUICKER):
            await connection.execute("CREATE SCHEMA IF NOT EXISTS maestro")
    with suppress(*_QUICKER):
        await connection.execute("CREATE TABLE IF NOT EXISTS maestro.schema_version (version integer PRIMARY KEY)")


async def _step(connection: Connection, step: int, statements: Sequence[LiteralString]) -> None:
    async with connection.transaction():
        await connection.execute("LOCK TABLE maestro.schema_version IN EXCLUSIVE MODE")
        cursor = await connection.execute("SELECT 1 FROM maestro.schema_version WHERE version = %s", (step,))
        if await cursor.fetchone() is not None:
            return  # another one was quicker
        for statement in statements:
            await connection.execute(statement)
        await connection.execute("INSERT INTO maestro.schema_version (version) VALUES (%s)", (step,))
