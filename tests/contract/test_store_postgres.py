"""What only a store in PostgreSQL must do: fence, survive lost answers, wait, and say what is wrong."""

import asyncio
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import trustme

from maestro.ports import free_port
from maestro.store.base import Delete, Put, StoreDamaged, StoreError, StoreFenced, StoreLocked
from maestro.store.fenced import Fenced, fenced
from maestro.store.installation import begin_start
from maestro.store.postgres import schema
from maestro.store.postgres import stores as postgres_stores_module
from maestro.store.postgres.store import PostgresStore
from maestro.store.postgres.stores import PostgresStores
from tests.support.postgres import PASSWORD, PostgresNode
from tests.support.postgres_store import entered, postgres_stores, put
from tests.support.tcp_proxy import TcpProxy

pytestmark = pytest.mark.postgres


async def until(condition: Callable[[], object], seconds: float = 30.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what is asked calls nobody
            await asyncio.sleep(0.01)


async def rows(stores: PostgresStores, system_id: str = "sysA") -> dict[str, dict[str, Any]]:
    """Return what the next owner finds."""
    store = await stores.open(system_id)
    try:
        return dict(store.rows("t"))
    finally:
        store.close()
        await store.ended()


# --- one owner --------------------------------------------------------------------------------------------------------


async def test_a_second_owner_fences_the_first(stores: PostgresStores, store: PostgresStore, tmp_path: Path) -> None:
    await store.commit(put(1), durable=True)
    second = await stores.open("sysA")
    late = store.commit([*put(2), Delete("t", "00001")], durable=True)
    with pytest.raises(StoreFenced, match="another owner"):
        await late
    with pytest.raises(StoreFenced):
        store.commit(put(3), durable=False)
    await second.commit(put(4), durable=True)
    second.close()
    assert list(await rows(stores)) == ["00001", "00004"], "neither its writes nor its deletes"
    assert fenced(tmp_path) == Fenced(refused=1)


async def test_commits_that_come_meanwhile_share_a_statement_and_keep_their_order(
    stores: PostgresStores, store: PostgresStore
) -> None:
    done: list[int] = []
    commits = [store.commit([Put("t", "k", {"n": n})], durable=False) for n in range(50)]
    for n, commit in enumerate(commits):
        commit.add_done_callback(lambda _, n=n: done.append(n))
    assert store.get("t", "k") == {"n": 49}, "reads show what is under way"
    await commits[-1]
    await asyncio.sleep(0)
    assert done == list(range(50))
    assert store._standing.number <= 3
    assert await rows(stores) == {"k": {"n": 49}}


async def test_a_system_whose_rows_are_damaged_is_not_opened(
    postgres_node: PostgresNode, database: str, stores: PostgresStores, store: PostgresStore
) -> None:
    await store.commit(put(1), durable=True)
    postgres_node.execute("UPDATE maestro.records SET body = '{}'", database)
    with pytest.raises(StoreDamaged, match="'00001'"):
        await stores.open("sysA")


async def test_commits_that_the_database_lost_are_noticed_and_counted(
    postgres_node: PostgresNode, database: str, store: PostgresStore, tmp_path: Path
) -> None:
    for number in range(3):
        await store.commit(put(number), durable=True)
    postgres_node.execute("UPDATE maestro.systems SET number = number - 2", database)  # as a standby that lagged
    assert fenced(tmp_path) == Fenced()
    with pytest.raises(StoreFenced, match="lost the last 2 commits"):
        await store.commit(put(9), durable=True)
    assert fenced(tmp_path) == Fenced(lost=2)


async def test_an_opening_that_the_database_lost_is_noticed_and_counted(
    postgres_node: PostgresNode, database: str, store: PostgresStore, tmp_path: Path
) -> None:
    postgres_node.execute("UPDATE maestro.systems SET epoch = epoch - 1, life = 'before'", database)
    with pytest.raises(StoreFenced, match="lost that this owner opened it"):
        await store.commit(put(9), durable=True)
    assert fenced(tmp_path) == Fenced(lost=1)


async def test_states_change_with_what_is_stored(stores: PostgresStores) -> None:
    assert await stores.states(["sysA"]) == {}
    store = await stores.open("sysA")
    await store.commit(put(1), durable=True)
    store.close()
    before = await stores.states(["sysA", "sysB"])
    assert list(before) == ["sysA"]
    assert await stores.states(["sysA"]) == before
    await rows(stores)
    assert await stores.states(["sysA"]) != before, "another owner was there"
    assert await stores.systems() == ["sysA"]


# --- lost answers, and a server that is away --------------------------------------------------------------------------


async def test_a_commit_whose_answer_is_lost_is_made_once(
    postgres_node: PostgresNode, database: str, tmp_path: Path
) -> None:
    async with TcpProxy(postgres_node.port) as proxy:
        through = postgres_node.url(database).replace(str(postgres_node.port), str(proxy.port))
        stores = await entered(through, tmp_path)
        store = await stores.open("sysA")
        for number in range(10):
            proxy.lose_answers = True
            commit = store.commit(put(number), durable=True)
            await until(lambda: store.problem)
            proxy.lose_answers = False
            await commit
            assert store._standing.number == number + 1
            assert store.problem == ""
        store.close()
        assert len(await rows(stores)) == 10


async def test_commits_wait_for_a_server_that_restarts(
    postgres_node: PostgresNode, stores: PostgresStores, store: PostgresStore
) -> None:
    await store.commit(put(0), durable=True)
    postgres_node.kill()
    try:
        commits = [store.commit(put(number), durable=True) for number in range(1, 6)]
        await until(lambda: "commits wait" in store.problem)
        assert not any(commit.done() for commit in commits)
        assert store.waits > 0
        assert store.get("t", "00005") == {"n": 5}
    finally:
        postgres_node.start()
    await asyncio.wait_for(asyncio.gather(*commits), 60)
    assert store.problem == ""
    assert len(await rows(stores)) == 6


async def test_a_frozen_server_is_given_up_and_its_commit_made_once(
    postgres_node: PostgresNode, url: str, tmp_path: Path
) -> None:
    stores = await entered(url, tmp_path, seconds=1.0)
    store = await stores.open("sysA")
    postgres_node.freeze()
    try:
        commit = store.commit(put(1), durable=True)
        await until(lambda: store.problem)
        assert not commit.done()
    finally:
        postgres_node.thaw()
    await asyncio.wait_for(commit, 60)
    assert store._standing.number == 1
    store.close()
    await store.ended()
    assert len(await rows(postgres_stores(url, tmp_path))) == 1


async def test_closing_does_not_wait_for_a_frozen_server(postgres_node: PostgresNode, store: PostgresStore) -> None:
    postgres_node.freeze()
    try:
        commit = store.commit(put(1), durable=True)
        await asyncio.sleep(0.1)
        store.close()
        with pytest.raises(StoreError, match="is closed"):
            await commit
        await asyncio.wait_for(store.ended(), 5)
    finally:
        postgres_node.thaw()


# --- whose the stores are ---------------------------------------------------------------------------------------------


async def test_another_installation_is_refused_until_it_claims_them(
    url: str, stores: PostgresStores, store: PostgresStore, tmp_path: Path
) -> None:
    other_dir = tmp_path / "other"
    other_dir.mkdir()
    other, installation = postgres_stores(url, other_dir), begin_start(other_dir)
    with pytest.raises(StoreLocked, match="maestro store claim"):
        await other.enter(installation)
    with pytest.raises(StoreFenced, match="another start"):
        await other.open("sysA")
    await store.commit(put(1), durable=True)
    await other.take(installation, taking=True)
    with pytest.raises(StoreFenced):
        await store.commit(put(2), durable=True)
    theirs = await other.open("sysA")
    await other.take(installation, taking=True)
    await theirs.commit(put(2), durable=True)
    with pytest.raises(StoreFenced, match="another start"):
        await stores.open("sysA")
    await theirs.commit(put(3), durable=True)
    theirs.close()


async def test_an_earlier_start_of_the_same_folder_opens_nothing_more(stores: PostgresStores, tmp_path: Path) -> None:
    begin_start(tmp_path)  # in the folder, and not in the database yet
    with pytest.raises(StoreFenced, match="another start"):
        await stores.open("sysA")


# --- what is wrong is said --------------------------------------------------------------------------------------------


@pytest.fixture
def role(postgres_node: PostgresNode, database: str) -> Iterator[str]:
    name = f"role_{database}"
    postgres_node.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}'")
    yield name
    postgres_node.execute(f"DROP OWNED BY {name}", database)
    postgres_node.execute(f"DROP ROLE {name}")


async def enter(url: str, data_dir: Path) -> None:
    await entered(url, data_dir, 10.0)


async def test_a_role_that_may_not_make_the_schema(
    postgres_node: PostgresNode, database: str, role: str, tmp_path: Path
) -> None:
    url = postgres_node.url(database, role)
    with pytest.raises(StoreError, match=f'may not make .*CREATE SCHEMA maestro AUTHORIZATION "{role}"'):
        await enter(url, tmp_path)
    postgres_node.execute(f'CREATE SCHEMA maestro AUTHORIZATION "{role}"', database)
    await enter(url, tmp_path)


async def test_a_role_that_may_not_write_the_tables(
    postgres_node: PostgresNode, database: str, role: str, stores: PostgresStores, tmp_path: Path
) -> None:
    url = postgres_node.url(database, role)
    with pytest.raises(StoreError, match=r"a right is missing.*docs/deploying\.md"):
        await enter(url, tmp_path)
    postgres_node.execute(f"GRANT USAGE ON SCHEMA maestro TO {role}", database)
    postgres_node.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA maestro TO {role}", database)
    with pytest.raises(StoreError, match=f"role {role} may not read and write maestro.installation.*GRANT SELECT, INS"):
        await enter(url, tmp_path)
    postgres_node.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA maestro TO {role}", database)
    await enter(url, tmp_path)
    assert await rows(postgres_stores(url, tmp_path)) == {}


async def test_a_newer_schema_is_refused_and_left_alone(
    postgres_node: PostgresNode, database: str, url: str, stores: PostgresStores, tmp_path: Path
) -> None:
    newest = len(schema.MIGRATIONS)
    postgres_node.execute(f"INSERT INTO maestro.schema_version VALUES ({newest + 1})", database)
    with pytest.raises(StoreError, match=f"version {newest + 1}, this program knows up to {newest}; use a newer one"):
        await enter(url, tmp_path)


async def test_several_make_the_schema_at_once(url: str) -> None:
    async def made() -> None:
        async with postgres_stores(url, Path()).connection() as connection:
            await schema.migrate(connection, 10.0)
            await schema.check(connection, 10.0)

    outcomes = await asyncio.gather(*(made() for _ in range(4)), return_exceptions=True)
    assert outcomes == [None] * 4


async def test_a_migration_that_fails_changes_nothing(url: str, stores: PostgresStores) -> None:
    broken = (*schema.MIGRATIONS, ("CREATE TABLE maestro.more (id text)", "CREATE TABLE nowhere.more (id text)"))
    async with stores.connection() as connection:
        with pytest.raises(StoreError):
            await schema.migrate(connection, 10.0, broken)
        assert await schema.version(connection, 10.0) == len(schema.MIGRATIONS)
        cursor = await connection.execute("SELECT to_regclass('maestro.more')")
        assert await cursor.fetchone() == (None,)


async def test_wrong_passwords_and_databases_are_named_and_passwords_are_not_shown(
    postgres_node: PostgresNode, tmp_path: Path
) -> None:
    for wrong, said in (
        (postgres_node.url(password="not-it-at-all"), "password"),
        (postgres_node.url("nowhere"), '"nowhere" does not exist'),
    ):
        with pytest.raises(StoreError, match=said) as problem:
            await asyncio.wait_for(enter(wrong, tmp_path), 10)
        assert "not-it-at-all" not in str(problem.value)
        assert PASSWORD not in str(problem.value)


async def test_a_server_that_is_away_is_waited_for_and_then_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_stores_module, "START_WAITS", 1.0)
    with pytest.raises(StoreError, match="refused"):
        await enter(f"postgresql://a:b@127.0.0.1:{free_port()}/c", tmp_path)


# --- on the way -------------------------------------------------------------------------------------------------------


@pytest.fixture
def with_tls(postgres_node: PostgresNode, authority: trustme.CA) -> Iterator[None]:
    postgres_node.serve_tls(authority.issue_cert("127.0.0.1", "localhost"))
    yield
    postgres_node.serve_tls(None)


@pytest.mark.usefixtures("with_tls")
async def test_tls_with_a_certificate_that_is_checked(url: str, authority: trustme.CA, tmp_path: Path) -> None:
    root = tmp_path / "root.pem"
    authority.cert_pem.write_to_path(str(root))
    stores = await entered(f"{url}?sslmode=verify-full&sslrootcert={root}", tmp_path)
    async with stores.connection() as connection:
        assert connection.pgconn.ssl_in_use
    assert await rows(stores) == {}
    trustme.CA().cert_pem.write_to_path(str(root))
    with pytest.raises(StoreError, match="certificate"):
        await enter(f"{url}?sslmode=verify-full&sslrootcert={root}", tmp_path)


async def test_a_server_without_tls_is_refused_where_tls_is_asked_for(url: str, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="does not support SSL"):
        await asyncio.wait_for(enter(f"{url}?sslmode=require", tmp_path), 10)


@pytest.fixture
def pooled(postgres_node: PostgresNode, database: str, tmp_path: Path) -> Iterator[str]:
    """The URL of the database behind PgBouncer, which gives each transaction any of its two connections."""
    program = shutil.which("pgbouncer") or ("/usr/sbin/pgbouncer" if Path("/usr/sbin/pgbouncer").exists() else None)
    if program is None:
        pytest.skip("pgbouncer is not installed")
    port = free_port()
    with postgres_node.folder_for("pgbouncer") as folder:
        (folder / "users").write_text(f'"postgres" "{PASSWORD}"\n')
        (folder / "pgbouncer.ini").write_text(
            f"[databases]\n{database} = host=127.0.0.1 port={postgres_node.port}\n[pgbouncer]\n"
            f"listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = scram-sha-256\n"
            f"auth_file = {folder}/users\npool_mode = transaction\ndefault_pool_size = 2\nserver_round_robin = 1\n"
        )
        process = subprocess.Popen(postgres_node.unprivileged(program, "-q", str(folder / "pgbouncer.ini")), cwd=folder)
        try:
            through = postgres_node.url(database).replace(str(postgres_node.port), str(port))
            for _ in range(200):
                try:
                    psycopg.connect(through, connect_timeout=5).close()
                    break
                except psycopg.OperationalError:
                    assert process.poll() is None
            yield through
        finally:
            process.terminate()
            process.wait(30)


async def test_it_works_behind_a_transaction_pooler(pooled: str, tmp_path: Path) -> None:
    stores = await entered(pooled, tmp_path)

    async def worked(system_id: str) -> None:
        store = await stores.open(system_id)
        for number in range(40):
            await store.commit([*put(number), Delete("t", f"{number - 1:05d}")], durable=True)
        store.close()
        await store.ended()

    await asyncio.gather(*(worked(f"sys{letter}") for letter in "ABCD"))
    for letter in "ABCD":
        assert await rows(stores, f"sys{letter}") == {"00039": {"n": 39}}
