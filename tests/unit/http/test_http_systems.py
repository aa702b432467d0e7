import asyncio

import pytest

from maestro.http import systems
from maestro.messages.answers import Answer, Code
from maestro.messages.questions import DescribeSystem, ListWaiting
from tests.unit.http.conftest import Client
from tests.unit.http.fake_actor_client import FakeActorClient

V1 = "/v1.0.0/systems"


async def test_lists_systems(client: Client, actor_client: FakeActorClient) -> None:
    actor_client.answers[DescribeSystem] = Answer(Code.OK, b'{"state":"open"}')
    reply = await client.get(V1)
    assert (reply.status, reply.json) == (200, [{"state": "open"}, {"state": "open"}])
    assert [system for system, _, _ in actor_client.asked] == ["sysA", "sysB"]


async def test_a_system_that_does_not_answer_is_listed_as_unavailable(
    client: Client, actor_client: FakeActorClient
) -> None:
    actor_client.answers[DescribeSystem] = Answer(Code.UNAVAILABLE, message="store: disk full")
    listed = (await client.get(V1)).json
    assert listed[0] == {"id": "sysA", "state": "unavailable", "message": "store: disk full"}


async def test_ready_says_which_systems_are_stalled(client: Client, actor_client: FakeActorClient) -> None:
    stall = b'{"sibling":"discovery","cause":"no connection","since":"2026-11-28T10:00:00"}'
    actor_client.answers[DescribeSystem] = lambda system, _: Answer(
        Code.OK, b'{"id":"%s","state":"open","stalled":%s}' % (system.encode(), stall if system == "sysB" else b"null")
    )
    reply = await client.get("/readyz")
    assert reply.status == 200
    assert reply.json["stalled"] == [
        {"system": "sysB", "sibling": "discovery", "cause": "no connection", "since": "2026-11-28T10:00:00"}
    ]


async def test_what_keeps_the_broker_from_its_work_is_said_of_every_system(
    client: Client, actor_client: FakeActorClient
) -> None:
    actor_client.answers[DescribeSystem] = Answer(Code.OK, b'{"id":"sysA","state":"open"}')
    actor_client.problems = {"system sysB": "is starting", "cascade": "broker: RabbitMQ takes no publishes: memory"}
    told = {"id": "sysA", "state": "open", "broker": "RabbitMQ takes no publishes: memory"}
    assert (await client.get(V1)).json == [told, told]
    assert (await client.get(f"{V1}/sysA")).json == told
    actor_client.problems = {"ingress": "sysA: an event cannot be moved to its queue"}
    assert (await client.get(f"{V1}/sysA")).json == {"id": "sysA", "state": "open"}


async def test_parts_that_do_not_say_how_the_broker_is_are_no_all_clear(
    client: Client, actor_client: FakeActorClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(systems, "READY_TIMEOUT", 0.01)
    monkeypatch.setattr(actor_client, "readiness", lambda: asyncio.sleep(60))
    actor_client.answers[DescribeSystem] = Answer(Code.OK, b'{"id":"sysA","state":"open"}')
    told = {"id": "sysA", "state": "open", "broker": "no answer within 0.01 s"}
    assert (await client.get(V1)).json == [told, told]
    assert (await client.get(f"{V1}/sysA")).json == told


async def test_describes_a_system(client: Client, actor_client: FakeActorClient) -> None:
    actor_client.answers[DescribeSystem] = Answer(Code.OK, b'{"id":"sysA","state":"open"}')
    assert (await client.get(f"{V1}/sysA")).json == {"id": "sysA", "state": "open"}
    assert (await client.get(f"{V1}/none")).is_error(404, "'none' is not known")
    assert (await client.get(f"{V1}/a.b")).is_error(400, "systemId: ")


@pytest.mark.parametrize(
    ("query", "question"),
    [
        ("", ListWaiting(0, 100)),
        ("?after=7", ListWaiting(7, 100)),
        ("?after=9223372036854775807&limit=1000", ListWaiting(2**63 - 1, 1000)),
    ],
)
async def test_lists_what_waits(
    client: Client, actor_client: FakeActorClient, query: str, question: ListWaiting
) -> None:
    actor_client.answers[ListWaiting] = Answer(Code.OK, b"[]")
    assert (await client.get(f"{V1}/sysA/waiting{query}")).body == b"[]"
    assert actor_client.asked == [("sysA", question, 0.5)]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("after=-1", "after: "),
        ("after=", "after: "),
        ("after=x", "after: "),
        ("after=1.0", "after: "),
        ("after=%D9%A1", "after: "),
        ("after=9223372036854775808", "after: "),
        ("after=" + "9" * 5000, "after: "),
        ("limit=0", "limit: "),
        ("limit=1001", "limit: "),
        ("limit=1_0", "limit: "),
        ("limit=%2B5", "limit: "),
    ],
)
async def test_numbers_are_checked(client: Client, actor_client: FakeActorClient, query: str, field: str) -> None:
    assert (await client.get(f"{V1}/sysA/waiting?{query}")).is_error(400, field)
    assert not actor_client.asked


async def test_waiting_of_an_unknown_system(client: Client) -> None:
    assert (await client.get(f"{V1}/none/waiting")).is_error(404)


async def test_health(client: Client) -> None:
    assert (await client.get("/healthz")).json == {"status": "ok"}


async def test_readiness(client: Client, actor_client: FakeActorClient) -> None:
    assert (await client.get("/readyz")).json == {"status": "ok"}
    actor_client.problems = {"broker": "connection refused", "actors": "starting"}
    reply = await client.get("/readyz")
    assert reply.status == 503
    assert reply.json == {
        "status": "503",
        "message": "broker: connection refused; actors: starting",
        "problems": actor_client.problems,
    }


async def test_readiness_that_never_comes(
    client: Client, actor_client: FakeActorClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(systems, "READY_TIMEOUT", 0.05)
    monkeypatch.setattr(actor_client, "readiness", asyncio.Event().wait)
    assert (await client.get("/readyz")).status == 503
