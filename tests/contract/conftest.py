"""Fixtures of the contracts that PostgreSQL keeps: a database of the test's own, and a store in it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme

from maestro.store.postgres.store import PostgresStore
from maestro.store.postgres.stores import PostgresStores
from tests.support.postgres import PostgresNode
from tests.support.postgres_store import closed, entered


@pytest.fixture
def url(postgres_node: PostgresNode, database: str) -> str:
    return postgres_node.url(database)


@pytest.fixture
async def stores(url: str, tmp_path: Path) -> PostgresStores:
    """The stores of an installation that has started."""
    return await entered(url, tmp_path)


@pytest.fixture
async def store(stores: PostgresStores) -> AsyncIterator[PostgresStore]:
    """The store of `sysA`, opened."""
    store = await stores.open("sysA")
    yield store
    await closed(store)


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()
