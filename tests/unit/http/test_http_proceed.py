import asyncio
import socket

import pytest
from structlog.testing import capture_logs

from maestro.http import connection
from maestro.http.actor_client import Unavailable
from maestro.messages.answers import Answer, Code
from maestro.messages.questions import CheckLock
from tests.unit.http.conftest import Client, eventually, read_reply
from tests.unit.http.fake_actor_client import FakeActorClient

PROCEED = "/v1.0.0/gateway/sysA/proceed"
EMPTY = Answer(Code.OK)


@pytest.fixture(autouse=True)
def _open(actor_client: FakeActorClient) -> None:
    actor_client.answers[CheckLock] = EMPTY


async def test_open_system_may_proceed(client: Client, actor_client: FakeActorClient) -> None:
    reply = await client.get(PROCEED)
    assert (reply.status, reply.body) == (200, b"")
    assert set(reply.headers) == {"content-length", "date", "server", "cache-control"}
    assert reply.headers["server"] == "maestro"
    assert actor_client.asked == [("sysA", CheckLock(), 0.5)]


async def test_locked_system_may_not(client: Client, actor_client: FakeActorClient) -> None:
    actor_client.answers[CheckLock] = Answer(Code.LOCKED, b'{"status":"403","reprocessing":"r1"}')
    reply = await client.get(PROCEED)
    assert (reply.status, reply.json) == (403, {"status": "403", "reprocessing": "r1"})
    assert reply.headers["retry-after"] == "7"


@pytest.mark.parametrize(
    "system", ["", "nope", "..", ".", "%2F", "a%2Fb", "%FF%FE", "%00", "wait_x", "x" * 4000, "%F0%9F%98%80"]
)
async def test_unknown_or_odd_system_may_proceed(client: Client, actor_client: FakeActorClient, system: str) -> None:
    reply = await client.get(f"/v1.0.0/gateway/{system}/proceed")
    assert (reply.status, reply.body) == (200, b"")
    assert not actor_client.asked


async def test_slash_in_an_id_is_no_path(client: Client) -> None:
    assert (await client.get("/v1.0.0/gateway/a/b/proceed")).is_error(404)


async def test_many_requests_on_one_connection_keep_their_order(client: Client, actor_client: FakeActorClient) -> None:
    locked = Answer(Code.LOCKED, b"{}")
    actor_client.answers[CheckLock] = lambda system, _: locked if system == "sysB" else EMPTY
    systems = ["sysA", "sysB", "sysB", "sysA", "none"] * 20
    reader, writer = await asyncio.open_connection(*client.address)
    for system in systems:
        writer.write(f"GET /v1.0.0/gateway/{system}/proceed HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    statuses = [(await read_reply(reader)).status for _ in systems]
    writer.close()
    assert statuses == [403 if system == "sysB" else 200 for system in systems]


@pytest.mark.parametrize(("version", "headers"), [("1.0", ""), ("1.1", "Connection: close\r\n")])
async def test_connection_is_closed_when_the_client_wants_it(client: Client, version: str, headers: str) -> None:
    reader, writer = await asyncio.open_connection(*client.address)
    writer.write(f"GET {PROCEED} HTTP/{version}\r\nHost: x\r\n{headers}\r\n".encode())
    async with asyncio.timeout(5):
        answer = await reader.read()
    writer.close()
    assert answer.startswith(f"HTTP/{version} 200 OK\r\n".encode())
    assert b"aiohttp" not in answer
    assert answer.endswith(b"\r\n\r\n")


async def test_head_is_answered_as_get(client: Client) -> None:
    assert (await client.call("HEAD", PROCEED)).status == 200


async def test_pipelining_without_reading_is_cut_off(
    client: Client, actor_client: FakeActorClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "WRITE_TIMEOUT", 0.05)
    requests = 400_000
    with socket.socket() as silent:
        silent.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        silent.settimeout(0)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(silent, tuple(client.address))
        with capture_logs() as lines:
            flood = asyncio.create_task(
                loop.sock_sendall(silent, f"GET {PROCEED} HTTP/1.1\r\nHost: x\r\n\r\n".encode() * requests)
            )
            await eventually(lambda: any(line["event"] == "http.slow_reader" for line in lines), seconds=30)
            with pytest.raises(ConnectionError):
                await flood
    assert 0 < len(actor_client.asked) < requests


async def test_client_that_hangs_up_harms_nobody(client: Client, actor_client: FakeActorClient) -> None:
    actor_client.gate = asyncio.Event()
    _, writer = await asyncio.open_connection(*client.address)
    writer.write(f"GET {PROCEED} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    await eventually(lambda: actor_client.waiting > 0)
    writer.transport.abort()
    actor_client.gate.set()
    assert (await client.get(PROCEED)).status == 200


@pytest.mark.parametrize(
    ("canned", "status", "word"),
    [
        (Answer(Code.UNAVAILABLE, message="store is full"), 503, "store is full"),
        (Unavailable("actor is being replaced"), 503, "being replaced"),
        (TimeoutError(), 503, "no answer in time"),
        (KeyError("secret"), 500, "internal error"),
    ],
)
async def test_without_an_answer_nothing_proceeds(
    client: Client, actor_client: FakeActorClient, canned: Answer | Exception, status: int, word: str
) -> None:
    actor_client.answers[CheckLock] = canned
    reply = await client.get(PROCEED)
    assert reply.is_error(status, word)
    assert b"secret" not in reply.body
