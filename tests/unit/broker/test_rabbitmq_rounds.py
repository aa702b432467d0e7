"""Declarations that are asked for at the same time: what shares a round, and whose trouble is whose."""

import asyncio
from collections.abc import Sequence

import pytest

from maestro.broker.base import Binding, BrokerError, BrokerUnavailable, QueueUnavailable
from maestro.broker.rabbitmq_rounds import DECLARED_AT_ONCE, Rounds


class Server:
    """Takes rounds one at a time, when it is let; refuses some queues."""

    def __init__(self) -> None:
        self.rounds: list[list[str]] = []
        self.refused: set[str] = set()
        self.why = BrokerError("refused")
        self.away = False
        self.open = asyncio.Event()
        self.open.set()

    async def declare(self, bindings: Sequence[Binding]) -> None:
        self.rounds.append([binding.queue for binding in bindings])
        await asyncio.sleep(0)
        await self.open.wait()
        if self.away:
            raise BrokerUnavailable("away")
        if self.refused & {binding.queue for binding in bindings}:
            raise self.why


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def rounds(server: Server) -> Rounds:
    return Rounds(server.declare)


def of(*queues: str) -> list[Binding]:
    return [Binding("exchange", queue, queue) for queue in queues]


async def test_who_waits_shares_the_next_round(server: Server, rounds: Rounds) -> None:
    server.open.clear()
    asked = [asyncio.create_task(rounds.declare(of(queue))) for queue in "abcd"]
    await asyncio.sleep(0)
    server.open.set()
    await asyncio.gather(*asked)
    assert sorted(queue for each in server.rounds for queue in each) == list("abcd")
    assert len(server.rounds) <= 2


async def test_a_round_has_an_end(server: Server, rounds: Rounds) -> None:
    many = [f"q{number}" for number in range(3 * DECLARED_AT_ONCE)]
    await asyncio.gather(rounds.declare(of(*many)), *(rounds.declare(of(f"{queue}-too")) for queue in many))
    assert max(map(len, server.rounds)) <= DECLARED_AT_ONCE
    assert {queue for each in server.rounds for queue in each} == {*many, *(f"{queue}-too" for queue in many)}


async def test_what_is_refused_is_nobody_elses_trouble(server: Server, rounds: Rounds) -> None:
    server.refused = {"b"}
    results = await asyncio.gather(*(rounds.declare(of(queue)) for queue in "abcd"), return_exceptions=True)
    assert [type(result) for result in results] == [type(None), BrokerError, type(None), type(None)]
    for queue in "acd":
        assert [queue] in server.rounds or any(queue in each and "b" not in each for each in server.rounds)


async def test_a_queue_that_is_out_of_reach_is_nobody_elses_trouble(server: Server, rounds: Rounds) -> None:
    server.refused, server.why = {"b"}, QueueUnavailable("out of reach")
    results = await asyncio.gather(*(rounds.declare(of(queue)) for queue in "abcd"), return_exceptions=True)
    assert [type(result) for result in results] == [type(None), QueueUnavailable, type(None), type(None)]


async def test_a_broker_that_is_away_is_told_to_all_that_wait(server: Server, rounds: Rounds) -> None:
    server.away = True
    results = await asyncio.gather(*(rounds.declare(of(f"q{n}")) for n in range(100)), return_exceptions=True)
    assert all(isinstance(result, BrokerUnavailable) for result in results)
    assert len(server.rounds) == 1


async def test_a_caller_that_gives_up_takes_nobody_along(server: Server, rounds: Rounds) -> None:
    server.open.clear()
    asked = [asyncio.create_task(rounds.declare(of(queue))) for queue in "abc"]
    await asyncio.sleep(0)
    asked[0].cancel()
    server.open.set()
    results = await asyncio.gather(*asked, return_exceptions=True)
    assert isinstance(results[0], asyncio.CancelledError)
    assert results[1:] == [None, None]
    assert {"b", "c"} <= {queue for each in server.rounds for queue in each}


async def test_nothing_to_declare_asks_nobody(server: Server, rounds: Rounds) -> None:
    await rounds.declare([])
    assert server.rounds == []
