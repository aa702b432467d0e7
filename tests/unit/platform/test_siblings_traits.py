"""The double is as unkind as the platform's real services (contracts: How the real siblings behave)."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from tests.support.siblings import HOST, RecordingSiblings
from tests.support.stage import eventually

Json = Any
MAP = [{"_metadata": {"type": "map", "changeTrack": "create"}, "name": "maestro", "systemId": "sysA", "version": "1"}]


class Caller:
    def __init__(self, session: aiohttp.ClientSession, siblings: RecordingSiblings) -> None:
        self._session = session
        self._url = f"http://{HOST}:{siblings.port}"

    async def __call__(self, method: str, path: str, body: Json = None, **headers: str) -> tuple[int, Json]:
        async with self._session.request(method, self._url + path, json=body, headers=headers) as answer:
            return answer.status, await answer.json()


@pytest.fixture
async def call(siblings: RecordingSiblings) -> AsyncIterator[Caller]:
    async with aiohttp.ClientSession() as session:
        yield Caller(session, siblings)


def created(branch: str = "master", type_: str = "conta") -> Json:
    return {"saldo": 1, "_metadata": {"type": type_, "branch": branch, "changeTrack": "create"}}


async def status_of(call: Caller, instance: str) -> str:
    [shown] = (await call("GET", f"/core/processInstance?filter=byId&id={instance}"))[1]
    return shown["status"]


async def set_status(call: Caller, instance: str, status: str) -> int:
    change = {"_metadata": {"type": "processInstance", "changeTrack": "update"}, "id": instance, "status": status}
    return (await call("POST", "/core/persist", [change]))[0]


async def test_rows_are_created_anew_at_each_persist(call: Caller, siblings: RecordingSiblings) -> None:
    siblings.entities["i1"] = [created(), {"_metadata": {"type": "conta", "changeTrack": "update"}}]
    await call("POST", "/instance/i1/persist")
    assert (siblings.created["i1"], siblings.doubled) == (1, [])
    await call("POST", "/instance/i1/persist")
    assert (siblings.created["i1"], siblings.doubled) == (2, ["i1"])


async def test_the_rows_of_an_instance_are_seen_through_a_map_once_it_is_usable(
    call: Caller, siblings: RecordingSiblings
) -> None:
    siblings.entities["i1"] = [created(), created("b1"), created(type_="taxa")]
    siblings.map_usable_after = 0.1
    await call("POST", "/instance/i1/persist")
    asked = "/maestro/conta?filter=byInstance&instance=i1"
    assert (await call("GET", asked))[0] == 400
    assert (await call("POST", "/core/persist", MAP))[0] == 200
    assert (await call("GET", asked))[0] == 400

    async def usable() -> bool:
        return (await call("GET", asked))[0] == 200

    await eventually(usable, "the map is usable", 5)
    [row] = (await call("GET", asked))[1]
    assert row["_metadata"] == {"type": "conta", "branch": "master", "instance_id": "i1"}
    assert len((await call("GET", asked, Branch="all"))[1]) == 2
    assert (await call("GET", "/maestro/conta?filter=byInstance&instance=i2"))[1] == []


async def test_finished_comes_late_or_never(call: Caller, siblings: RecordingSiblings) -> None:
    siblings.finished_after = lambda instance: {"late": 0.1, "lost": None}.get(instance, 0.0)
    for instance in ("i1", "late", "lost"):
        await call("POST", f"/instance/{instance}/persist")
    shown = [await status_of(call, instance) for instance in ("i1", "late", "lost")]
    assert shown == ["finished", "running", "running"]

    async def finished() -> bool:
        return await status_of(call, "late") == "finished"

    await eventually(finished, "the late one is finished", 5)
    assert await status_of(call, "lost") == "running"
    assert await set_status(call, "lost", "finished") == 200
    assert await status_of(call, "lost") == "finished"


async def test_a_status_text_after_finished_takes_its_place(call: Caller) -> None:
    await call("POST", "/instance/i1/persist")
    assert await status_of(call, "i1") == "finished"
    await set_status(call, "i1", "reprocessing_pending_approval")
    assert await status_of(call, "i1") == "reprocessing_pending_approval"


async def test_instances_whose_status_cannot_be_set(call: Caller, siblings: RecordingSiblings) -> None:
    siblings.unknown.add("nobody")
    siblings.unchangeable.add("stuck")
    assert [await set_status(call, instance, "finished") for instance in ("nobody", "stuck")] == [400, 400]
    assert await call("GET", "/core/processInstance?filter=byId&id=nobody") == (200, [])
    assert await status_of(call, "stuck") == "running"


async def test_documents_are_inserted_every_time_and_replaced_only_where_there_is_one(
    call: Caller, siblings: RecordingSiblings
) -> None:
    assert (await call("PUT", "/reprocessing?id=d1", {"id": "d1"}))[1]["result"]["n"] == 0
    for _ in range(2):
        await call("POST", "/reprocessing", {"id": "d1"})
    assert siblings.inserted["d1"] == 2
    assert (await call("PUT", "/reprocessing?id=d1", {"id": "d1"}))[1]["result"]["n"] == 1


async def test_a_computation_is_remembered(call: Caller, siblings: RecordingSiblings) -> None:
    siblings.read["i1"], siblings.heads["i1"] = {"dataset": {"entities": {}}}, {"dataset": {"entities": {"conta": []}}}
    assert await call("GET", "/i1/head") == (200, siblings.heads["i1"])
    event, *datasets = (await call("GET", "/i1/history"))[1]
    assert event["instanceId"] == "i1"
    assert datasets == [siblings.read["i1"], siblings.heads["i1"]]
    assert await call("GET", "/nobody/head") == (200, {})  # it computed without a dataset


async def test_the_event_manager_refuses_and_forgets(call: Caller, siblings: RecordingSiblings) -> None:
    siblings.refused = {"a": "event a has no subscribers", "sysA": "platform is locked to sysA"}
    siblings.event_manager = 2018
    assert await call("PUT", "/sendevent", {"name": "a"}) == (
        400, {"status": "400", "message": "event a has no subscribers"},
    )  # fmt: skip
    assert (await call("PUT", "/sendevent", {"name": "b", "systemId": "sysA"}))[0] == 400
    replay = {"name": "b", "systemId": "sysA", "scope": "reprocessing", "reprocessing": {"id": "r", "send": "s"}}
    assert (await call("PUT", "/sendevent", replay))[0] == 200
    assert siblings.events == [{**replay, "reprocessing": {"id": "r"}}]


async def test_operations_by_the_event_that_starts_them(call: Caller, siblings: RecordingSiblings) -> None:
    siblings.operations["a.done"] = [{"name": "second"}]
    for event, found in (("a.done", [{"name": "second"}]), ("b.done", [])):
        asked = f"/core/operation?filter=byEventAndVersion&event={event}&version=1"
        assert await call("GET", asked) == (200, found)


async def test_a_caller_that_goes_away_does_not_stop_a_commit(call: Caller, siblings: RecordingSiblings) -> None:
    siblings.slow["commit"] = 0.3
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(call("POST", "/instance/i1/persist"), 0.1)
    assert siblings.commits == []
    await siblings.wait_for(lambda: siblings.commits == ["i1"], 5)
