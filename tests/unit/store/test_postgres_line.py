"""One connection for all who ask: nobody waits for ever behind others."""

import asyncio

import pytest

from maestro.store.base import StoreAway
from maestro.store.postgres.connection import Connection
from maestro.store.postgres.line import Line


async def test_who_waits_behind_a_database_that_is_silent_is_told() -> None:
    silent, begun = asyncio.Event(), asyncio.Event()

    async def connect(_url: str, _seconds: float) -> Connection:
        begun.set()
        await silent.wait()
        raise StoreAway("it went")

    line = Line("postgresql:///d", 0.05, connect)
    first = asyncio.create_task(line.execute("SELECT 1"))
    await begun.wait()
    async with asyncio.timeout(10):
        behind = await asyncio.gather(*(line.execute("SELECT 1") for _ in range(3)), return_exceptions=True)
    assert [str(one) for one in behind] == ["PostgreSQL: no answer in time to what was asked before"] * 3
    silent.set()
    with pytest.raises(StoreAway, match="it went"):
        await first
    with pytest.raises(StoreAway, match="it went"):  # the turn is free again
        await line.execute("SELECT 1")
    await line.close()
