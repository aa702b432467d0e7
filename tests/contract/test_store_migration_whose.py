"""Whose the stores are while they are brought back to files: nobody uses them meanwhile, and who had them has them."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Final

import psycopg
import pytest

from maestro.cluster.node import Lease, Node
from maestro.store import migration
from maestro.store.base import Put, StoreError, StoreLocked
from maestro.store.held_lease import write_lease
from maestro.store.installation import begin_start, read_installation
from maestro.store.places import store_files, store_path
from maestro.store.postgres.nodes import PostgresNodes
from maestro.store.postgres.store import claim
from maestro.store.postgres.stores import PostgresStores
from maestro.store.postgres.whose import Whose
from maestro.store.sqlite import open_store
from tests.support.cli import maestro
from tests.support.postgres import PostgresNode
from tests.support.postgres_store import closed, postgres_stores

pytestmark = pytest.mark.postgres
SYSTEMS: Final = ("sysA", "sysB")
ROW: Final = [Put("t", "k", {"n": 1})]
MOVING: Final = r"a migration to files of installation {id} at \S+:{folder} began .* has not ended.*run it again there"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("other")


@pytest.fixture
async def stores(url: str, folder: Path) -> PostgresStores:
    """The stores of a cluster whose only node was stopped in order: each of two systems has a row."""
    found = PostgresStores(url, 10.0, folder, "plant")
    await found.enter(begin_start(folder))
    nodes, lease = await joined(url, folder, "a")
    await nodes.claim(lease, SYSTEMS)
    for system_id in SYSTEMS:
        await commit(found, system_id, ROW)
    await nodes.leave(lease)
    await nodes.close()
    return found


@pytest.fixture
def files_differ(folder: Path, stores: PostgresStores) -> None:
    """A file of one of the systems is there already, with another row."""
    path = store_path(folder, "sysB")
    store = open_store(path)
    store.commit([Put("t", "k", {"n": 2})], durable=True)
    store.close()


async def joined(url: str, folder: Path, name: str) -> tuple[PostgresNodes, Lease]:
    nodes = PostgresNodes(url, name, 10.0, 1.25, "plant")
    try:
        incarnation = await nodes.join(Node(name))
    except StoreError:
        await nodes.close()
        raise
    assert incarnation is not None
    write_lease(folder, Lease(name, incarnation))
    return nodes, Lease(name, incarnation)


async def commit(stores: PostgresStores, system_id: str, row: list[Put]) -> None:
    store = await stores.open(system_id)
    await store.commit(row, durable=True)
    await closed(store)


async def commit_as(stores: PostgresStores, run: str) -> None:
    async with stores.connection() as connection:
        await claim(connection, "sysA", run, "a life", 10.0)


def moves(
    stores: PostgresStores, folder: Path, *, dry: bool = False, replace: bool = False
) -> AsyncGenerator[migration.Moved, None]:
    return migration.to_files(folder, stores, begin_start(folder), dry=dry, replace=replace)


async def whose(stores: PostgresStores) -> Whose:
    async with stores.connection() as connection:
        found = await stores.whose(connection)
    assert found is not None
    return found


async def serves(url: str, folder: Path) -> None:
    """Have a node of the cluster start, claim, open and commit."""
    stores = PostgresStores(url, 10.0, folder, "plant")
    await stores.enter(begin_start(folder))
    nodes, lease = await joined(url, folder, "b")
    assert (await nodes.claim(lease, SYSTEMS)).keys() == set(SYSTEMS)
    for system_id in SYSTEMS:
        await commit(stores, system_id, [Put("t", "later", {})])
    await nodes.leave(lease)
    await nodes.close()


def said(text: str, folder: Path) -> str:
    ours = read_installation(folder)
    assert ours is not None
    return text.format(id=ours.id, folder=folder)


async def test_a_node_that_entered_before_does_not_join_meanwhile(
    url: str, folder: Path, other: Path, stores: PostgresStores
) -> None:
    late = PostgresStores(url, 10.0, other, "plant")
    await late.enter(begin_start(other))
    running = moves(stores, folder)
    await anext(running)
    with pytest.raises(StoreLocked, match=said(MOVING, folder)):
        await joined(url, other, "b")
    with pytest.raises(StoreLocked, match=said(MOVING, folder)):
        await late.enter(begin_start(other))
    assert [one.problem async for one in running] == [""]
    with pytest.raises(StoreLocked, match="brought back to files of installation"):
        await joined(url, other, "b")


async def test_a_join_that_is_under_way_is_waited_for(
    url: str, folder: Path, other: Path, stores: PostgresStores
) -> None:
    async with await psycopg.AsyncConnection.connect(url) as joining:
        await joining.execute("SELECT id FROM maestro.installation FOR SHARE")
        await joining.execute(
            "INSERT INTO maestro.nodes (node, incarnation, beat, url, capacity, draining, holds_events, version,"
            " schema, settings_digest, joined) VALUES ('b', 1, 1, '', 1, false, false, '', 1, '', 1)"
        )
        taking = asyncio.ensure_future(anext(moves(stores, folder)))
        await asyncio.sleep(1)
        assert not taking.done()
        await joining.commit()
        with pytest.raises(StoreError, match="hold a lease: b: stop them"):
            await taking
    assert (await whose(stores)).id == "cluster plant"


async def test_a_system_that_was_used_all_the_same_is_not_taken_out_of_use(
    url: str, folder: Path, other: Path, stores: PostgresStores
) -> None:
    running = moves(stores, folder)
    await anext(running)
    with psycopg.connect(url) as connection:  # as a node of an earlier version, which asks for no owner
        connection.execute("UPDATE maestro.nodes SET beat = 1")
        connection.execute("UPDATE maestro.systems SET life = 'of another', epoch = epoch + 1 WHERE id = 'sysA'")
    with pytest.raises(StoreError, match=r"somebody used the stores while they were copied \(sysA\)"):
        [one async for one in running]
    assert (await whose(stores)).id == "cluster plant"


async def test_one_who_claims_the_stores_meanwhile_keeps_them(
    url: str, folder: Path, other: Path, stores: PostgresStores
) -> None:
    running = moves(stores, folder)
    await anext(running)
    claims = postgres_stores(url, other)
    await claims.take(begin_start(other), taking=True)
    with pytest.raises(StoreError, match=r"somebody used the stores while they were copied \(by a claim\)"):
        [one async for one in running]
    assert (await whose(stores)).id == claims.owner_of(read_installation(other))
    await commit(claims, "sysA", ROW)


@pytest.mark.usefixtures("files_differ")
async def test_the_cluster_goes_on_after_one_that_did_not_move_all(
    url: str, folder: Path, other: Path, stores: PostgresStores
) -> None:
    before = await whose(stores)
    assert ["--replace" in one.problem async for one in moves(stores, folder)] == [False, True]
    assert await whose(stores) == before
    await serves(url, other)


async def test_the_cluster_goes_on_after_one_that_broke_off(
    url: str, folder: Path, other: Path, stores: PostgresStores, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = await whose(stores)
    for problem in (StoreError("No space left on device"), asyncio.CancelledError()):

        def broken(*_: object, problem: BaseException = problem, **__: object) -> None:
            raise problem

        monkeypatch.setattr(migration, "_into_file", broken)
        with pytest.raises(type(problem)):
            await anext(moves(stores, folder))
        assert await whose(stores) == before
    monkeypatch.undo()
    running = moves(stores, folder)
    await anext(running)
    await running.aclose()  # whoever prints what was moved has failed
    assert await whose(stores) == before
    await serves(url, other)


async def test_an_installation_goes_on_after_one_that_broke_off(url: str, folder: Path) -> None:
    plain = postgres_stores(url, folder)
    await plain.enter(begin_start(folder))
    await commit(plain, "sysA", ROW)
    before = await whose(plain)
    running = moves(plain, folder)
    await anext(running)
    await running.aclose()
    assert (await whose(plain))[:3] == before[:3]
    with pytest.raises(StoreError, match="another start"):  # of a copy of the folder, with the run of before
        await commit_as(plain, before.run)
    store_path(folder, "sysA").unlink(missing_ok=True)
    await plain.enter(begin_start(folder))
    await commit(plain, "sysA", ROW)


async def test_one_that_was_killed_is_explained_and_run_again(
    url: str, folder: Path, other: Path, stores: PostgresStores, database: str, postgres_node: PostgresNode
) -> None:
    killed = moves(stores, folder)
    await anext(killed)
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT id, run, host FROM maestro.installation").fetchone()
    await killed.aclose()
    with psycopg.connect(url) as connection:
        connection.execute("UPDATE maestro.installation SET id = %s, run = %s, host = %s", row)
    with pytest.raises(StoreLocked, match=said(MOVING, folder)):
        await PostgresStores(url, 10.0, other, "plant").enter(begin_start(other))
    with pytest.raises(StoreLocked, match=said(MOVING, folder)):
        await anext(moves(PostgresStores(url, 10.0, other, "plant"), other))
    environ = {"MAESTRO_DATA_DIR": str(folder), "MAESTRO_STORE__URL": postgres_node.url(database)}
    assert said("a migration to files of installation {id}", folder) in (await maestro(None, "doctor", **environ)).out

    again = moves(stores, folder)
    await anext(again)
    await again.aclose()
    assert (await whose(stores))[::3] == ("cluster plant", "cluster plant"), "whose they were is still known"
    await serves(url, other)
    assert [one.problem async for one in moves(stores, folder, replace=True)] == ["", ""]


async def test_stores_that_an_earlier_version_brought_back_are_explained_and_moved(
    url: str, folder: Path, other: Path, stores: PostgresStores, database: str, postgres_node: PostgresNode
) -> None:
    assert [one.problem async for one in moves(stores, folder)] == ["", ""]
    with psycopg.connect(url) as connection:
        connection.execute("UPDATE maestro.installation SET id = 'moved to files', run = ''")
    with pytest.raises(StoreLocked, match=r"an earlier version brought the stores back to files.*maestro store claim"):
        await postgres_stores(url, other).enter(begin_start(other))
    environ = {"MAESTRO_DATA_DIR": str(folder), "MAESTRO_STORE__URL": postgres_node.url(database)}
    assert "an earlier version brought the stores back" in (await maestro(None, "doctor", **environ)).out
    there = migration.to_postgres(folder, postgres_stores(url, folder), begin_start(folder), dry=False, replace=False)
    assert [one.same async for one in there] == [True, True]
    assert store_files(folder) == []


async def test_a_database_without_a_schema_has_no_stores(url: str, folder: Path) -> None:
    for dry in (True, False):
        with pytest.raises(StoreError, match="no Maestro has stores there: is the URL the right one"):
            await anext(moves(postgres_stores(url, folder), folder, dry=dry))
    assert await postgres_stores(url, folder).version() == 0
