import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest

from maestro.http.app import create_app
from maestro.http.server import Address, serve_http
from maestro.language import PORTUGUESE, speaking, told
from maestro.settings.model import HttpSettings
from tests.unit.http.fake_actor_client import FakeActorClient, FakePages

SETTINGS = HttpSettings(port=0, ask_timeout=0.5, sync_timeout=0.7, max_body_bytes=10_000, retry_after=7)


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes
    head: bytes = field(repr=False, default=b"")

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)

    def is_error(self, status: int, *words: str) -> bool:
        assert self.status == status, self
        assert set(self.json) == {"status", "message"}
        assert self.json["status"] == str(status)
        assert self.headers["content-type"] == "application/json; charset=utf-8"
        for word in words:
            assert word in self.json["message"]
        return True


class Client:
    """A raw client: it sends exactly the bytes it is told to, normalising nothing."""

    def __init__(self, address: Address) -> None:
        self.address = address

    async def raw(self, request: bytes) -> Reply:
        async with asyncio.timeout(10):
            reader, writer = await asyncio.open_connection(*self.address)
            try:
                writer.write(request)
                return understood(await read_reply(reader, head_only=request.startswith(b"HEAD ")))
            finally:
                writer.close()

    async def call(self, method: str, target: str, body: bytes = b"", **headers: str) -> Reply:
        lines = [f"{method} {target} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        return await self.raw("\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape") + body)

    async def get(self, target: str) -> Reply:
        return await self.call("GET", target)

    async def post(self, target: str, body: bytes = b"") -> Reply:
        return await self.call("POST", target, body)


#: What doubles say, or the protocol: no text of Maestro's.
FOREIGN = {
    "Not Found", "actor is being replaced", "approved already", "broker: connection refused; actors: starting",
    "digest: it changed", "domain: refused", "group k1 is not what was shown any more", "it changed", "later",
    "no reprocessing", "no room", "not here", "r0 comes first", "store is full", "sysSecret: broken",
}  # fmt: skip


def understood(reply: Reply) -> Reply:
    """Fail where the gateway refuses in words that there is no translation of."""
    english = "content-language" not in reply.headers
    if english and reply.status >= 400 and reply.body.startswith(b'{"status"'):
        message = reply.json.get("message", "")
        with speaking(PORTUGUESE):
            assert not message or message in FOREIGN or told(message) != message, f"no translation of {message!r}"
    return reply


async def eventually(condition: Callable[[], bool], seconds: float = 5) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what is waited for is no part of the test and offers no event
            await asyncio.sleep(0.005)


async def read_reply(reader: asyncio.StreamReader, *, head_only: bool = False) -> Reply:
    head = await reader.readuntil(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")[:-2]
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    body = b"" if head_only else await reader.readexactly(int(headers.get("content-length", 0)))
    return Reply(int(status.split(" ")[1]), headers, body, head)


@pytest.fixture
def actor_client() -> FakeActorClient:
    return FakeActorClient("sysA", "sysB")


@pytest.fixture
def pages() -> FakePages:
    return FakePages()


@pytest.fixture
async def client(actor_client: FakeActorClient, pages: FakePages) -> AsyncIterator[Client]:
    async with serve_http(create_app(actor_client, SETTINGS, entities=pages), SETTINGS) as address:
        yield Client(address)
