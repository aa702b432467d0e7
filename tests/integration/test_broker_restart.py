"""RabbitMQ goes away in the middle of work, and comes back: nothing is lost, and no recorded commit repeated."""

import asyncio

import pytest

from tests.support.rabbitmq import RabbitMQNode
from tests.support.stage import Stage, eventually, unit
from tests.support.tenant import JSON, Tenant, new_tenant

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.rabbitmq]


@pytest.fixture(scope="module")
def environ() -> dict[str, str]:
    return {"MAESTRO_BROKER__RECONNECT_MAX": "0.5"}


async def without_queues(tenant: Tenant) -> JSON | None:
    state = await tenant.state()
    return state if state["queues"] is None else None


@pytest.mark.parametrize("how", ["stop", "kill"])
async def test_the_broker_is_restarted_in_the_middle_of_work(it: Stage, rabbitmq_node: RabbitMQNode, how: str) -> None:
    flying, held, busy, stuck = await asyncio.gather(*(new_tenant(it) for _ in range(4)))
    it.mute.add(flying.system)
    flying.impacts("i", unit("p1"), unit("p2"))
    flying.impacts("r1", unit("p3"))
    doc = await flying.approved("i")
    sent = await flying.sent(1)
    held.impacts("i", unit("p1"))
    await held.publish_all("i", "w1", "w2")
    pending = await held.pending()
    await held.waits(2)
    stuck.impacts("i", unit("p1"))
    await stuck.publish("i")
    approving = await stuck.pending()
    busy.fail("discovery", "impacted", 999, 503, "b5")
    await busy.publish_all(*(f"b{number}" for number in range(30)))
    await asyncio.to_thread(getattr(rabbitmq_node, how))
    try:
        assert (await flying.proceed())["_status"] == 403, "the lock does not need the broker"
        assert (await held.proceed())["_status"] == 200
        described = await eventually(lambda: without_queues(held), "the queues are said to be out of reach")
        assert described["waiting"] == 2
        approved = await it.decide(approving, "approve")
        assert approved["status"] in ("approved", "running")
    finally:
        await asyncio.to_thread(rabbitmq_node.start)
    await it.answer(sent, "r1")
    for number in (2, 3):
        await it.answer(await flying.sent(number), f"r{number}")
    await flying.ended(doc, "finished")
    assert flying.commits == ["i", "r1", "r2", "r3"]
    await stuck.ended(approving, "finished")
    assert stuck.commits == ["i", "re1"]
    await held.publish("w3")
    await held.waits(3)
    await it.decide(pending, "approve")
    await held.commits_are("i", "re1", "w1", "w2", "w3")
    await busy.siblings.wait_for(lambda: "b29" in busy.commits, 30)
    assert busy.commits == [f"b{number}" for number in range(30) if number != 5]
    await busy.errors(1)
    for tenant in (flying, held, busy, stuck):
        await tenant.open_again()
        for queue in (tenant.queues.persist, tenant.queues.wait, tenant.queues.events, tenant.queues.control):
            await tenant.depth_is(queue, 0)
