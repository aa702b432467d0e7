import asyncio
import socket
import time

import pytest

from maestro.http import server
from maestro.http.app import create_app
from maestro.http.server import Address, BindError, serve_http
from maestro.messages.answers import Answer, Code
from maestro.messages.questions import AwaitChange, PersistSync
from maestro.settings.model import HttpSettings
from tests.unit.http.conftest import SETTINGS, Client, Reply, eventually
from tests.unit.http.fake_actor_client import FakeActorClient

EVENT = b'{"instanceId":"i1","systemId":"sysA"}'
LONG = SETTINGS.model_copy(update={"sync_timeout": 60.0})


async def test_port_in_use_is_named(actor_client: FakeActorClient) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(BindError, match=rf"127\.0\.0\.1:{port}: .*in use"):
            async with serve_http(create_app(actor_client, SETTINGS), HttpSettings(port=port)):
                pytest.fail("must not start")


async def test_foreign_host_is_named(actor_client: FakeActorClient) -> None:
    with pytest.raises(BindError, match=r"203\.0\.113\.1:0"):
        async with serve_http(create_app(actor_client, SETTINGS), HttpSettings(host="203.0.113.1", port=0)):
            pytest.fail("must not start")


async def test_port_is_free_again_after_stopping(actor_client: FakeActorClient) -> None:
    async with serve_http(create_app(actor_client, SETTINGS), SETTINGS) as address:
        assert (await Client(address).get("/healthz")).status == 200
    with pytest.raises(ConnectionRefusedError):
        await Client(address).get("/healthz")
    async with serve_http(create_app(actor_client, SETTINGS), HttpSettings(port=address.port)) as again:
        assert again == address


async def test_request_under_way_is_finished(actor_client: FakeActorClient) -> None:
    actor_client.gate = asyncio.Event()
    request: asyncio.Task[Reply]
    async with serve_http(create_app(actor_client, LONG), LONG) as address:
        idle = await asyncio.open_connection(*address)
        request = asyncio.create_task(Client(address).post("/v1.0.0/persist/sync", EVENT))
        await eventually(lambda: actor_client.waiting > 0)
        asyncio.get_running_loop().call_later(0.1, actor_client.gate.set)
    assert (await request).status == 200
    assert isinstance(actor_client.asked[0][1], PersistSync)
    idle[1].close()


async def test_request_that_does_not_end_is_given_up(
    actor_client: FakeActorClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "GRACE", 0.2)
    actor_client.gate = asyncio.Event()
    async with serve_http(create_app(actor_client, LONG), LONG) as address:
        request = asyncio.create_task(Client(address).post("/v1.0.0/persist/sync", EVENT))
        await eventually(lambda: actor_client.waiting > 0)
        stopping = time.monotonic()
    assert time.monotonic() - stopping < 2
    with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
        await request
    assert actor_client.waiting == 0


async def test_failing_context_stops_the_server(actor_client: FakeActorClient) -> None:
    with pytest.raises(ZeroDivisionError):
        async with serve_http(create_app(actor_client, SETTINGS), SETTINGS) as address:
            raise ZeroDivisionError
    with pytest.raises(ConnectionRefusedError):
        await Client(address).get("/healthz")


def test_address_as_url() -> None:
    assert Address("127.0.0.1", 80).url == "http://127.0.0.1:80"
    assert Address("::1", 80).url == "http://[::1]:80"


def asked(target: str = "/healthz", *fields: str, method: str = "GET") -> bytes:
    return "\r\n".join([f"{method} {target} HTTP/1.1", "Host: x", *fields, "", ""]).encode()


async def said(address: Address, *parts: bytes, end: bool = False) -> bytes:
    """Send the parts one by one, then nothing more; return all that comes until the server closes."""
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_connection(*address)
        for part in parts:
            writer.write(part)
            await asyncio.sleep(0.01)
        if end:
            writer.write_eof()
        found = await reader.read()
        writer.close()
    return found


async def test_what_is_pipelined_before_a_close_is_answered(actor_client: FakeActorClient) -> None:
    actor_client.gate = asyncio.Event()
    sync = asked("/v1.0.0/persist/sync", f"Content-Length: {len(EVENT)}", method="POST") + EVENT
    async with serve_http(create_app(actor_client, LONG), LONG) as address:
        asyncio.get_running_loop().call_later(0.2, actor_client.gate.set)
        found = await said(address, sync, asked() + asked(), asked("/healthz", "Connection: close"))
    assert found.count(b"HTTP/1.1 200") == 4


async def test_a_half_closed_client_gets_its_answers(actor_client: FakeActorClient) -> None:
    actor_client.gate = asyncio.Event()
    sync = asked("/v1.0.0/persist/sync", f"Content-Length: {len(EVENT)}", method="POST") + EVENT
    async with serve_http(create_app(actor_client, LONG), LONG) as address:
        assert (await said(address, asked(), end=True)).count(b"HTTP/1.1 200") == 1
        assert (await said(address, asked() + asked() + asked(), end=True)).count(b"HTTP/1.1 200") == 3
        asyncio.get_running_loop().call_later(0.2, actor_client.gate.set)
        assert (await said(address, sync + asked(), end=True)).count(b"HTTP/1.1 200") == 2
        assert await said(address, end=True) == b""


async def test_a_request_whose_body_breaks_off_is_not_waited_for(actor_client: FakeActorClient) -> None:
    broken = asked("/v1.0.0/persist/sync", "Content-Length: 100", method="POST") + b'{"in'
    async with serve_http(create_app(actor_client, SETTINGS), SETTINGS) as address:
        started = time.monotonic()
        assert b"HTTP/1.1 200" not in await said(address, broken, end=True)
        assert time.monotonic() - started < 5
    assert actor_client.asked == []


async def test_a_stream_ends_with_its_client(actor_client: FakeActorClient) -> None:
    actor_client.answers[AwaitChange] = Answer(Code.OK, b"{}", "1")
    async with serve_http(create_app(actor_client, SETTINGS), SETTINGS) as address:
        assert b"event: system" in await said(address, asked("/v1.0.0/systems/sysA/stream"), end=True)


async def test_a_port_is_looked_at_before_anything_is_started() -> None:
    server.check_free(HttpSettings(port=0))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(BindError, match=rf"cannot listen on 127\.0\.0\.1:{port}: .*in use"):
            server.check_free(HttpSettings(port=port))
    server.check_free(HttpSettings(port=port))
    with pytest.raises(BindError, match=r"203\.0\.113\.1"):
        server.check_free(HttpSettings(host="203.0.113.1", port=port))
    with pytest.raises(BindError, match=r"nowhere\.invalid"):
        server.check_free(HttpSettings(host="nowhere.invalid", port=port))


async def test_half_closed_clients_get_their_answers(client: Client) -> None:
    """`nc -N`, and clients that say that they send no more: what they asked is answered, in order, then it ends."""
    get = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    for request, answers in (
        (get, 1), (get * 3, 3), (get + get.replace(b"Host", b"Connection: close\r\nHost"), 2),
        (b"POST /v1.0.0/handler/persist?queue=persist.a.queue HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}", 1),
        (b"POST /v1.0.0/persist/sync HTTP/1.1\r\nHost: x\r\nContent-Length: 20\r\n\r\n{", 0),
        (b"GET /v1.0.0/stream HTTP/1.1\r\nHost: x\r\n\r\n", None),
    ):  # fmt: skip
        async with asyncio.timeout(5):
            reader, writer = await asyncio.open_connection(*client.address)
            writer.write(request)
            writer.write_eof()
            got = await reader.read()
            assert answers is None or got.count(b"HTTP/1.1 200") == answers, (request, got)
            writer.close()


async def test_what_no_handler_sees_has_the_platforms_shape(client: Client) -> None:
    reply = await client.raw(b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n")
    assert reply.is_error(404)
    for value in (b"x", b"100-continue, x", b"\xb100-continue", b"200-ok"):
        reply = await client.raw(b"POST /v1.0.0/persist/sync HTTP/1.1\r\nHost: x\r\nExpect: " + value + b"\r\n\r\n")
        assert reply.is_error(417, "Expect")
    go_on = await client.raw(b"GET /healthz HTTP/1.0\r\nExpect: x\r\n\r\n")
    assert go_on.status == 200
