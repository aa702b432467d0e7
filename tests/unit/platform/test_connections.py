"""No more connections to a server than it shall have: requests beyond that take turns, and none is lost in the line."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from maestro.platform.connections import Bounds, Connections, _Pool
from maestro.platform.target import Place, Target
from tests.support.brokers import eventually

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Server:
    """Answers each request once it is allowed to, and counts what is open."""

    def __init__(self) -> None:
        self.port = 0
        self.asked: list[str] = []
        self.connections = 0
        self._free: dict[str, asyncio.Event] = {}

    def answer(self, name: str) -> None:
        self._of(name).set()

    def target(self, name: str) -> Target:
        return Target(Place("http", "127.0.0.1", self.port), f"/{name}")

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                name = head.split()[1].decode().lstrip("/")
                self.asked.append(name)
                await self._of(name).wait()
                writer.write(ANSWER)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.connections -= 1
            writer.close()

    def _of(self, name: str) -> asyncio.Event:
        return self._free.setdefault(name, asyncio.Event())


@asynccontextmanager
async def serving() -> AsyncIterator[Server]:
    server = Server()
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with serving() as server:
        yield server


@pytest.fixture
async def connections() -> AsyncIterator[Connections]:
    two = Connections("", Bounds(limit=1000, connect_timeout=5.0, answer_timeout=5.0, keep_for=5.0, per_host=2))
    yield two
    two.close()


def ask(connections: Connections, server: Server, *names: str) -> list["asyncio.Task[tuple[int, bytes]]"]:
    return [asyncio.create_task(connections.request("GET", server.target(name), None), name=name) for name in names]


async def test_the_next_in_line_goes_when_one_ends(server: Server, connections: Connections) -> None:
    a, b, c, d = ask(connections, server, "a", "b", "c", "d")
    await eventually(lambda: len(server.asked) == 2, "two under way")
    server.answer("a")
    assert await a == (200, b"ok")
    await eventually(lambda: server.asked == ["a", "b", "c"], "the third")
    for name in "bcd":
        server.answer(name)
    assert await asyncio.gather(b, c, d) == [(200, b"ok")] * 3
    assert server.asked[-1] == "d"
    assert server.connections == 2


async def test_who_gives_up_in_the_line_is_passed_over(server: Server, connections: Connections) -> None:
    a, b, c, d = ask(connections, server, "a", "b", "c", "d")
    await eventually(lambda: len(server.asked) == 2, "two under way")
    c.cancel()
    server.answer("a")
    await a
    await eventually(lambda: server.asked[2:] == ["d"], "the fourth")
    server.answer("b")
    server.answer("d")
    await asyncio.gather(b, d)


async def test_a_place_given_to_who_gives_up_just_then_is_given_on() -> None:
    pool = _Pool("", room=0)
    first, second = (asyncio.create_task(pool.enter()) for _ in range(2))
    await asyncio.sleep(0)
    pool.leave()
    first.cancel()  # it has the place, and has not run since
    async with asyncio.timeout(5):
        await asyncio.gather(first, second, return_exceptions=True)
    assert first.cancelled()
    pool.leave()
    assert pool.room == 1


async def test_a_request_that_fails_gives_its_place_back(connections: Connections) -> None:
    async with serving() as server:
        pass
    for _ in range(5):
        (task,) = ask(connections, server, "a")
        async with asyncio.timeout(5):
            await asyncio.gather(task, return_exceptions=True)
        assert task.exception() is not None


async def test_a_connection_in_use_at_the_close_ends_with_its_request(server: Server, connections: Connections) -> None:
    a, b = ask(connections, server, "a", "b")
    await eventually(lambda: len(server.asked) == 2, "two under way")
    server.answer("a")
    await a
    connections.close()
    await eventually(lambda: server.connections == 1, "the idle one is closed")
    server.answer("b")
    assert await b == (200, b"ok")
    await eventually(lambda: server.connections == 0, "the other one is closed as well")
    with pytest.raises(RuntimeError, match="closed"):
        await connections.request("GET", server.target("c"), None)
