"""Sync persist: flow 1 with an answer."""

import asyncio

import pytest
import pytest_asyncio

from tests.support.stage import Stage, unit
from tests.support.tenant import JSON, Tenant, new_tenant

pytestmark = pytest.mark.asyncio(loop_scope="module")
PATH = "/v1.0.0/persist/sync"


@pytest_asyncio.fixture(loop_scope="module")
async def tenant(on_both: Stage) -> Tenant:
    return await new_tenant(on_both)


async def persist(tenant: Tenant, short: str, **fields: object) -> JSON:
    answer = await tenant.it.post(PATH, tenant.event(short, **fields), ok=False)
    answer.pop("_headers")
    return answer


async def test_committed(tenant: Tenant) -> None:
    assert await persist(tenant, "i") == {"_status": 200, "status": "commited"}
    assert tenant.commits == ["i"]
    assert await persist(tenant, "i") == {"_status": 200, "status": "commited"}
    assert tenant.commits == ["i", "i"], "it heard the first answer: it persists once more"


async def test_held_then_waiting_then_all_of_it_done(tenant: Tenant) -> None:
    tenant.impacts("held", unit("p1"))
    answer = await persist(tenant, "held")
    assert (answer["_status"], answer["status"]) == (200, "reprocessing_request")
    doc = answer["reprocessing"]
    assert doc == await tenant.pending()
    assert await persist(tenant, "w1") == {"_status": 202, "status": "waiting", "position": 1}
    await tenant.publish("w2")
    await tenant.waits(2)
    assert await persist(tenant, "w3") == {"_status": 202, "status": "waiting", "position": 3}
    assert await persist(tenant, "w1") == {"_status": 202, "status": "waiting", "position": 1}
    again = await persist(tenant, "held")
    assert again["reprocessing"]["id"] == doc["id"]
    await tenant.depth_is(tenant.queues.wait, 3)
    await tenant.it.decide(doc, "approve")
    await tenant.commits_are("held", "re1", "w1", "w2", "w3")
    await tenant.open_again()
    await tenant.depth_is(tenant.queues.wait, 0)


async def test_what_waited_by_sync_persist_and_fails_later_is_on_the_error_queue(tenant: Tenant) -> None:
    tenant.impacts("held", unit("p1"))
    doc = (await persist(tenant, "held"))["reprocessing"]
    await persist(tenant, "w")
    tenant.fail("domain", "commit", 3, 422, "w")  # all tries: one answer of no alone is a commit in doubt, made again
    await tenant.it.decide(doc, "skip")
    await tenant.errors(1)
    await tenant.siblings.wait_for(lambda: len(tenant.error_events()) == 1, 10)
    await tenant.depth_is(tenant.queues.wait, 0)


@pytest.mark.parametrize(
    ("service", "call", "how", "times"),
    [("discovery", "impacted", 503, 99), ("discovery", "impacted", "garbage", 99), ("domain", "commit", 422, 3),
     ("domain", "commit", "reset", 3)],
)  # fmt: skip
async def test_a_failure_is_never_commited(tenant: Tenant, service: str, call: str, how: int | str, times: int) -> None:
    await persist(tenant, "before")  # the siblings have answered about this one: the fault below is the event's
    tenant.fail(service, call, times, how, "i")
    answer = await persist(tenant, "i")
    assert answer["_status"] == 502
    assert answer["status"] == "502"
    assert service in answer["message"]
    assert tenant.commits == ["before"]
    tenant.siblings.heal()
    assert await persist(tenant, "i") == {"_status": 200, "status": "commited"}
    assert tenant.commits == ["before", "i"]


@pytest.mark.parametrize(
    ("service", "call", "how", "times"),
    [("discovery", "impacted", 503, 4), ("discovery", "impacted", "garbage", 4), ("domain", "commit", 422, 1),
     ("domain", "commit", "reset", 1), ("apicore", "domain_address", 503, 4)],
)  # fmt: skip
async def test_what_passes_is_answered_once_the_commit_is_made(
    tenant: Tenant, service: str, call: str, how: int | str, times: int
) -> None:
    tenant.fail(service, call, times, how)
    assert await persist(tenant, "i") == {"_status": 200, "status": "commited"}
    assert tenant.commits == ["i"]
    assert sum(tenant.owns(made) for made in tenant.siblings.calls(call)) > times, "it failed, and was tried again"
    await tenant.depth_is(tenant.queues.persist_error, 0)


async def test_bad_input_is_refused_and_changes_nothing(tenant: Tenant) -> None:
    for fields in (
        {"instanceId": ""}, {"instanceId": 5}, {"systemId": ""}, {"systemId": "wait_x"}, {"systemId": "a.b"},
        {"scope": "reproduction"}, {"scope": "reprocessing"},
        {"scope": "reprocessing", "reprocessing": {"id": "x", "instance_id": "y", "system_id": tenant.system}},
    ):  # fmt: skip
        answer = await persist(tenant, "i", **fields)
        assert answer["_status"] == 400, fields
        assert answer["status"] == "400"
    for body in (None, [], "text", 7):
        assert (await tenant.it.post(PATH, body, ok=False))["_status"] == 400
    assert tenant.calls("impacted") == []
    assert (await tenant.state())["counters"]["error"] == 0


async def test_a_new_system_is_served_by_its_first_sync_persist(on_both: Stage) -> None:
    tenant = Tenant(on_both, "fresh")
    tenant.siblings.systems.append("fresh")
    assert await persist(tenant, "i") == {"_status": 200, "status": "commited"}


async def test_calls_and_queue_side_by_side(tenant: Tenant) -> None:
    answers = await asyncio.gather(*(persist(tenant, f"s{number}") for number in range(20)))
    await tenant.publish_all(*(f"q{number}" for number in range(20)))
    assert all(answer == {"_status": 200, "status": "commited"} for answer in answers)
    await tenant.siblings.wait_for(lambda: len(tenant.commits) == 40, 10)
    assert len(set(tenant.commits)) == 40
