"""What only the nodes in PostgreSQL must do: fence commits, end connections, and bring an older database along."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import psycopg
import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from maestro.cluster.node import Lease, Node
from maestro.store.base import StoreAway, StoreError, StoreFenced, StoreLocked
from maestro.store.held_lease import read_lease, write_lease
from maestro.store.installation import begin_start
from maestro.store.postgres import schema
from maestro.store.postgres.nodes import PostgresNodes
from maestro.store.postgres.stores import PostgresStores
from maestro.store.rest_mark import RestMark, decoded
from tests.support.postgres import PASSWORD, PostgresNode
from tests.support.postgres_store import closed, entered, postgres_stores, put

pytestmark = pytest.mark.postgres
NAME = "plant"
MARK = RestMark("basis", "", 5.0, todo=b"{}", newest="7.id")


class Member(NamedTuple):
    """A node that has joined: its view of the cluster, its lease, its stores."""

    nodes: PostgresNodes
    lease: Lease
    stores: PostgresStores

    async def claimed(self, *system_ids: str) -> dict[str, int]:
        got = await self.nodes.claim(self.lease, system_ids)
        assert got.keys() == set(system_ids)
        return got


async def member(url: str, folder: Path, name: str) -> Member:
    stores = PostgresStores(url, 10.0, folder, NAME)
    await stores.enter(begin_start(folder))
    nodes = PostgresNodes(url, name, 10.0, 1.25, NAME)
    incarnation = await nodes.join(Node(name))
    assert incarnation is not None
    write_lease(folder, Lease(name, incarnation))
    return Member(nodes, Lease(name, incarnation), stores)


@pytest.fixture
async def a(url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Member]:
    found = await member(url, tmp_path_factory.mktemp("a"), "a")
    yield found
    await found.nodes.close()


@pytest.fixture
async def b(url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Member]:
    found = await member(url, tmp_path_factory.mktemp("b"), "b")
    yield found
    await found.nodes.close()


async def at_rest(node: Member, system_id: str) -> None:
    """Have a system serve and come to rest there."""
    store = await node.stores.open(system_id)
    await store.commit(put(1), durable=True)
    await closed(store)
    state = (await node.stores.states([system_id]))[system_id]
    await node.stores.rested(system_id, replace(MARK, state=state))


# --- stores of a cluster ---------------------------------------------------------------------------------------------


async def test_a_store_is_opened_by_the_node_that_owns_the_system(a: Member, b: Member) -> None:
    with pytest.raises(StoreFenced, match="not node a's"):
        await a.stores.open("s")
    got = await a.claimed("s")
    store = await a.stores.open("s")
    await store.commit(put(1), durable=True)
    with pytest.raises(StoreFenced, match="not node b's"):
        await b.stores.open("s")
    await closed(store)
    await a.nodes.release(a.lease, "s", got["s"])
    await b.claimed("s")
    taken = await b.stores.open("s")
    assert dict(taken.rows("t")) == {"00001": {"n": 1}}
    await closed(taken)


async def test_who_takes_a_system_over_knows_that_it_is_at_rest(a: Member, b: Member) -> None:
    await a.claimed("s", "t")
    await at_rest(a, "s")
    await b.nodes.break_lease(a.lease, 1)
    assert await b.nodes.rest_marks(b.lease, ["s", "t"]) == {}, "they are not its own"
    await b.claimed("s", "t")
    found = await b.nodes.rest_marks(b.lease, ["s", "t", "u"])
    assert found.keys() == {"s"}
    mark = decoded(found["s"])
    assert mark is not None
    assert replace(mark, state="") == MARK


async def test_an_opening_ends_the_rest(a: Member, b: Member) -> None:
    got = await a.claimed("s")
    await at_rest(a, "s")
    assert (await a.nodes.rest_marks(a.lease, ["s"])).keys() == {"s"}
    store = await a.stores.open("s")  # and killed before it has committed anything
    assert await a.nodes.rest_marks(a.lease, ["s"]) == {}
    await closed(store)
    await a.nodes.release(a.lease, "s", got["s"])
    await b.claimed("s")
    assert await b.nodes.rest_marks(b.lease, ["s"]) == {}
    await at_rest(b, "s")
    assert (await b.nodes.rest_marks(b.lease, ["s"])).keys() == {"s"}


async def test_a_former_owner_leaves_no_mark(a: Member, b: Member) -> None:
    await a.claimed("s")
    store = await a.stores.open("s")
    await closed(store)
    state = (await a.stores.states(["s"]))["s"]
    await b.nodes.break_lease(a.lease, 1)
    await a.stores.rested("s", replace(MARK, state=state))
    await b.claimed("s")
    await a.stores.rested("s", replace(MARK, state=state))
    assert await b.nodes.rest_marks(b.lease, ["s"]) == {}


async def test_a_mark_of_another_state_is_not_kept(a: Member) -> None:
    await a.claimed("s")
    store = await a.stores.open("s")
    state = (await a.stores.states(["s"]))["s"]
    await store.commit(put(1), durable=True)
    await closed(store)
    await a.stores.rested("s", replace(MARK, state=state))
    assert await a.nodes.rest_marks(a.lease, ["s"]) == {}


async def test_a_broken_node_commits_nothing_and_opens_nothing(a: Member, b: Member) -> None:
    await a.claimed("s", "t")
    store = await a.stores.open("s")
    assert await b.nodes.break_lease(a.lease, 1)
    with pytest.raises(StoreFenced, match="another owner"):
        await store.commit(put(1), durable=True)
    with pytest.raises(StoreFenced):
        await a.stores.open("t")
    await b.claimed("s")
    with pytest.raises(StoreFenced):
        await a.stores.open("s")
    taken = await b.stores.open("s")
    assert dict(taken.rows("t")) == {}
    await closed(taken)
    await closed(store)


async def test_a_claim_that_crossed_with_the_break_is_free(
    a: Member, b: Member, postgres_node: PostgresNode, database: str
) -> None:
    """A claim that saw its lease a moment before it was broken: the break did not see that claim."""
    await b.nodes.break_lease(a.lease, 1)
    await b.claimed("s")
    postgres_node.execute("UPDATE maestro.systems SET node = 'a', incarnation = 1", database)
    assert (await b.nodes.look()).free == {"s"}
    with pytest.raises(StoreFenced):
        await a.stores.open("s")
    await b.claimed("s")


async def test_a_node_without_a_lease_opens_nothing(url: str, a: Member, tmp_path: Path) -> None:
    stores = PostgresStores(url, 10.0, tmp_path, NAME)
    assert read_lease(tmp_path) is None
    with pytest.raises(StoreFenced, match="holds no lease"):
        await stores.open("s")


async def test_a_database_belongs_to_one_cluster_or_one_installation(url: str, a: Member, tmp_path: Path) -> None:
    begun = begin_start(tmp_path)
    for other in (postgres_stores(url, tmp_path), PostgresStores(url, 10.0, tmp_path, "other")):
        with pytest.raises(StoreLocked, match=r"belong to another installation: cluster plant on .*store claim"):
            await other.enter(begun)
    alone = postgres_stores(url, tmp_path)
    await alone.take(begun, taking=True)
    with pytest.raises(StoreLocked, match=begun.id):
        await a.stores.enter(begun)


# --- what holds a row up ---------------------------------------------------------------------------------------------


async def held_row(url: str, application: str) -> psycopg.AsyncConnection:
    """Return a connection that holds system s in an open transaction, as if its client were frozen."""
    connection = await psycopg.AsyncConnection.connect(url, application_name=application)
    await connection.execute("UPDATE maestro.systems SET number = number WHERE id = 's'")
    return connection


async def test_the_connections_of_a_broken_node_are_ended(url: str, a: Member, b: Member) -> None:
    await a.claimed("s")
    frozen = await held_row(url, "maestro a")
    assert await asyncio.wait_for(b.nodes.break_lease(a.lease, 1), 30)
    with pytest.raises(psycopg.errors.AdminShutdown):
        await frozen.execute("SELECT 1")
    await frozen.close()
    await b.claimed("s")


async def test_a_node_that_beats_keeps_its_connections(a: Member, b: Member) -> None:
    await a.claimed("s")
    store = await a.stores.open("s")
    assert await a.nodes.beat(a.lease, 2)
    assert not await b.nodes.break_lease(a.lease, 1)
    await store.commit(put(1), durable=True)
    assert store.problem == ""
    await closed(store)


async def test_who_breaks_its_own_former_life_keeps_its_connections(a: Member) -> None:
    assert await a.nodes.break_lease(a.lease, 1)
    assert await a.nodes.join(Node("a")) == 3


async def test_a_missing_right_to_end_connections_is_said_once(
    url: str, a: Member, postgres_node: PostgresNode, database: str
) -> None:
    role = f"role_{database}"
    postgres_node.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}'")
    postgres_node.execute(f"GRANT USAGE ON SCHEMA maestro TO {role}", database)
    postgres_node.execute(f"GRANT ALL ON ALL TABLES IN SCHEMA maestro TO {role}", database)
    postgres_node.execute(f"GRANT pg_read_all_stats TO {role}", database)
    weak = PostgresNodes(postgres_node.url(database, role), "c", 10.0, 1.25)
    try:
        await a.nodes.beat(a.lease, 2)  # its connection is seen, and is another role's
        with capture_logs() as lines:
            assert await weak.break_lease(a.lease, 2)
            again = Lease("a", await a.nodes.join(Node("a")) or 0)
            assert await weak.break_lease(again, 1)
        assert [line["log_level"] for line in lines if "may not end" in line["event"]] == ["warning"]
    finally:
        await weak.close()
        postgres_node.execute(f"DROP OWNED BY {role}", database)
        postgres_node.execute(f"DROP ROLE {role}")


async def test_a_beat_waits_for_nothing_else(url: str, a: Member) -> None:
    got = await a.claimed("s")
    holding = await held_row(url, "somebody else")
    release = asyncio.create_task(a.nodes.release(a.lease, "s", got["s"]))
    for number in range(2, 6):
        assert await asyncio.wait_for(a.nodes.beat(a.lease, number), 30)
    assert not release.done()
    await holding.rollback()
    await holding.close()
    await asyncio.wait_for(release, 30)


async def test_a_server_that_is_away_is_said_and_asked_again(postgres_node: PostgresNode, a: Member) -> None:
    postgres_node.kill()
    try:
        with pytest.raises(StoreAway):
            await a.nodes.beat(a.lease, 2)
        with pytest.raises(StoreAway):
            await a.nodes.look()
    finally:
        postgres_node.start()
    assert await a.nodes.beat(a.lease, 3)
    assert (await a.nodes.look()).nodes[0].beat == 3


async def test_a_frozen_server_has_so_long_for_a_beat(postgres_node: PostgresNode, url: str, a: Member) -> None:
    await a.nodes.beat(a.lease, 2)
    postgres_node.freeze()
    try:
        with pytest.raises(StoreAway, match="PostgreSQL"):
            await asyncio.wait_for(a.nodes.beat(a.lease, 3), 9)
    finally:
        postgres_node.thaw()


# --- whose the stores are ---------------------------------------------------------------------------------------------


async def test_a_node_joins_only_while_the_stores_are_its_clusters(
    url: str, a: Member, b: Member, tmp_path: Path
) -> None:
    await b.nodes.leave(b.lease)
    await postgres_stores(url, tmp_path).take(begin_start(tmp_path), taking=True)
    with pytest.raises(StoreLocked, match=r"belong to another installation: .*; this one is cluster plant"):
        await b.nodes.join(Node("b"))
    await b.stores.take(begin_start(tmp_path), taking=True)
    assert await b.nodes.join(Node("a")) is None, "its lease is held"
    assert await b.nodes.join(Node("b")) == 3


async def test_a_join_waits_for_who_takes_the_stores_in_that_moment(url: str, a: Member, b: Member) -> None:
    await b.nodes.leave(b.lease)
    async with await psycopg.AsyncConnection.connect(url) as taking:
        await taking.execute("UPDATE maestro.installation SET id = 'moving to files of x'")
        joining = asyncio.create_task(b.nodes.join(Node("b")))
        await asyncio.sleep(0.5)
        assert not joining.done()
        await taking.commit()
    with pytest.raises(StoreLocked, match="a migration to files of installation x at"):
        await joining


async def test_who_only_looks_joins_nothing(url: str, a: Member) -> None:
    looking = PostgresNodes(url, "", 10.0, 1.25)
    try:
        with pytest.raises(StoreLocked, match="cluster plant"):
            await looking.join(Node("c"))
    finally:
        await looking.close()


# --- the schema ------------------------------------------------------------------------------------------------------


async def test_a_database_of_version_1_is_brought_along_with_its_systems(url: str, tmp_path: Path) -> None:
    stores = postgres_stores(url, tmp_path)
    async with stores.connection() as connection:
        await schema.migrate(connection, 10.0, schema.MIGRATIONS[:1])
        await connection.execute("INSERT INTO maestro.systems VALUES ('s', 4, 'x', 9)")
        with pytest.raises(StoreError, match="has schema version 1, this program needs"):
            await schema.check(connection, 10.0)
    await entered(url, tmp_path)
    assert await stores.states(["s"]) == {"s": "x 9"}
    nodes = PostgresNodes(url, "a", 10.0, 1.25)
    assert (await nodes.look()).free == {"s"}
    await nodes.close()
