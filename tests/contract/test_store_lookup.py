"""What is stored of systems, for who does not own them: it is what the owner's last commit said, at that moment."""

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest

from maestro.store.base import StoreAway, StoredSystem, StoreFenced
from maestro.store.postgres import lookup as lookup_module
from maestro.store.postgres.lookup import SystemLookup, lock_columns, lock_of
from maestro.store.postgres.store import PostgresStore
from maestro.store.postgres.stores import PostgresStores
from tests.support.postgres import PostgresNode
from tests.support.postgres_store import closed, put
from tests.unit.http.conftest import eventually

pytestmark = pytest.mark.postgres

FACTS = b'{"reprocessing":"d","owner":"ana \xc3\xa9"}'


@pytest.fixture
async def lookup(url: str) -> AsyncIterator[SystemLookup]:
    lookup = SystemLookup(url, 5.0)
    yield lookup
    await lookup.close()


async def lock(lookup: SystemLookup, system_id: str = "sysA") -> bytes | None:
    found = await lookup.find(system_id)
    assert found is not None
    return found.lock


@pytest.mark.parametrize("lock", [None, b"", FACTS])
def test_a_lock_fits_its_columns(lock: bytes | None) -> None:
    state, facts = lock_columns(lock)
    assert lock_of(state, facts.encode()) == lock


async def test_a_lock_is_told_by_the_commit_that_moves_it(store: PostgresStore, lookup: SystemLookup) -> None:
    assert await lock(lookup) is None, "nobody has said it"
    store.show_lock(b"")
    assert await lock(lookup) is None, "it is no commit by itself"
    await store.commit([], durable=False)
    assert await lock(lookup) == b""
    store.show_lock(FACTS)
    await store.commit(put(1), durable=True)
    assert await lock(lookup) == FACTS
    await store.commit(put(2), durable=True)
    assert await lock(lookup) == FACTS
    store.show_lock(b"")
    await store.commit(put(3), durable=True)
    assert await lock(lookup) == b""
    assert await lookup.find("sysB") is None


async def test_of_commits_that_share_a_statement_the_last_lock_counts(
    store: PostgresStore, lookup: SystemLookup
) -> None:
    commits = []
    for number, facts in enumerate([b"", FACTS, b"", FACTS + b" "]):
        store.show_lock(facts)
        commits.append(store.commit(put(number), durable=True))
    await asyncio.gather(*commits)
    assert await lock(lookup) == FACTS + b" "


async def test_a_former_owner_moves_no_lock(stores: PostgresStores, store: PostgresStore, lookup: SystemLookup) -> None:
    store.show_lock(FACTS)
    await store.commit(put(1), durable=True)
    second = await stores.open("sysA")
    store.show_lock(b"")
    with pytest.raises(StoreFenced):
        await store.commit(put(2), durable=True)
    assert await lock(lookup) == FACTS, "as it was when it was taken over"
    second.show_lock(FACTS)
    await second.commit([], durable=False)
    assert await lock(lookup) == FACTS
    await closed(second)


async def test_who_commits_and_knows_of_no_lock_leaves_it_unknown(
    stores: PostgresStores, store: PostgresStore, lookup: SystemLookup
) -> None:
    """As an import into the stores does: what it wrote may have moved the lock."""
    store.show_lock(b"")
    await store.commit(put(1), durable=True)
    importing = await stores.open("sysA")
    assert await lock(lookup) == b""
    await importing.commit(put(2), durable=True)
    assert await lock(lookup) is None
    await closed(importing)


async def test_an_answer_is_never_older_than_its_question(store: PostgresStore, lookup: SystemLookup) -> None:
    """Others keep both connections busy meanwhile, so that questions wait and share statements."""
    done = asyncio.Event()

    async def crowd() -> None:
        while not done.is_set():
            await lookup.find(random.choice(["sysA", "sysB"]))

    crowds = [asyncio.create_task(crowd()) for _ in range(30)]
    wrong = 0
    for number in range(300):
        facts = FACTS + b" " * number if number % 2 else b""
        store.show_lock(facts)
        await store.commit([], durable=True)
        wrong += await lock(lookup) != facts
    done.set()
    await asyncio.gather(*crowds)
    assert wrong == 0


async def test_questions_share_statements(
    store: PostgresStore, lookup: SystemLookup, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.show_lock(b"")
    await store.commit([], durable=True)
    sent: list[int] = []
    send = lookup_module._Line._send

    def counted(line: Any, connection: Any) -> None:
        sent.append(len(line._taken))
        send(line, connection)

    monkeypatch.setattr(lookup_module._Line, "_send", counted)
    found = await asyncio.gather(*(lookup.find(f"sys{'AB'[number % 2]}") for number in range(1000)))
    assert found == [StoredSystem(b"", ""), None] * 500
    assert sent == [500, 500]


@pytest.mark.parametrize("system", ["", "a'b", 'a"b', "a,b", "{", "null", "a\0b", "\ud83d", "a" * 129, "NULL"])
async def test_what_is_no_system_is_none(lookup: SystemLookup, stores: PostgresStores, system: str) -> None:
    assert await lookup.find(system) is None


async def test_a_statement_larger_than_the_sockets_take_at_once(
    stores: PostgresStores, lookup: SystemLookup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookup_module, "_TOGETHER", 20_000)
    await lookup.add("sysA")
    names = ["sysA", *(f"{number:0128d}" for number in range(19_000))]
    found = await asyncio.gather(*map(lookup.find, names))
    assert found == [StoredSystem(None, ""), *[None] * 19_000]


async def test_a_database_that_is_frozen_is_given_up(
    store: PostgresStore, url: str, postgres_node: PostgresNode
) -> None:
    lookup = SystemLookup(url, 0.5)
    await lookup.find("sysA")
    postgres_node.freeze()
    try:
        async with asyncio.timeout(30):
            for _ in range(3):
                with pytest.raises(StoreAway):
                    await lookup.find("sysA")
    finally:
        postgres_node.thaw()
    await lookup.close()


async def test_a_connection_that_was_ended_is_replaced_without_a_failure(
    store: PostgresStore, lookup: SystemLookup, postgres_node: PostgresNode, database: str
) -> None:
    store.show_lock(b"")
    await store.commit([], durable=True)
    await asyncio.gather(*(lookup.find("sysA") for _ in range(2)))
    for _ in range(3):
        postgres_node.execute(
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}' "
            "AND pid <> pg_backend_pid() AND query LIKE '%lock_facts%ANY%'", database,
        )  # fmt: skip
        assert {one.lock for one in await asyncio.gather(*(lookup.find("sysA") for _ in range(10))) if one} == {b""}


async def test_without_the_database_there_is_no_answer_and_soon_again_one(
    store: PostgresStore, lookup: SystemLookup, postgres_node: PostgresNode
) -> None:
    store.show_lock(b"")
    await store.commit([], durable=True)
    assert await lock(lookup) == b""
    postgres_node.stop()
    try:
        for _ in range(20):  # at once, as long as it is known to be away
            with pytest.raises(StoreAway):
                await lookup.find("sysA")
    finally:
        postgres_node.start()

    async def answered() -> bool:
        try:
            return await lock(lookup) == b""
        except StoreAway:
            return False

    async with asyncio.timeout(30):
        while not await answered():  # noqa: ASYNC110 - what is asked calls nobody
            await asyncio.sleep(0.05)


async def test_what_waits_has_a_bound_and_an_end(
    url: str, stores: PostgresStores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookup_module, "_MOST", 3)
    lookup = SystemLookup(url, 5.0)
    waiting = [asyncio.ensure_future(lookup.find("sysA")) for _ in range(3)]
    with pytest.raises(StoreAway, match="3 questions"):
        await lookup.find("sysA")
    await lookup.close()
    for one in [*waiting, lookup.find("sysA")]:
        with pytest.raises(StoreAway, match="not looked up any more"):
            await one


async def test_a_standby_is_not_asked(url: str, stores: PostgresStores, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookup_module, "_STANDBY", "SELECT true")
    lookup = SystemLookup(url, 5.0)
    with pytest.raises(StoreAway, match="standby"):
        await lookup.find("sysA")
    await lookup.close()


async def test_all_systems_are_read_and_systems_added(
    store: PostgresStore, lookup: SystemLookup, postgres_node: PostgresNode, database: str
) -> None:
    await lookup.add("sysB")
    await lookup.add("sysB")
    await lookup.add("sysA")
    postgres_node.execute("UPDATE maestro.systems SET node = 'one', incarnation = 1 WHERE id = 'sysB'", database)
    assert await lookup.owners() == {"sysA": "", "sysB": "one"}
    assert await lookup.find("sysB") == StoredSystem(None, "one")
    await store.commit(put(1), durable=True)
    assert await lock(lookup) is None, "adding a system that is there changes nothing of it"
    await eventually(lambda: store.waits == 0.0)
