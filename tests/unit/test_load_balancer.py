"""The load balancer before the nodes of `scripts/cluster`."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import aiohttp
import pytest
from aiohttp import web

from maestro.ports import free_port
from scripts.load_balancer import LoadBalancer
from tests.support.stage import eventually


class Node:
    """A node that says who it is."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.ready = True
        #: Whether it takes requests and cuts the connection in the place of an answer.
        self.cuts = False
        self.asked: list[str] = []
        self._runner: web.ServerRunner | None = None

    async def start(self) -> None:
        self._runner = web.ServerRunner(web.Server(self._serve))
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/readyz":
            return web.Response(status=200 if self.ready else 503)
        self.asked.append(f"{request.method} {request.path_qs} {(await request.read()).decode()}".strip())
        if self.cuts and request.transport is not None:
            request.transport.abort()
        return web.json_response({"node": self.name}, status=201, headers={"Retry-After": "7"})


class Scene:
    def __init__(self, nodes: list[Node], url: str, session: aiohttp.ClientSession) -> None:
        self.nodes = nodes
        self.url = url
        self.session = session

    async def ask(self, method: str = "GET", body: str = "") -> tuple[int, str]:
        async with self.session.request(method, f"{self.url}/some%2Fpath?a=b", data=body or None) as answer:
            if answer.status == 201:
                assert answer.headers["Retry-After"] == "7"
            return answer.status, (await answer.json()).get("node", "")


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    async with AsyncExitStack() as stack:
        nodes = [Node("a"), Node("b")]
        for node in nodes:
            await node.start()
            stack.push_async_callback(node.stop)
        port = free_port()
        await stack.enter_async_context(LoadBalancer(port, [node.url for node in nodes]))
        session = await stack.enter_async_context(aiohttp.ClientSession())
        scene = Scene(nodes, f"http://127.0.0.1:{port}", session)
        await answered_by(scene, {"a", "b"})
        yield scene


async def answered_by(scene: Scene, names: set[str]) -> None:
    """Wait until just these nodes answer."""

    async def so() -> bool:
        return {(await scene.ask())[1] for _ in range(4)} == names

    await eventually(so, f"answers of {names}")


async def test_requests_go_to_the_nodes_in_turn_as_they_are(scene: Scene) -> None:
    for node in scene.nodes:
        node.asked.clear()
    assert {await scene.ask("POST", "body"), await scene.ask("POST", "body")} == {(201, "a"), (201, "b")}
    assert [node.asked for node in scene.nodes] == [["POST /some%2Fpath?a=b body"]] * 2


async def test_a_node_that_is_not_ready_is_asked_only_when_no_other_one_answers(scene: Scene) -> None:
    a, b = scene.nodes
    a.ready = False
    await answered_by(scene, {"b"})
    await b.stop()
    assert await scene.ask("POST") == (201, "a")


async def test_what_reached_no_node_goes_to_the_next_one(scene: Scene) -> None:
    await scene.nodes[0].stop()
    assert [await scene.ask("POST") for _ in range(4)] == [(201, "b")] * 4
    await scene.nodes[1].stop()
    assert await scene.ask("POST") == (503, "")


async def test_of_a_lost_answer_only_a_get_is_asked_again(scene: Scene) -> None:
    a, _ = scene.nodes
    a.cuts = True
    assert {await scene.ask() for _ in range(2)} == {(201, "b")}
    assert {await scene.ask("POST") for _ in range(2)} == {(201, "b"), (504, "")}
    assert len([one for one in a.asked if one.startswith("POST")]) == 1
