import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import orjson
import pytest

from maestro.http import live, streams
from maestro.http.actor_client import Unavailable
from maestro.messages.answers import Answer, Code
from maestro.messages.questions import AwaitChange, Question
from tests.unit.http.conftest import Client, eventually
from tests.unit.http.fake_actor_client import FakeActorClient


def changing(_system: str, question: Question) -> Answer:
    assert isinstance(question, AwaitChange)
    number = int(question.after or 0) + 1
    return Answer(Code.OK, b'{"n":%d}' % number, str(number))


@asynccontextmanager
async def opened(client: Client, path: str) -> AsyncIterator[asyncio.StreamReader]:
    reader, writer = await asyncio.open_connection(*client.address)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    try:
        yield reader
    finally:
        writer.close()
        await writer.wait_closed()


async def head(reader: asyncio.StreamReader) -> str:
    return (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)).decode().lower()


async def data(reader: asyncio.StreamReader) -> dict:
    while True:
        line = await asyncio.wait_for(reader.readline(), 5)
        if line.startswith(b"data: "):
            return orjson.loads(line[6:])


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "COALESCE", 0.02)
    monkeypatch.setattr(live, "PAUSE", 0.02)
    monkeypatch.setattr(streams, "HEARTBEAT", 0.1)


async def test_each_change_is_an_event(client: Client, actor_client: FakeActorClient) -> None:
    actor_client.answers[AwaitChange] = changing
    async with opened(client, "/v1.0.0/systems/sysA/stream") as reader:
        first = await head(reader)
        assert "200 ok" in first
        assert "content-type: text/event-stream; charset=utf-8" in first
        assert "cache-control: no-store" in first
        seen = [(await data(reader))["n"] for _ in range(3)]
    assert seen == sorted(set(seen))


async def test_one_question_serves_all_who_watch_and_none_is_asked_for_nobody(
    client: Client, actor_client: FakeActorClient
) -> None:
    actor_client.answers[AwaitChange] = Answer(Code.OK, b'{"n":1}', "1")
    async with (
        opened(client, "/v1.0.0/systems/sysA/stream") as one,
        opened(client, "/v1.0.0/systems/sysA/stream") as two,
    ):
        assert (await data(one), await data(two)) == ({"n": 1}, {"n": 1})
        actor_client.gate = asyncio.Event()
        await eventually(lambda: actor_client.waiting == 1)
    await eventually(lambda: actor_client.waiting == 0)


async def test_silence_is_a_comment(client: Client, actor_client: FakeActorClient) -> None:
    actor_client.gate = asyncio.Event()
    async with opened(client, "/v1.0.0/systems/sysA/stream") as reader:
        await head(reader)
        while not (line := await asyncio.wait_for(reader.readline(), 5)).startswith(b":"):
            assert line.strip() != b"data"


async def test_an_unavailable_system_says_so_and_comes_back(client: Client, actor_client: FakeActorClient) -> None:
    outcomes = itertools.chain([Unavailable("restarting")], itertools.repeat(None))

    def answer(system: str, question: Question) -> Answer:
        if (problem := next(outcomes)) is not None:
            raise problem
        return changing(system, question)

    actor_client.answers[AwaitChange] = answer
    async with opened(client, "/v1.0.0/systems/sysA/stream") as reader:
        assert (await data(reader))["system"] == {"id": "sysA", "state": "unavailable", "message": "restarting"}
        assert (await data(reader))["n"] == 1


async def test_all_systems_also_later_ones(client: Client, actor_client: FakeActorClient) -> None:
    actor_client.answers[AwaitChange] = lambda system, _: Answer(Code.OK, orjson.dumps({"id": system}), "1")
    async with opened(client, "/v1.0.0/stream") as reader:
        seen = {(await data(reader))["id"] for _ in range(2)}
        actor_client.known.add("sysC")
        seen.add((await data(reader))["id"])
    assert seen == {"sysA", "sysB", "sysC"}


async def test_streams_are_bounded(
    client: Client, actor_client: FakeActorClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "MAX_STREAMS", 1)
    async with opened(client, "/v1.0.0/stream") as reader:
        await head(reader)
        assert (await client.get("/v1.0.0/systems/sysA/stream")).is_error(503, "streams already")


async def test_a_client_that_hung_up_leaves_its_place_at_once(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "MAX_STREAMS", 1)
    monkeypatch.setattr(streams, "HEARTBEAT", 60)
    async with opened(client, "/v1.0.0/stream") as reader:
        await head(reader)
    async with asyncio.timeout(5):
        while True:
            async with opened(client, "/v1.0.0/stream") as reader:
                if "200 ok" in await head(reader):
                    break


@pytest.mark.parametrize("path", ["/v1.0.0/stream", "/v1.0.0/systems/sysA/stream"])
async def test_a_stream_takes_no_head(client: Client, path: str) -> None:
    reply = await client.call("HEAD", path)
    assert (reply.status, reply.headers["allow"]) == (405, "GET")


async def test_a_system_nobody_knows_has_no_stream(client: Client) -> None:
    assert (await client.get("/v1.0.0/systems/other/stream")).is_error(404)
    assert (await client.get("/v1.0.0/systems/a.b/stream")).is_error(400, "systemId: ")


async def test_a_slow_client_gets_the_latest() -> None:
    subscription = live.Subscription("ana")
    for number in range(1000):
        subscription.offer("sysA", b"%d" % number)
    assert await subscription.next(1) == (b"999",)
    assert await subscription.next(0.01) == ()
