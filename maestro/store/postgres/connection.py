"""A connection to PostgreSQL, and its errors in the words of `maestro.store.base`.

No session state: no prepared statement, no setting, no lock that outlives a statement. So a transaction pooler may
stand between. What takes longer than it may is cut off at the socket: asking a server that is frozen to cancel would
wait for it.
"""

import asyncio
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final, LiteralString

import psycopg
from psycopg import AsyncConnection, errors
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from maestro.store.base import StoreAway, StoreDamaged, StoreError

#: Seconds to connect to one host.
_CONNECT: Final = 5
#: Seconds after which the next one of several hosts is tried as well, though the one before has not answered yet. That
#: one may be the one that is lost, and a beat has less time than libpq gives a single host.
_NEXT_HOST: Final = 0.25
#: What the URL may say otherwise: a peer that is gone is noticed on an idle connection as well.
_DEFAULTS: Final = {
    "connect_timeout": str(_CONNECT),
    "application_name": "maestro",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
}
#: What a URL of several hosts may say otherwise. The first one to answer is taken: a standby may be quicker.
_OF_SEVERAL: Final = {"target_session_attrs": "read-write"}
#: Trying again may help: the server is gone, starting, full, a standby by now, or asks for the transaction again.
_PASSING: Final = (
    psycopg.OperationalError,
    psycopg.InternalError,
    errors.ReadOnlySqlTransaction,
    errors.InvalidSqlStatementName,
    OSError,
    TimeoutError,
)

Connection = AsyncConnection[tuple[Any, ...]]


#: PostgreSQL keeps so many bytes of an application's name.
_NAME_BYTES: Final = 63


def application_name(node: str) -> str:
    """Return what the connections of a node are called, as PostgreSQL shows it: others end them by that."""
    text = "".join(one if one.isascii() and one.isprintable() else "?" for one in f"maestro {node}")
    return text[:_NAME_BYTES]


def named(url: str, node: str) -> str:
    """Return the URL for connections of a node."""
    return make_conninfo(url, application_name=application_name(node))


async def connect(url: str, seconds: float) -> Connection:
    """Connect to the first host of the URL that takes it, in `seconds` at most.

    Raises:
        StoreAway: it cannot be reached now.
        StoreError: it refuses: user, password, database, certificate.
    """
    try:
        hosts = _hosts(conninfo_to_dict(url))
        async with asyncio.timeout(seconds):
            return await _first_to_take_it(hosts)
    except (psycopg.Error, OSError, TimeoutError) as problem:
        raise translated(problem) from problem


def _hosts(conninfo: dict[str, Any]) -> list[str]:
    """Return a conninfo for each host that this one names, in its order, with what it does not say itself."""
    named = {name: str(conninfo[name]).split(",") for name in ("host", "hostaddr", "port") if conninfo.get(name)}
    count = max((len(values) for name, values in named.items() if name != "port"), default=1)
    conninfo = {**_DEFAULTS, **(_OF_SEVERAL if count > 1 else {}), **conninfo}
    if any(len(values) not in (1, count) for values in named.values()):
        return [make_conninfo(**conninfo)]  # libpq says what is wrong with it
    return [
        make_conninfo(**{**conninfo, **{name: values[at % len(values)] for name, values in named.items()}})
        for at in range(count)
    ]


async def _first_to_take_it(hosts: Sequence[str]) -> Connection:
    """Try the hosts, each a moment after the one before or once that one has refused.

    Raises:
        StoreAway: none takes it, and one of them may yet.
        StoreError: all refuse.
    """
    left, problems = list(hosts), list[StoreError]()
    trying: set[asyncio.Task[Connection]] = set()
    try:
        while left or trying:
            if left:
                trying.add(asyncio.create_task(_attempt(left.pop(0))))
            done, _ = await asyncio.wait(
                trying, timeout=_NEXT_HOST if left else None, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                trying.discard(task)
                try:
                    return task.result()
                except (psycopg.Error, OSError) as problem:
                    problems.append(translated(problem))
    finally:
        for task in trying:
            task.add_done_callback(_let_go)
            task.cancel()
    text = "; ".join(dict.fromkeys(map(str, problems)))
    raise next((type(one) for one in problems if isinstance(one, StoreAway)), type(problems[-1]))(text)


async def _attempt(conninfo: str) -> Connection:
    return await AsyncConnection.connect(conninfo, autocommit=True, prepare_threshold=None)


def _let_go(task: asyncio.Task[Connection]) -> None:
    """End the connection to a host that nobody waits for any more, if there is one."""
    if not task.cancelled() and task.exception() is None:
        task.result().pgconn.finish()


def cut(connection: Connection) -> None:
    """End the connection at once: what is under way on it fails, also when the server is frozen."""
    with suppress(OSError, psycopg.Error):
        descriptor = socket.fromfd(connection.pgconn.socket, socket.AF_INET, socket.SOCK_STREAM)
        with descriptor:
            descriptor.shutdown(socket.SHUT_RDWR)


@contextmanager
def within(connection: Connection, seconds: float) -> Iterator[Callable[[], None]]:
    """Cut the connection when what is done in the context is not over in time; what is given begins the time again."""
    loop = asyncio.get_running_loop()
    timer = loop.call_later(seconds, cut, connection)

    def again() -> None:
        nonlocal timer
        timer.cancel()
        timer = loop.call_later(seconds, cut, connection)

    try:
        yield again
    finally:
        timer.cancel()


async def execute(
    connection: Connection, query: LiteralString, parameters: Sequence[Any], seconds: float
) -> list[tuple[Any, ...]]:
    """Return what one statement gives. Raises `StoreAway` and `StoreError`."""
    try:
        with within(connection, seconds):
            cursor = await connection.execute(query, parameters)
            return await cursor.fetchall() if cursor.description is not None else []
    except (psycopg.Error, OSError, TimeoutError) as problem:
        raise translated(problem) from problem


def translated(problem: Exception) -> StoreError:  # noqa: PLR0911 - one for each kind
    """Return the `StoreError` that a problem means. PostgreSQL's messages hold no password."""
    text = " ".join(str(problem).split()) or type(problem).__name__
    if isinstance(problem, TimeoutError):
        text = "no answer in time"
    match problem:
        case errors.InvalidPassword() | errors.InvalidAuthorizationSpecification():
            return StoreError(f"PostgreSQL: refused the user or the password: {text}")
        case errors.InvalidCatalogName():
            return StoreError(f"PostgreSQL: {text}; create it: CREATE DATABASE … OWNER …")
        case errors.InsufficientPrivilege():
            return StoreError(f"PostgreSQL: a right is missing: {text}; see Rights in docs/deploying.md")
        case errors.UndefinedTable() | errors.InvalidSchemaName() | errors.UndefinedColumn():
            return StoreError(f"PostgreSQL: Maestro's schema is missing or incomplete: {text}; maestro serve makes it")
        case errors.DataCorrupted() | errors.IndexCorrupted():
            return StoreDamaged(f"PostgreSQL: {text}")
        case psycopg.OperationalError() if problem.sqlstate is None and _refused(text):
            return StoreError(f"PostgreSQL: refused the connection: {text}")
    if isinstance(problem, _PASSING):
        return StoreAway(f"PostgreSQL: {text}")
    return StoreError(f"PostgreSQL: {text}")


def _refused(text: str) -> bool:
    """Whether a connection failed for a reason that waiting does not mend: libpq gives no code for these."""
    reasons = (
        "password authentication failed", "no password supplied", "pg_hba.conf", "certificate", "does not exist",
        "SSL was required", "does not support SSL", "permission denied for database",
    )  # fmt: skip
    return any(reason in text for reason in reasons)
