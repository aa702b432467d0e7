"""More connections than there is place for: who keeps many open without asking loses them, and nobody else."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from structlog.testing import capture_logs

from maestro.http import crowd
from maestro.http.app import create_app
from maestro.http.server import Address, serve_http
from maestro.messages.answers import Answer, Code
from maestro.messages.questions import FindDocuments
from tests.unit.http.conftest import SETTINGS, Client, eventually
from tests.unit.http.fake_actor_client import FakeActorClient

GET = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /v1.0.0/persist/sync HTTP/1.1\r\nHost: x\r\nContent-Length: 40\r\n\r\n"
EVENT = b'{"instanceId":"i1","systemId":"sysA"}   '
PLACES = 10


@pytest.fixture
async def address(actor_client: FakeActorClient, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Address]:
    monkeypatch.setattr(crowd, "most_open", lambda: PLACES)
    settings = SETTINGS.model_copy(update={"sync_timeout": 20.0})
    async with serve_http(create_app(actor_client, settings), settings) as it:
        yield it


@asynccontextmanager
async def opened(
    address: Address, count: int, sent: bytes, local: str = "127.0.0.1"
) -> AsyncIterator[list[asyncio.StreamReader]]:
    """Connect so many clients from an address, each sending the same."""
    async with AsyncExitStack() as stack:
        readers = []
        for _ in range(count):
            reader, writer = await asyncio.open_connection(*address, local_addr=(local, 0))
            stack.callback(writer.close)
            writer.write(sent)
            await writer.drain()
            readers.append(reader)
        await asyncio.sleep(0.05)
        yield readers


def lost(readers: list[asyncio.StreamReader]) -> int:
    return sum(reader.at_eof() or reader.exception() is not None for reader in readers)


@pytest.mark.parametrize("sent", [b"", GET[:-2], POST, POST + EVENT[:-9]], ids=["silent", "head", "no body", "half"])
async def test_a_crowd_that_does_not_go_on_keeps_nobody_out(address: Address, sent: bytes) -> None:
    with capture_logs() as lines:
        async with opened(address, 3 * PLACES, sent, "127.0.0.2") as crowd_:
            for _ in range(3):
                assert (await Client(address).get("/healthz")).status == 200
            assert lost(crowd_) >= 2 * PLACES
    told = [line for line in lines if line["event"] == "http.too_many_connections"]
    assert {(line["peer"], line["turned_away"]) for line in told} == {("127.0.0.2", False)}


async def test_who_has_few_connections_keeps_them_idle_or_not(address: Address, actor_client: FakeActorClient) -> None:
    actor_client.gate = asyncio.Event()
    async with opened(address, 1, GET) as idle, opened(address, 2, POST + EVENT) as busy:
        await eventually(lambda: actor_client.waiting == 2)
        async with opened(address, 3 * PLACES, b"", "127.0.0.2") as crowd_:
            assert lost(crowd_) >= 2 * PLACES
            assert lost([*idle, *busy]) == 0
            actor_client.gate.set()
            for reader in busy:
                assert (await asyncio.wait_for(reader.readuntil(b"\r\n"), 5)).startswith(b"HTTP/1.1 200")


async def test_while_all_are_busy_the_last_is_turned_away(address: Address, actor_client: FakeActorClient) -> None:
    actor_client.gate = asyncio.Event()
    async with opened(address, PLACES, POST + EVENT) as busy:
        await eventually(lambda: actor_client.waiting == PLACES)
        with capture_logs() as lines:
            async with opened(address, 2, GET, "127.0.0.2") as more:
                assert lost(more) == 2
        assert {line["turned_away"] for line in lines if line["event"] == "http.too_many_connections"} == {True}
        assert lost(busy) == 0
        actor_client.gate.set()
        await eventually(lambda: actor_client.waiting == 0)
    assert (await Client(address).get("/healthz")).status == 200


async def test_who_does_not_read_loses_its_place(address: Address, actor_client: FakeActorClient) -> None:
    actor_client.answers[FindDocuments] = Answer(Code.OK, b" " * 40_000_000)
    find = b"GET /v1.0.0/reprocessing/sysA/find HTTP/1.1\r\nHost: x\r\n\r\n"
    async with opened(address, PLACES, find, "127.0.0.2"):
        await asyncio.sleep(0.2)  # the answers fill what the kernel takes
        with capture_logs() as lines:
            assert (await Client(address).get("/healthz")).status == 200
    told = [(line["peer"], line["turned_away"]) for line in lines if line["event"] == "http.too_many_connections"]
    assert told == [("127.0.0.2", False)]
