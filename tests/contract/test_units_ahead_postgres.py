"""A large document's units are stored part by part before it opens, in PostgreSQL, too, whose commits take a while."""

import asyncio

import pytest

from maestro.store.base import StoreFenced
from maestro.store.postgres.store import PostgresStore
from maestro.store.postgres.stores import PostgresStores
from maestro.system.repository import DOCUMENTS
from maestro.system.unit_rows import UNITS
from maestro.system.units_ahead import AHEAD, PART
from tests.support.brokers import eventually
from tests.support.postgres_store import closed
from tests.support.units_ahead import COUNT, ORIGINS, Life

pytestmark = pytest.mark.postgres


def counts(store: PostgresStore) -> list[int]:
    return [store.count(table) for table in (DOCUMENTS, UNITS, AHEAD)]


async def reopened(stores: PostgresStores, store: PostgresStore) -> PostgresStore:
    await closed(store)
    return await stores.open("sysA")


async def test_a_document_opens_with_the_units_that_are_stored_already(
    stores: PostgresStores, store: PostgresStore
) -> None:
    life = Life(store)
    asked = life.named()
    await life.store_ahead()
    assert counts(store) == [0, COUNT, 1]
    life.open(asked)
    await life.engine.settled()
    assert counts(store) == [1, COUNT, 0]
    following = await reopened(stores, store)
    again = Life(following)
    assert again.left == ()
    assert again.system.documents["d1"].order == life.system.documents["d1"].order
    await closed(following)


async def test_units_that_turn_out_otherwise_are_stored_as_they_are(
    stores: PostgresStores, store: PostgresStore
) -> None:
    life = Life(store)
    asked = life.named()
    await life.store_ahead()
    life.open(asked, ORIGINS[5:])
    await life.engine.settled()
    following = await reopened(stores, store)
    assert Life(following).system.documents["d1"].order == life.system.documents["d1"].order
    assert counts(following) == [1, COUNT - 5, 0]
    await closed(following)


async def test_what_a_crash_leaves_is_no_document_and_is_removed_by_the_next_life(
    stores: PostgresStores, store: PostgresStore
) -> None:
    life = Life(store)
    life.named()
    parts = life.repository.ahead.parts("sysA", "d1", ORIGINS)
    await life.engine.store_parts([next(parts), next(parts)])
    following = await stores.open("sysA")  # the former owner is not asked
    again = Life(following)
    assert (again.system.documents, again.left) == ({}, ("d1",))
    assert counts(following) == [0, 2 * PART, 1]
    await again.engine.store_parts(again.repository.ahead.given_up("d1"))
    assert counts(following) == [0, 0, 0]
    last = await reopened(stores, following)
    assert counts(last) == [0, 0, 0]
    await closed(last)


async def test_a_former_owner_stores_no_part_and_opens_no_document(
    stores: PostgresStores, store: PostgresStore
) -> None:
    life = Life(store)
    asked = life.named()
    parts = life.repository.ahead.parts("sysA", "d1", ORIGINS)
    await life.engine.store_parts([next(parts)])
    following = await stores.open("sysA")
    storing = asyncio.create_task(life.engine.store_parts(parts))
    await eventually(lambda: life.problems, "the process would end here")
    storing.cancel()
    life.open(asked)
    assert [type(problem) for problem in life.problems] == [StoreFenced]
    assert counts(following) == [0, PART, 1]
    await closed(following)
