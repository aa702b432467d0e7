"""Several hosts in the URL of PostgreSQL: a fail-over is found by trying them, also when one of them says nothing."""

import socket
from collections.abc import Iterator
from contextlib import closing

import pytest

from maestro.ports import free_port
from maestro.store.base import StoreAway, StoreError
from maestro.store.postgres.connection import connect
from tests.support.postgres import PASSWORD, PostgresNode

pytestmark = pytest.mark.postgres
#: Seconds; less than libpq gives one host at least.
WITHIN = 1.5


@pytest.fixture
def silent() -> Iterator[int]:
    """The port of a host that takes connections and says nothing, as one that is frozen."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        yield listening.getsockname()[1]


def url(*ports: int, password: str = PASSWORD) -> str:
    hosts = ",".join(f"127.0.0.1:{port}" for port in ports)
    return f"postgresql://postgres:{password}@{hosts}/postgres?target_session_attrs=read-write"


async def test_a_host_that_says_nothing_does_not_keep_from_the_next(postgres_node: PostgresNode, silent: int) -> None:
    connection = await connect(url(silent, postgres_node.port), WITHIN)
    assert connection.info.port == postgres_node.port
    await connection.close()


async def test_a_host_that_refuses_does_not_keep_from_the_next(postgres_node: PostgresNode) -> None:
    connection = await connect(url(free_port(), postgres_node.port), WITHIN)
    assert connection.info.port == postgres_node.port
    await connection.close()


async def test_the_first_that_answers_is_taken(postgres_node: PostgresNode, silent: int) -> None:
    connection = await connect(url(postgres_node.port, silent), WITHIN)
    assert connection.info.port == postgres_node.port
    await connection.close()


async def test_what_each_host_says_is_told(postgres_node: PostgresNode) -> None:
    with pytest.raises(StoreAway, match=r"refused.*password authentication failed"):
        await connect(url(free_port(), postgres_node.port, password="wrong"), WITHIN)
    with pytest.raises(StoreError, match="password authentication failed") as refused:
        await connect(url(postgres_node.port, password="wrong"), WITHIN)
    assert not isinstance(refused.value, StoreAway)


async def test_nobody_answers(silent: int) -> None:
    with pytest.raises(StoreAway, match="no answer in time"):
        await connect(url(silent, silent), 0.5)
