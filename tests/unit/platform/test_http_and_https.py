"""What both kinds of connections do alike: the plain ones of our own, and those over TLS."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme

from maestro.platform.answer import BadAnswerError
from maestro.platform.connections import Answer, Bounds, ConnectionFailedError, Connections, NoConnectionInTimeError
from maestro.platform.errors import WrongShapeError
from maestro.platform.https import HttpsConnections
from maestro.platform.target import Place, Target
from maestro.platform.transport import CallName, SiblingUnreachable, Transport
from maestro.ports import free_port
from maestro.settings.model import PlatformSettings

BOUNDS = Bounds(limit=1000, connect_timeout=2.0, answer_timeout=0.5, keep_for=5.0, per_host=4)

Handler = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(params=["http", "https"])
def scheme(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(autouse=True)
def trusted(authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the authority among those that this process trusts."""
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))


@pytest.fixture
async def connections(scheme: str, trusted: None) -> AsyncIterator[Connections | HttpsConnections]:
    if scheme == "http":
        plain = Connections("X-Own: yes\r\n", BOUNDS)
        yield plain
        plain.close()
    else:
        over_tls = HttpsConnections({"X-Own": "yes"}, BOUNDS)
        yield over_tls
        await over_tls.close()
        await over_tls.close()


@asynccontextmanager
async def server(authority: trustme.CA, scheme: str, handler: Handler) -> AsyncIterator[Place]:
    """Serve requests without a body, or of a known length, each by `handler`."""
    context = None
    if scheme == "https":
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("127.0.0.1").configure_cert(context)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if line)
                body = await reader.readexactly(int(fields.get(b"content-length", b"0")))
                await handler(head + body, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield Place(scheme, "127.0.0.1", listening.sockets[0].getsockname()[1])
    finally:
        listening.close()


def answering(answer: bytes, seen: list[bytes] | None = None) -> Handler:
    async def handler(request: bytes, writer: asyncio.StreamWriter) -> None:
        if seen is not None:
            seen.append(request)
        writer.write(answer)
        if b"Connection: close" in answer:
            writer.close()

    return handler


def told(status: str, body: bytes, *fields: str) -> bytes:
    head = "".join(f"{field}\r\n" for field in (*fields, f"Content-Length: {len(body)}"))
    return f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + body


async def test_status_and_body_whatever_the_status(
    authority: trustme.CA, scheme: str, connections: Connections | HttpsConnections
) -> None:
    seen: list[bytes] = []
    async with server(authority, scheme, answering(told("404 Not Found", b"no"), seen)) as place:
        answers: list[Answer] = [
            await connections.request("GET", Target(place, "/a%2Fb?c=%26"), None),
            await connections.request("POST", Target(place, "/x"), b'{"y":1}'),
        ]
    assert answers == [(404, b"no")] * 2
    assert seen[0].startswith(b"GET /a%2Fb?c=%26 HTTP/1.1\r\n")
    assert b"x-own: yes" in seen[0].lower()
    assert seen[1].endswith(b'\r\n\r\n{"y":1}')


async def test_a_redirect_is_an_answer(
    authority: trustme.CA, scheme: str, connections: Connections | HttpsConnections
) -> None:
    answer = told("302 Found", b"", "Location: http://127.0.0.1:1/")
    async with server(authority, scheme, answering(answer)) as place:
        assert await connections.request("GET", Target(place, "/"), None) == (302, b"")


@pytest.mark.parametrize("fields", [("Content-Length: 1001",), ("Connection: close",)])
async def test_too_large(
    authority: trustme.CA, scheme: str, connections: Connections | HttpsConnections, fields: tuple[str, ...]
) -> None:
    head = "".join(f"{field}\r\n" for field in fields)
    answer = f"HTTP/1.1 200 OK\r\n{head}\r\n".encode() + b"x" * 1001
    async with server(authority, scheme, answering(answer)) as place:
        with pytest.raises(WrongShapeError, match="larger than 1000 bytes"):
            await connections.request("GET", Target(place, "/"), None)


async def test_no_answer_in_time(
    authority: trustme.CA, scheme: str, connections: Connections | HttpsConnections
) -> None:
    async with server(authority, scheme, answering(b"HTTP/1.1 200 OK\r\nContent-Le")) as place:
        with pytest.raises(TimeoutError) as raised:
            await connections.request("GET", Target(place, "/"), None)
    assert not isinstance(raised.value, NoConnectionInTimeError)


async def test_nobody_listens(scheme: str, connections: Connections | HttpsConnections) -> None:
    with pytest.raises(ConnectionFailedError, match=r"refused|Connect call failed"):
        await connections.request("GET", Target(Place(scheme, "127.0.0.1", free_port()), "/"), None)


async def test_the_server_hangs_up(
    authority: trustme.CA, scheme: str, connections: Connections | HttpsConnections
) -> None:
    async def hang_up(_request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        await writer.drain()
        writer.close()

    async with server(authority, scheme, hang_up) as place:
        with pytest.raises((ConnectionFailedError, BadAnswerError)):
            await connections.request("POST", Target(place, "/"), b"{}")


async def test_a_certificate_nobody_vouches_for() -> None:
    over_tls = HttpsConnections({}, BOUNDS)
    try:
        async with server(trustme.CA(), "https", answering(told("200 OK", b"{}"))) as place:
            with pytest.raises(ConnectionFailedError, match="certificate"):
                await over_tls.request("GET", Target(place, "/"), None)
    finally:
        await over_tls.close()


async def test_the_transport_takes_the_way_that_the_target_names(authority: trustme.CA, scheme: str) -> None:
    transport = await Transport.open(PlatformSettings(tries=1))
    name = CallName("discovery", "impacted")
    async with server(authority, scheme, answering(told("200 OK", b"yes"))) as place:
        assert await transport.call(name, "GET", Target(place, "/"), bytes) == b"yes"
    with pytest.raises(SiblingUnreachable, match=r"refused|Connect call failed"):
        await transport.call(name, "GET", Target(Place(scheme, "127.0.0.1", free_port()), "/"), bytes)
    await transport.close()
    with pytest.raises(RuntimeError, match="closed"):
        await transport.call(name, "GET", Target(place, "/"), bytes)
