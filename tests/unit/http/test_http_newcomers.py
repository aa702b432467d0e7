"""Systems that somebody names: served once API core knows them."""

import asyncio
from collections.abc import AsyncIterator, Collection

import pytest

from maestro.http import newcomers
from maestro.http.app import create_app
from maestro.http.newcomers import Newcomers
from maestro.http.server import serve_http
from maestro.messages.answers import Answer, Code
from maestro.messages.questions import PersistSync
from maestro.platform.errors import SiblingUnreachable
from tests.unit.http.conftest import SETTINGS, Client
from tests.unit.http.fake_actor_client import FakeActorClient

HANDLER = "/v1.0.0/handler/persist?queue=persist.{}.queue"
SYNC = "/v1.0.0/persist/sync"


class ApiCore:
    """API core, as far as it matters here."""

    def __init__(self) -> None:
        self.known: set[str] = set()
        self.asked = 0
        self.looks = 0
        self.away = False
        self.gate: asyncio.Event | None = None

    async def systems(self) -> Collection[str]:
        self.asked += 1
        if self.gate is not None:
            await self.gate.wait()
        if self.away:
            raise SiblingUnreachable("apicore", "systems", "connection refused")
        return tuple(self.known)

    def look(self) -> None:
        self.looks += 1


@pytest.fixture
def apicore() -> ApiCore:
    return ApiCore()


@pytest.fixture
async def guarded(actor_client: FakeActorClient, apicore: ApiCore) -> AsyncIterator[Client]:
    app = create_app(actor_client, SETTINGS, newcomers=Newcomers(apicore.systems, apicore.look))
    async with serve_http(app, SETTINGS) as address:
        yield Client(address)


async def test_invented_systems_make_nothing(guarded: Client, actor_client: FakeActorClient, apicore: ApiCore) -> None:
    names = [f"invented{number}" for number in range(60)]
    replies = await asyncio.gather(*(guarded.post(HANDLER.format(name)) for name in names))
    assert {(reply.status, reply.body) for reply in replies} == {(200, b'{"message":"ok"}')}
    bodies = [b'{"instanceId":"i1","systemId":"%s"}' % name.encode() for name in names]
    replies = await asyncio.gather(*(guarded.post(SYNC, body) for body in bodies))
    assert all(reply.is_error(404, "is not known") for reply in replies)
    assert actor_client.installed == []
    assert 2 <= apicore.asked <= 20
    assert apicore.looks == 120


async def test_a_system_that_api_core_knows_is_served(
    guarded: Client, actor_client: FakeActorClient, apicore: ApiCore
) -> None:
    apicore.known = {"new1", "new2"}
    actor_client.answers[PersistSync] = Answer(Code.OK, b'{"status":"commited"}')
    assert (await guarded.post(HANDLER.format("new1"))).status == 200
    assert (await guarded.post(SYNC, b'{"instanceId":"i1","systemId":"new2"}')).status == 200
    assert actor_client.installed == ["new1", "new2"]
    assert apicore.looks == 0


async def test_one_that_is_served_needs_no_question(
    guarded: Client, actor_client: FakeActorClient, apicore: ApiCore
) -> None:
    apicore.away = True
    assert (await guarded.post(HANDLER.format("sysA"))).status == 200
    assert actor_client.installed == ["sysA"]
    assert apicore.asked == 0


async def test_while_api_core_is_away(guarded: Client, actor_client: FakeActorClient, apicore: ApiCore) -> None:
    apicore.away = True
    assert (await guarded.post(HANDLER.format("new"))).status == 200
    assert (await guarded.post(SYNC, b'{"instanceId":"i1","systemId":"new"}')).is_error(503, "API core does not answer")
    assert actor_client.installed == []
    assert apicore.looks == 2


async def test_one_question_for_all_and_an_end_to_patience(apicore: ApiCore, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Newcomers(apicore.systems)
    apicore.known = {"new"}
    apicore.gate = asyncio.Event()
    asking = [asyncio.create_task(made.may_be_served("new")) for _ in range(20)]
    async with asyncio.timeout(5):
        while not apicore.asked:  # noqa: ASYNC110 - the double offers no event
            await asyncio.sleep(0.005)
    asking[0].cancel()
    apicore.known.add("newer")
    later = asyncio.create_task(made.may_be_served("newer"))  # the question that was put before cannot answer it
    apicore.gate.set()
    assert await later is True
    assert await asyncio.gather(*asking[1:]) == [True] * 19
    assert apicore.asked == 2
    monkeypatch.setattr(newcomers, "TIMEOUT", 0.01)
    apicore.gate.clear()
    assert await Newcomers(apicore.systems).may_be_served("new") is None
