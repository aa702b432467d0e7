"""One list over all systems: joined, sorted, counted, and of the caller's systems only."""

from pathlib import Path
from typing import Any

import orjson

from maestro.messages.answers import Answer, Code
from maestro.messages.questions import ListErrorGroups, ListRecords, ListTodo
from tests.unit.http.authentication_kit import house
from tests.unit.http.conftest import Client
from tests.unit.http.fake_actor_client import FakeActorClient

ITEMS = {
    "sysA": [{"kind": "failed", "system": "sysA", "since": "2026-11-01T00:00:00Z"}],
    "sysB": [
        {"kind": "pending", "system": "sysB", "since": "2026-11-20T00:00:00Z", "waiting": 3},
        {"kind": "paused", "system": "sysB", "since": "2026-11-25T00:00:00Z", "locked": True},
    ],
}


def said(system: str, errors: int | None = 0) -> Answer:
    items = ITEMS[system]
    counts = {item["kind"]: 1 for item in items}
    body = {"total": len(items), "counts": counts, "items": items, "errors": errors, "failed": 1, "lastFailure": ""}
    return Answer(Code.OK, orjson.dumps(body))


def group(key: str, count: int, reason: str, first: str = "") -> dict[str, Any]:
    return {"key": key, "count": count, "reason": reason, "first": first, "last": first, "events": [],
            "instanceId": "e1", "doubt": False, "digest": "d"}  # fmt: skip


async def test_what_holds_most_comes_first_over_all_systems(client: Client, actor_client: FakeActorClient) -> None:
    actor_client.answers[ListTodo] = lambda system, _: said(system)
    found = (await client.get("/v1.0.0/todo")).json
    assert [item["kind"] for item in found["items"]] == ["paused", "pending", "failed"]
    assert (found["total"], found["next"]) == (3, None)
    assert found["counts"] == {"failed": 1, "pending": 1, "paused": 1}
    page = (await client.get("/v1.0.0/todo?limit=1&after=1")).json
    assert ([item["kind"] for item in page["items"]], page["next"]) == (["pending"], 2)
    only = (await client.get("/v1.0.0/todo?system=sysA")).json
    assert [item["system"] for item in only["items"]] == ["sysA"]
    assert (await client.get("/v1.0.0/todo?system=none")).is_error(404, "none")


async def test_errors_alike_are_one_thing_and_looked_at_once(client: Client, actor_client: FakeActorClient) -> None:
    actor_client.answers[ListTodo] = lambda system, _: said(system, 4 if system == "sysA" else 0)
    page = {"total": 4, "lookedAt": 3, "count": 2, "groups": [
        group("k1", 2, "domain refused e1: column 17 is missing", "2026-11-20T10:00:00.000000Z"),
        group("k2", 1, "no such map"),
    ]}  # fmt: skip
    actor_client.answers[ListErrorGroups] = Answer(Code.OK, orjson.dumps(page))
    for _ in range(2):
        found = (await client.get("/v1.0.0/todo")).json
        groups = [item for item in found["items"] if item["kind"] == "errors"]
        assert [(one.get("key", ""), one["count"], one["cause"], one["since"]) for one in groups] == [
            ("k1", 2, "domain refused e1: column 17 is missing", "2026-11-20T10:00:00.000000Z"),
            ("k2", 1, "no such map", ""),
            ("", 1, "", ""),
        ]  # fmt: skip
        assert found["counts"]["errors"] == 3
    assert sum(isinstance(asked, ListErrorGroups) for _, asked, _ in actor_client.asked) == 1


async def test_a_system_that_does_not_answer_needs_a_person(client: Client, actor_client: FakeActorClient) -> None:
    down = Answer(Code.UNAVAILABLE, message="store: disk full")
    actor_client.answers[ListTodo] = lambda system, _: said(system) if system == "sysA" else down
    found = (await client.get("/v1.0.0/todo")).json
    assert [(item["kind"], item["cause"]) for item in found["items"]][-1] == ("unavailable", "store: disk full")


async def test_nobody_sees_what_waits_in_a_system_that_is_not_theirs(tmp_path: Path) -> None:
    async with house(tmp_path) as at:
        at.actor_client.answers[ListTodo] = lambda system, _: said(system)
        at.actor_client.answers[ListRecords] = Answer(Code.OK, b"[]")
        assert (await at.call(None, "GET", "/v1.0.0/todo")).status == 401
        found = (await at.call("eve", "GET", "/v1.0.0/todo")).json
        assert {item["system"] for item in found["items"]} == {"sysA"}
        assert (await at.call("eve", "GET", "/v1.0.0/todo?system=sysB")).status == 403
        asked = {system for system, _, _ in at.actor_client.asked}
        assert asked == {"sysA"}


def record(id_: str, at: int) -> dict[str, Any]:
    return {"cursor": f"{at}.{id_}", "id": id_}


async def test_the_history_of_all_systems_is_one(client: Client, actor_client: FakeActorClient) -> None:
    rows = {"sysA": [record("a2", 50), record("a1", 7)], "sysB": [record("b1", 9)]}
    actor_client.answers[ListRecords] = lambda system, _: Answer(Code.OK, orjson.dumps(rows[system]))
    found = (await client.get("/v1.0.0/history?limit=2&user=ana&since=2026-11-28T00:00:00-03:00")).json
    assert [one["id"] for one in found["records"]] == ["a2", "b1"]
    assert (found["next"], found["unanswered"]) == ("9.b1", [])
    _, asked, _ = actor_client.asked[0]
    assert asked == ListRecords(user="ana", since=1795834800.0, limit=2)
    assert (await client.get("/v1.0.0/history?since=yesterday")).is_error(400, "since: ")
    assert (await client.get("/v1.0.0/history?until=2026-11-28T00:00:00")).is_error(400, "until: ")


async def test_the_history_wakes_only_systems_that_may_have_something_for_the_page(
    client: Client, actor_client: FakeActorClient
) -> None:
    rows = {"sysA": [record("a2", 50), record("a1", 7)], "sysB": [record("b1", 9)]}
    many = [f"rest{number:02d}" for number in range(40)]
    rows |= {name: [record(name, 100 - number)] for number, name in enumerate(many)}
    actor_client.known |= set(rows) | {"none"}
    actor_client.resting = {name: f"{100 - number}.{name}" for number, name in enumerate(many)} | {"none": ""}
    actor_client.answers[ListRecords] = lambda system, _: Answer(Code.OK, orjson.dumps(rows[system]))
    found = (await client.get("/v1.0.0/history?limit=3")).json
    assert [one["id"] for one in found["records"]] == many[:3]
    asked = {system for system, _, _ in actor_client.asked}
    assert asked == {"sysA", "sysB", *many[:16]}, "none is woken that has nothing, or nothing so new"
    actor_client.asked.clear()
    found = (await client.get("/v1.0.0/history?limit=100")).json
    assert len(found["records"]) == 43
    assert found["next"] is None
    assert {system for system, _, _ in actor_client.asked} == {"sysA", "sysB", *many}
