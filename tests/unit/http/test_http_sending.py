"""What travels: nothing that the client has already, and little of an inbox of fifty and of a document of thousands."""

import gzip
import json
import uuid

import orjson

from maestro.http import console_routes
from maestro.messages.answers import Answer, Code
from maestro.messages.questions import DescribeSystem, GetDocument, ListTodo, Question
from maestro.rules.impact import Impacted, Origin
from maestro.system import views
from maestro.system.todo import Todo
from tests.support.rules import Rules, event_json
from tests.unit.http.conftest import Client
from tests.unit.http.fake_actor_client import FakeActorClient

#: Bytes that a page may cost on the wire.
BUDGET = 200_000
UNITS = 5_000


def origin(number: int) -> Origin:
    """Return a unit as the platform has them: ids of 36 characters, a payload, and all fields of an event."""
    instance = str(uuid.UUID(int=number * 7919 << 64 | number * 104729))
    event = {
        "name": f"{uuid.UUID(int=7)}.calculate.tax.request", "systemId": "sysA", "instanceId": instance,
        "tag": str(uuid.UUID(int=number * 15485863)), "branch": "master", "scope": "execution",
        "timestamp": f"2026-11-{1 + number % 28:02}T14:12:31.{number % 1_000_000:06}",
        "payload": {"usina": f"U{number:05}", "carga_mw": number * 1.37, "dia": f"2026-11-{1 + number % 28:02}"},
    }  # fmt: skip
    return Origin(Impacted(instance, "master"), orjson.dumps(event), event["timestamp"])


def held(units: int) -> Rules:
    """Return a system that holds a commit which so many units have read."""
    rules = Rules()
    doc = rules.hold("i1", "p1")
    doc.replace_units([origin(number) for number in range(units)])
    return rules


async def test_what_the_client_has_is_not_sent_again(client: Client, actor_client: FakeActorClient) -> None:
    actor_client.answers[DescribeSystem] = Answer(Code.OK, b'{"id":"sysA","state":"open"}')
    first = await client.get("/v1.0.0/systems/sysA")
    tag = first.headers["etag"]
    again = await client.call("GET", "/v1.0.0/systems/sysA", If_None_Match=tag)
    assert (again.status, again.body, again.headers["etag"]) == (304, b"", tag)
    actor_client.answers[DescribeSystem] = Answer(Code.OK, b'{"id":"sysA","state":"pending"}')
    changed = await client.call("GET", "/v1.0.0/systems/sysA", If_None_Match=tag)
    assert (changed.status, changed.json["state"]) == (200, "pending")
    assert changed.headers["etag"] != tag


async def test_a_refusal_has_no_tag(client: Client) -> None:
    assert "etag" not in (await client.get("/v1.0.0/systems/none")).headers


async def test_a_document_of_thousands_of_units_is_looked_at_for_little(
    client: Client, actor_client: FakeActorClient
) -> None:
    rules = held(UNITS)
    (doc,) = rules.system.documents.values()

    def answer(_: str, asked: Question) -> Answer:
        assert isinstance(asked, GetDocument)
        if not asked.limit:  # the gateway looks for the system that has it
            return Answer(Code.OK, b"{}")
        return Answer(Code.OK, views.document_page(rules.system, doc, rules.repository, asked.after, asked.limit))

    actor_client.answers[GetDocument] = answer
    reply = await client.call("GET", f"/v1.0.0/reprocessing/{doc.id}?limit=150", Accept_Encoding="gzip")
    assert len(reply.head) + len(reply.body) < BUDGET / 4
    shown = json.loads(gzip.decompress(reply.body))
    assert (len(shown["units"]), len(shown["events"])) == (150, 150)
    assert shown["page"] == {"after": 0, "total": UNITS, "next": 150, "processes": 1, "branches": 1}
    assert shown["progress"] == {"replayed": 0, "outstanding": UNITS, "units": UNITS, "cascaded": 0}
    last = await client.call("GET", f"/v1.0.0/reprocessing/{doc.id}?after=4900&limit=150", Accept_Encoding="gzip")
    end = json.loads(gzip.decompress(last.body))
    assert (len(end["units"]), end["page"]["next"], end["digest"]) == (100, None, shown["digest"])


async def test_an_inbox_of_fifty_costs_little(client: Client, actor_client: FakeActorClient) -> None:
    actor_client.known = {f"sys{number:02}" for number in range(50)}

    def answer(system: str, _: Question) -> Answer:
        rules = held(3)
        rules.system.id = system
        for doc in rules.system.documents.values():
            doc.system_id = system
            doc.origin = event_json("i1", payload={"usina": system, "carga_mw": 17.2, "dia": "2026-11-27"})
        return Todo(rules.system, rules.repository).answer({f"persist.{system}.queue.error": 0})

    actor_client.answers[ListTodo] = answer
    reply = await client.call("GET", "/v1.0.0/todo", Accept_Encoding="gzip")
    assert len(reply.head) + len(reply.body) < BUDGET / 10
    assert json.loads(gzip.decompress(reply.body))["total"] == 50


async def test_the_console_itself_leaves_room_for_what_it_shows(client: Client) -> None:
    """Opened for the first time it and an inbox of fifty, or a document of thousands, are within the budget."""
    size = 0
    for path, _, _ in console_routes.handlers():
        reply = await client.call("GET", path, Accept_Encoding="gzip")
        plain = await client.call("GET", path)
        assert (reply.status, plain.status) == (200, 200)
        packed = reply.headers.get("content-encoding") == "gzip"
        assert (gzip.decompress(reply.body) if packed else reply.body) == plain.body
        again = await client.call("GET", path, Accept_Encoding="gzip", If_None_Match=reply.headers["etag"])
        assert (again.status, again.body) == (304, b"")
        size += len(reply.head) + len(reply.body)
    assert size < BUDGET * 3 / 4
