"""Flow 3: what a replay's result impacts is replayed too, once, again, and not for ever."""

import orjson
import pytest
import pytest_asyncio

from maestro.broker.topology import ERROR_HEADER
from tests.support.stage import Stage, eventually, unit
from tests.support.tenant import Tenant, new_tenant

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module")
async def tenant(on_both: Stage) -> Tenant:
    return await new_tenant(on_both)


async def test_a_result_adds_units_before_it_is_committed(tenant: Tenant) -> None:
    tenant.impacts("i", unit("p1"), unit("p2"))
    tenant.impacts("re1", unit("p2"), unit("p3"))
    tenant.impacts("re3", unit("p4"))
    doc = await tenant.approved("i")
    finished = await tenant.ended(doc, "finished")
    await tenant.commits_are("i", "re1", "re2", "re3", "re4")
    assert tenant.replays() == ["p1", "p2", "p3", "p4"]
    assert [one["cause"] for one in finished["units"]] == [-1, -1, 0, 2]
    assert finished["progress"] == {"replayed": 4, "outstanding": 0, "units": 4, "cascaded": 2}
    assert finished["reimpacted"] == []


async def test_an_impacted_branch_of_a_replay_on_a_branch_leaves_the_trunk_alone(tenant: Tenant) -> None:
    tenant.impacts("i", unit("p1", "b1"))
    tenant.impacts("re1", unit("p2"), unit("p3", "b1"), unit("p1", "b1"))
    finished = await tenant.ended(await tenant.approved("i"), "finished")
    assert tenant.replays() == ["p1", "p3"]
    assert finished["reimpacted"] == []


async def test_a_unit_that_is_impacted_again_is_replayed_again_and_then_listed(tenant: Tenant) -> None:
    """p1 and p2 impact each other for ever."""
    tenant.impacts("i", unit("p1"), unit("p2"))
    for number in range(1, 20):
        tenant.impacts(f"re{number}", unit("p2" if number % 2 else "p1"))
    finished = await tenant.ended(await tenant.approved("i"), "finished")
    assert tenant.replays() == ["p1", "p2", "p1", "p2", "p1", "p2"]
    assert finished["reimpacted"] == [{"instanceId": tenant.id("p1"), "branch": "master"}]
    assert [one["round"] for one in finished["units"]] == [3, 3]
    await tenant.commits_are("i", "re1", "re2", "re3", "re4", "re5", "re6")


async def test_only_the_first_result_of_the_unit_in_flight_counts(tenant: Tenant) -> None:
    tenant.it.mute.add(tenant.system)
    tenant.impacts("i", unit("p1"), unit("p2"))
    doc = await tenant.approved("i")
    first = await tenant.sent(1)
    accepted = await tenant.it.answer(first, "first")
    second = await tenant.sent(2)
    late = await tenant.it.answer(first, "late")
    [(body, headers)] = await tenant.errors()
    assert orjson.loads(body)["id"] == late
    assert headers[ERROR_HEADER] == "superseded"
    again = tenant.event("first", scope="reprocessing", reprocessing=first["reprocessing"])
    await tenant.it.publish(again, system=tenant.system, celery_id=accepted)
    await tenant.depth_is(tenant.queues.persist, 0)
    await tenant.it.answer(second, "second")
    await tenant.ended(doc, "finished")
    await tenant.errors(1)
    await tenant.commits_are("i", "first", "second")


async def test_a_result_without_the_name_of_its_send_is_known_by_instance_and_branch(tenant: Tenant) -> None:
    tenant.it.mute.add(tenant.system)
    tenant.impacts("i", unit("p1"))
    doc = await tenant.approved("i")
    sent = await tenant.sent(1)
    bare = {key: sent["reprocessing"][key] for key in ("id", "instance_id", "system_id")}
    await tenant.it.answer(sent, "other", reprocessing=bare, branch="b9")
    await tenant.errors(1)
    await tenant.it.answer(sent, "right", reprocessing=bare)
    await tenant.ended(doc, "finished")
    await tenant.commits_are("i", "right")


async def test_the_queues_mirror_what_is_outstanding(tenant: Tenant) -> None:
    tenant.it.mute.add(tenant.system)
    tenant.impacts("i", unit("p1"), unit("p2"), unit("p3"))
    tenant.impacts("one", unit("p4"))
    doc = await tenant.approved("i")
    sent = await tenant.sent(1)
    await tenant.depth_is(tenant.queues.events, 2)
    await tenant.depth_is(tenant.queues.control, 3)
    await tenant.it.answer(sent, "one")
    await tenant.sent(2)
    await tenant.depth_is(tenant.queues.events, 2)
    await tenant.depth_is(tenant.queues.control, 3)
    queued = [orjson.loads(body)["instanceId"] for body, _ in await tenant.it.queue(tenant.queues.events)]
    assert queued == [tenant.id("p3"), tenant.id("p4")]
    for number in (2, 3, 4):
        await tenant.it.answer(await tenant.sent(number), f"r{number}")
    await tenant.ended(doc, "finished")


async def test_a_message_of_no_outstanding_unit_is_discarded_and_a_missing_one_does_no_harm(tenant: Tenant) -> None:
    tenant.it.mute.add(tenant.system)
    tenant.impacts("i", unit("p1"), unit("p2"), unit("p3"))
    doc = await tenant.approved("i")
    sent = await tenant.sent(1)
    await tenant.depth_is(tenant.queues.events, 2)
    await tenant.it.broker.purge(tenant.queues.events)
    await tenant.it.broker.purge(tenant.queues.control)
    await tenant.it.answer(sent, "r1")
    for number in (2, 3):
        await tenant.it.answer(await tenant.sent(number), f"r{number}")
    await tenant.ended(doc, "finished")
    await tenant.commits_are("i", "r1", "r2", "r3")


async def test_one_replay_at_a_time(tenant: Tenant) -> None:
    tenant.it.mute.add(tenant.system)
    tenant.impacts("i", unit("p1"), unit("p2"))
    doc = await tenant.approved("i")
    sent = await tenant.sent(1)

    async def recorded() -> bool:
        return (await tenant.it.document(doc["id"]))["units"][0]["state"] == "sent"

    await eventually(recorded, "the send is recorded")
    assert tenant.replays() == ["p1"]
    await tenant.it.answer(sent, "r1")
    await tenant.it.answer(await tenant.sent(2), "r2")
    await tenant.ended(doc, "finished")
    relevant = [call for call in tenant.siblings.log if tenant.owns(call) and call.name in ("send", "commit")]
    shown = [tenant.short(call.instance_id) or orjson.loads(call.body).get("scope", "news") for call in relevant]
    assert shown == ["news", "i", "reprocessing", "r1", "reprocessing", "r2", "news"]
