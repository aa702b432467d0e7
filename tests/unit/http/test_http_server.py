import asyncio
import socket
import time

import pytest

from maestro.http import server
from maestro.http.app import create_app
from maestro.http.server import Address, BindError, serve_http
from maestro.messages import PersistSync
from maestro.settings import HttpSettings
from tests.unit.http.conftest import SETTINGS, Client, Reply, eventually
from tests.unit.http.fake_bridge import FakeBridge

EVENT = b'{"instanceId":"i1","systemId":"sysA"}'
LONG = SETTINGS.model_copy(update={"sync_timeout": 60.0})


async def test_port_in_use_is_named(bridge: FakeBridge) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(BindError, match=rf"127\.0\.0\.1:{port}: .*in use"):
            async with serve_http(create_app(bridge, SETTINGS), HttpSettings(port=port)):
                pytest.fail("must not start")


async def test_foreign_host_is_named(bridge: FakeBridge) -> None:
    with pytest.raises(BindError, match=r"203\.0\.113\.1:0"):
        async with serve_http(create_app(bridge, SETTINGS), HttpSettings(host="203.0.113.1", port=0)):
            pytest.fail("must not start")


async def test_port_is_free_again_after_stopping(bridge: FakeBridge) -> None:
    async with serve_http(create_app(bridge, SETTINGS), SETTINGS) as address:
        assert (await Client(address).get("/healthz")).status == 200
    with pytest.raises(ConnectionRefusedError):
        await Client(address).get("/healthz")
    async with serve_http(create_app(bridge, SETTINGS), HttpSettings(port=address.port)) as again:
        assert again == address


async def test_request_under_way_is_finished(bridge: FakeBridge) -> None:
    bridge.gate = asyncio.Event()
    request: asyncio.Task[Reply]
    async with serve_http(create_app(bridge, LONG), LONG) as address:
        idle = await asyncio.open_connection(*address)
        request = asyncio.create_task(Client(address).post("/v1.0.0/persist/sync", EVENT))
        await eventually(lambda: bridge.waiting > 0)
        asyncio.get_running_loop().call_later(0.1, bridge.gate.set)
    assert (await request).status == 200
    assert isinstance(bridge.asked[0][1], PersistSync)
    idle[1].close()


async def test_request_that_does_not_end_is_given_up(bridge: FakeBridge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "GRACE", 0.2)
    bridge.gate = asyncio.Event()
    async with serve_http(create_app(bridge, LONG), LONG) as address:
        request = asyncio.create_task(Client(address).post("/v1.0.0/persist/sync", EVENT))
        await eventually(lambda: bridge.waiting > 0)
        stopping = time.monotonic()
    assert time.monotonic() - stopping < 2
    with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
        await request
    assert bridge.waiting == 0


async def test_failing_context_stops_the_server(bridge: FakeBridge) -> None:
    with pytest.raises(ZeroDivisionError):
        async with serve_http(create_app(bridge, SETTINGS), SETTINGS) as address:
            raise ZeroDivisionError
    with pytest.raises(ConnectionRefusedError):
        await Client(address).get("/healthz")


def test_address_as_url() -> None:
    assert Address("127.0.0.1", 80).url == "http://127.0.0.1:80"
    assert Address("::1", 80).url == "http://[::1]:80"
