"""Flow 1: a persist event arrives, is committed, held or waits; and the drain, in order."""

import orjson
import pytest
import pytest_asyncio

from tests.support.stage import Stage, event, eventually, unit
from tests.support.tenant import Tenant, new_tenant

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module")
async def tenant(on_both: Stage) -> Tenant:
    return await new_tenant(on_both)


async def test_events_wait_behind_a_pending_one_and_drain_in_order(tenant: Tenant) -> None:
    tenant.impacts("held", unit("p1"))
    await tenant.publish_all("a", "held", *(f"w{number}" for number in range(12)))
    pending = await tenant.pending()
    waiting = await tenant.waits(12)
    assert [tenant.short(one["instanceId"]) for one in waiting["events"]] == [f"w{number}" for number in range(12)]
    await tenant.depth_is(tenant.queues.wait, 12)
    assert tenant.calls("impacted") == ["a", "held"], "what waits is not judged"
    await tenant.it.decide(pending, "approve")
    await tenant.commits_are("a", "held", "re1", *(f"w{number}" for number in range(12)))
    await tenant.open_again()
    await tenant.depth_is(tenant.queues.wait, 0)
    assert tenant.calls("impacted") == ["a", "held", "held", "re1", *(f"w{number}" for number in range(12))]


async def test_the_drain_stops_at_the_next_pending_one(tenant: Tenant) -> None:
    tenant.impacts("h1", unit("p1"))
    tenant.impacts("h2", unit("p2"))
    await tenant.publish_all("h1", "a", "b", "h2", "c", "d")
    first = await tenant.pending()
    await tenant.waits(5)
    await tenant.it.decide(first, "skip")
    await tenant.commits_are("a", "b")

    async def second_one() -> str:
        documents = await tenant.it.get(f"/v1.0.0/reprocessing/{tenant.system}/pending")
        return documents[0]["id"] if documents else ""

    await eventually(second_one, "the second one is pending")
    waiting = await tenant.waits(2)
    assert [tenant.short(one["instanceId"]) for one in waiting["events"]] == ["c", "d"]
    await tenant.publish("late")
    await tenant.waits(3)
    assert tenant.commits == ["a", "b"]
    second = await tenant.pending()
    assert second["pendingEvent"]["instanceId"] == tenant.id("h2")
    await tenant.it.decide(second, "approve")
    await tenant.commits_are("a", "b", "h2", "re1", "c", "d", "late")
    await tenant.open_again()
    await tenant.depth_is(tenant.queues.wait, 0)


async def test_waiting_events_come_in_pages(tenant: Tenant) -> None:
    tenant.impacts("held", unit("p1"))
    await tenant.publish_all("held", *(f"w{number}" for number in range(6)))
    await tenant.publish("w6", processId="monthly.average", payload={"currency": "EUR", "month": "2024-01"})
    await tenant.waits(7)
    path, seen, after = f"/v1.0.0/systems/{tenant.system}/waiting", [], 0
    while after is not None:
        page = await tenant.it.get(f"{path}?after={after}&limit=3")
        assert page["total"] == 7
        seen += [tenant.short(one["instanceId"]) for one in page["events"]]
        after = page["next"]
    assert seen == [f"w{number}" for number in range(7)]
    assert (page["events"][0]["process"], page["events"][0]["about"]) == ("monthly.average", "EUR · 2024-01")
    assert (await tenant.it.get(f"{path}?limit=0", ok=False))["_status"] == 400


async def test_units_on_the_trunk_are_no_concern_of_an_event_on_a_branch(tenant: Tenant) -> None:
    tenant.impacts("scenario", unit("p1"), unit("p2"))
    tenant.impacts("mixed", unit("p1"), unit("p2", "b1"), unit("mixed", "b1"), unit("p2", "b1"))
    await tenant.publish("scenario", branch="b1")
    await tenant.commits_are("scenario")
    await tenant.publish("mixed", branch="b1")
    pending = await tenant.pending()
    assert [(tenant.short(one["instanceId"]), one["branch"]) for one in pending["events"]] == [("p2", "b1")]
    assert pending["branch"] == "b1"


async def test_an_event_that_impacts_only_itself_is_committed(tenant: Tenant) -> None:
    tenant.impacts("selfish", unit("selfish"))
    await tenant.publish("selfish")
    await tenant.commits_are("selfish")


async def test_units_are_ordered_forking_first_then_by_time_then_as_found(tenant: Tenant) -> None:
    times = {
        "late": "2018-07-20T15:08:41.9",
        "early": "2018-07-20T15:08:41.100000001",
        "never": "yesterday",
        "tie1": "2018-07-20T15:08:41.5",
        "tie2": "2018-07-20T15:08:41.500",
        "fork": "2019-01-01T00:00:00",
    }
    for short, time in times.items():
        tenant.siblings.origins[tenant.id(short)] = event(tenant.id(short), tenant.system, timestamp=time)
    tenant.impacts(
        "i", unit("never"), unit("late"), unit("tie1"), unit("tie2"), unit("early"), unit("fork", forking=True)
    )
    await tenant.publish("i")
    pending = await tenant.pending()
    ordered = [tenant.short(one["instanceId"]) for one in pending["events"]]
    assert ordered == ["fork", "early", "tie1", "tie2", "late", "never"]


async def test_the_same_message_again_is_committed_once(tenant: Tenant) -> None:
    id_ = await tenant.publish("i")
    await tenant.commits_are("i")
    for _ in range(3):
        await tenant.publish("i", celery_id=id_)
    await tenant.publish("after")
    await tenant.commits_are("i", "after")
    assert tenant.calls("impacted") == ["i", "after"]
    await tenant.depth_is(tenant.queues.persist, 0)


async def test_the_same_message_while_it_waits_waits_once(tenant: Tenant) -> None:
    tenant.impacts("held", unit("p1"))
    held = await tenant.publish("held")
    pending = await tenant.pending()
    id_ = await tenant.publish("w")
    await tenant.waits(1)
    await tenant.publish("w", celery_id=id_)
    await tenant.publish("held", celery_id=held)
    await tenant.publish("last")
    await tenant.waits(2)
    await tenant.it.decide(pending, "skip")
    await tenant.commits_are("w", "last")
    await tenant.open_again()
    await tenant.depth_is(tenant.queues.wait, 0)


async def test_messages_without_an_id_are_deliveries_of_their_own(tenant: Tenant) -> None:
    """Neither is flagged as redelivered, so even equal bytes are another delivery."""
    body = orjson.dumps({"task": "tasks.process", "args": [tenant.event("i")]})
    await tenant.it.publish(body, system=tenant.system)
    await tenant.it.publish(body, system=tenant.system)
    await tenant.publish("last")
    await tenant.commits_are("i", "i", "last")


async def test_what_the_platform_sent_comes_back_unchanged(tenant: Tenant) -> None:
    tenant.impacts("i", unit("p1"))
    strange = {"unknown": [1.10, None, {"ü": "\u0000"}], "big": 12345678901234567890, "payload": {"x": 1e-7}}
    await tenant.publish("i", **strange)
    pending = await tenant.pending()
    assert pending["pendingEvent"] == tenant.event("i", **strange)
    assert await tenant.it.document(pending["id"]) == pending


async def test_an_unknown_instance_has_no_origin_but_is_held_all_the_same(tenant: Tenant) -> None:
    tenant.impacts("i", unit("p1"))
    tenant.siblings.origins[tenant.id("i")] = None
    await tenant.publish("i")
    assert (await tenant.pending())["origin"] is None
