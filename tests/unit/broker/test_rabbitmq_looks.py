"""Queues that are looked at at the same time share a round trip, and one that is missing is nobody else's trouble."""

import asyncio
from collections.abc import Sequence

import pytest

from maestro.broker.base import BrokerUnavailable, Depth
from maestro.broker.rabbitmq_looks import LOOKED_AT_ONCE, Looks


class Server:
    def __init__(self) -> None:
        self.rounds: list[list[str]] = []
        self.alone: list[str] = []
        self.missing: set[str] = set()
        self.away = False
        #: How many it answers within the time of a round.
        self.pace = LOOKED_AT_ONCE

    async def together(self, queues: Sequence[str], found: dict[str, Depth]) -> None:
        self.rounds.append(list(queues))
        await asyncio.sleep(0.01)
        if self.away:
            raise BrokerUnavailable("away")
        for queue in queues[: self.pace]:
            if queue in self.missing:
                return
            found[queue] = Depth(len(queue), 1)
        if len(queues) > self.pace:
            raise BrokerUnavailable("no answer in time")

    async def one(self, queue: str) -> Depth | None:
        self.alone.append(queue)
        return None if queue in self.missing else Depth(len(queue), 1)


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def looks(server: Server) -> Looks:
    return Looks(server.together, server.one)


async def test_who_waits_shares_the_next_round(server: Server, looks: Looks) -> None:
    depths = await asyncio.gather(*(looks.depth("q" * n) for n in range(1, 5)), looks.depth("qq"))
    assert depths == [Depth(n, 1) for n in (1, 2, 3, 4, 2)]
    assert server.rounds == [["q"], ["qq", "qqq", "qqqq"]]


async def test_a_round_has_an_end(server: Server, looks: Looks) -> None:
    await asyncio.gather(*(looks.depth(f"q{n}") for n in range(2 * LOOKED_AT_ONCE)))
    assert max(map(len, server.rounds)) == LOOKED_AT_ONCE


async def test_what_is_missing_is_nobody_elses_trouble(server: Server, looks: Looks) -> None:
    server.missing = {"b"}
    assert await asyncio.gather(*map(looks.depth, "abcd")) == [Depth(1, 1), None, Depth(1, 1), Depth(1, 1)]
    assert sorted(server.alone) == ["b", "c", "d"]


async def test_a_broker_that_is_away_is_told_to_all_it_was_asked_for(server: Server, looks: Looks) -> None:
    server.away = True
    found = await asyncio.gather(*map(looks.depth, "abc"), return_exceptions=True)
    assert all(isinstance(each, BrokerUnavailable) for each in found)
    assert server.rounds == [["a"], ["b", "c"]]
    server.away = False
    assert await looks.depth("a") == Depth(1, 1)


async def test_what_there_was_no_time_for_is_asked_again_in_smaller_rounds(server: Server, looks: Looks) -> None:
    server.pace = 10
    queues = [f"q{number}" for number in range(LOOKED_AT_ONCE)]
    assert await asyncio.gather(*map(looks.depth, queues)) == [Depth(len(queue), 1) for queue in queues]
    assert list(map(len, server.rounds))[:4] == [1, LOOKED_AT_ONCE - 1, 5, 10]
    assert server.alone == []
