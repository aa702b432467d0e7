"""What comes before and around the handlers: errors of every kind, limits, hostile bytes."""

import asyncio
import contextlib
import gzip
import zlib

import pytest
from structlog.testing import capture_logs

from maestro.http import connection, inputs
from maestro.http.replies import STATUS
from maestro.messages.answers import Answer, Code
from maestro.messages.questions import FindDocuments
from tests.unit.http.conftest import Client, eventually, read_reply
from tests.unit.http.fake_actor_client import FakeActorClient

V1 = "/v1.0.0"
GETS = [
    "gateway/s/proceed",
    "reprocessing/s/pending",
    "reprocessing/s/find",
    "reprocessing/r",
    "systems",
    "systems/s",
    "systems/s/waiting",
]
POSTS = [
    "handler/persist",
    "persist/sync",
    "reprocessing/r/approve",
    "reprocessing/r/skip",
    "reprocessing/r/retry",
    "reprocessing/r/cancel",
]


def test_every_code_has_a_status() -> None:
    assert set(STATUS) == set(Code)


@pytest.mark.parametrize("path", GETS)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_reads_take_no_other_method(client: Client, path: str, method: str) -> None:
    reply = await client.call(method, f"{V1}/{path}")
    assert reply.is_error(405, method)
    assert reply.headers["allow"] == "GET,HEAD"


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_commands_take_no_other_method(client: Client, path: str, method: str) -> None:
    reply = await client.call(method, f"{V1}/{path}")
    assert reply.is_error(405)
    assert reply.headers["allow"] == "POST"


@pytest.mark.parametrize(
    "target",
    ["/nope", "//", "/v1.0.0", "/v1.0.0/", "/v1.0.0/reprocessing//approve", "/v1.0.0/reprocessing//pending",
     "/v1.0.0/systems/", "/v1.0.0/systems//waiting", "/v1.0.0/../healthz", "/v1.0.0/systems/../../readyz",
     "/healthz/", "/v1.0.0/gateway/proceed", "/%2e%2e/etc/passwd", "/v1.0.0%2Fsystems", "/V1.0.0/systems", "/%FF",
     "/" + "x" * 8000],
)  # fmt: skip
async def test_no_such_resource(client: Client, actor_client: FakeActorClient, target: str) -> None:
    reply = await client.get(target)
    assert reply.is_error(404, "no such resource")
    assert reply.headers["server"] == "maestro"
    assert not actor_client.asked


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"nonsense\r\n\r\n",
        b"GET /healthz HTTP/9.9\r\nHost: x\r\n\r\n",
        b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 20000 + b"\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 500 + b"\r\n",
        b"POST /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"POST /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"POST /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET /health\x00z HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    ],
)
async def test_what_is_no_request_is_refused(client: Client, request_bytes: bytes) -> None:
    reader, writer = await asyncio.open_connection(*client.address)
    writer.write(request_bytes)
    async with asyncio.timeout(5):
        reply = await read_reply(reader)
        assert await reader.read() == b""
    writer.close()
    assert reply.is_error(400, "malformed, or its head is too long")
    assert reply.headers["server"] == "maestro"
    assert (await client.get("/healthz")).status == 200


async def test_body_of_exactly_the_limit_is_read(client: Client) -> None:
    limit = 10_000
    target = f"{V1}/persist/sync"
    assert (await client.post(target, b" " * limit)).is_error(400, "body: is no JSON")
    assert (await client.post(target, b" " * (limit + 1))).is_error(413, "larger than 10000 bytes")


async def test_announced_huge_body_is_refused_unread(client: Client) -> None:
    head = b"POST /v1.0.0/persist/sync HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n"
    assert (await client.raw(head)).is_error(413)


async def test_huge_chunked_body_is_refused(client: Client) -> None:
    head = b"POST /v1.0.0/persist/sync HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert (await client.raw(head + b"4000\r\n" + b" " * 0x4000 + b"\r\n")).is_error(413)


async def test_malformed_chunk_is_refused(client: Client) -> None:
    head = b"POST /v1.0.0/persist/sync HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert (await client.raw(head + b"zz\r\n{}\r\n0\r\n\r\n")).is_error(400)


async def test_compressed_body_is_not_inflated(client: Client) -> None:
    bomb = zlib.compress(b" " * 5_000_000)
    reply = await client.call("POST", f"{V1}/persist/sync", bomb, Content_Encoding="deflate")
    assert reply.is_error(400, "body: is no JSON")


async def test_body_that_never_comes(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inputs, "BODY_TIMEOUT", 0.05)
    head = b"POST /v1.0.0/persist/sync HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{"
    assert (await client.raw(head)).is_error(408, "body: did not arrive")


async def test_unknown_expectation(client: Client) -> None:
    reply = await client.call("POST", f"{V1}/persist/sync", Expect="magic")
    assert reply.status == 417
    assert reply.headers["server"] == "maestro"


async def test_head_that_never_ends(
    client: Client, actor_client: FakeActorClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "KEEPALIVE", 0.1)
    reader, writer = await asyncio.open_connection(*client.address)
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: ")
    async with asyncio.timeout(5):
        assert await reader.read() == b""
    writer.close()


async def test_answer_that_is_never_read_is_cut(
    client: Client, actor_client: FakeActorClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "WRITE_TIMEOUT", 0.1)
    actor_client.answers[FindDocuments] = Answer(Code.OK, b" " * 40_000_000)
    reader, writer = await asyncio.open_connection(*client.address, limit=1024)
    with capture_logs() as lines:
        writer.write(b"GET /v1.0.0/reprocessing/sysA/find HTTP/1.1\r\nHost: x\r\n\r\n")
        await eventually(lambda: any(line["event"] == "http.slow_reader" for line in lines))
    async with asyncio.timeout(5):
        assert await count(reader) < 40_000_000
    writer.close()


async def test_answer_that_is_read_slowly_arrives(client: Client, actor_client: FakeActorClient) -> None:
    actor_client.answers[FindDocuments] = Answer(Code.OK, b" " * 20_000_000)
    assert len((await client.get("/v1.0.0/reprocessing/sysA/find")).body) == 20_000_000


async def test_bug_is_logged_and_not_shown(client: Client, actor_client: FakeActorClient) -> None:
    actor_client.answers[FindDocuments] = ZeroDivisionError("/secret/path")
    with capture_logs() as lines:
        reply = await client.get("/v1.0.0/reprocessing/sysA/find")
    assert reply.is_error(500, "internal error")
    assert b"secret" not in reply.body
    (line,) = [line for line in lines if line["event"] == "http.bug"]
    assert isinstance(line["exc_info"], ZeroDivisionError)
    assert line["path"] == "/v1.0.0/reprocessing/sysA/find"


async def test_reads_are_logged_at_debug(client: Client) -> None:
    with capture_logs() as lines:
        await client.get("/healthz")
        await client.get("/nope")
    assert [(line["event"], line["log_level"]) for line in lines] == [
        ("http.healthz", "debug"),
        ("http.unmatched", "debug"),
    ]


async def test_hang_up_within_a_body_is_no_bug(client: Client) -> None:
    with capture_logs() as lines:
        _, writer = await asyncio.open_connection(*client.address)
        writer.write(b"POST /v1.0.0/persist/sync HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{")
        await writer.drain()
        writer.close()
        await eventually(lambda: any(line["event"] == "http.persist_sync" for line in lines))
    assert [line["status"] for line in lines] == [400]


async def count(reader: asyncio.StreamReader) -> int:
    total = 0
    with contextlib.suppress(ConnectionResetError):
        while chunk := await reader.read(65536):
            total += len(chunk)
    return total


@pytest.mark.parametrize(
    ("accepts", "compressed"),
    [("gzip", True), ("deflate, GZIP;q=0.5, br", True), ("gzip, deflate", True), ("gzip;q=0", False), ("br", False),
     ("gzip;q=0.0, br", False), ("", False), ("xgzip", False)],
)  # fmt: skip
async def test_large_answers_are_compressed(
    client: Client,
    actor_client: FakeActorClient,
    accepts: str,
    compressed: bool,  # noqa: FBT001 - a case
) -> None:
    body = b'[{"id":"' + b"x" * 100_000 + b'"}]'
    actor_client.answers[FindDocuments] = Answer(Code.OK, body)
    reply = await client.call("GET", "/v1.0.0/reprocessing/sysA/find", Accept_Encoding=accepts)
    assert reply.headers["vary"] == "Accept-Encoding"
    assert reply.headers["cache-control"] == "no-store"
    assert ("content-encoding" in reply.headers) is compressed
    assert (gzip.decompress(reply.body) if compressed else reply.body) == body
    actor_client.answers[FindDocuments] = Answer(Code.OK, b"[]")
    small = await client.call("GET", "/v1.0.0/reprocessing/sysA/find", Accept_Encoding=accepts)
    assert "content-encoding" not in small.headers
