"""Bad input goes to its error queue, unchanged, with the reason; nothing else happens, and nobody waits for it."""

import orjson
import pytest
import pytest_asyncio

from maestro.broker.base import Binding, Message
from maestro.broker.topology import ERROR_HEADER, PERSIST, PUBLISH_ERROR, PUBLISH_ERROR_KEY
from maestro.events import celery_body
from tests.support.stage import Stage, unit
from tests.support.tenant import Tenant, new_tenant

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.rabbitmq]
MISSING: object = object()


@pytest_asyncio.fixture(loop_scope="module")
async def tenant(it: Stage) -> Tenant:
    return await new_tenant(it)


async def refused(tenant: Tenant, body: bytes, reason: str, queue: str = "") -> None:
    """Publish a bad body between two good ones, and check what becomes of all three."""
    queue = queue or tenant.queues.persist_error
    await tenant.publish("before")
    await tenant.it.publish(body, system=tenant.system)
    await tenant.publish("after")
    await tenant.commits_are("before", "after")
    await tenant.depth_is(queue, 1)
    [(found, headers)] = await tenant.it.queue(queue)
    assert found == body
    assert reason in headers[ERROR_HEADER]
    assert tenant.calls("impacted") == ["before", "after"]
    await tenant.depth_is(tenant.queues.persist, 0)
    state = await tenant.state()
    assert state["counters"]["error"] == 1
    assert state["state"] == "open"
    assert len(error_lines(tenant)) == 1


def error_lines(tenant: Tenant) -> list[str]:
    lines = tenant.it.log.read_text().splitlines()
    return [line for line in lines if f'"system": "{tenant.system}"' in line and '"level": "error"' in line]


BAD_EVENTS = [
    ({"instanceId": MISSING}, "instanceId"),
    ({"instanceId": ""}, "instanceId"),
    ({"instanceId": 7}, "instanceId"),
    ({"instanceId": None}, "instanceId"),
    ({"instanceId": "x" * 1001}, "instanceId: is longer than 1000 characters"),
    ({"tag": "x" * 1_000_000}, "tag: is longer than 1000 characters"),
    ({"systemId": MISSING}, "systemId"),
    ({"systemId": "another"}, "systemId"),
    ({"systemId": "a.b"}, "systemId"),
    ({"systemId": "x" * 129}, "systemId"),
    ({"systemId": "wait_x"}, "systemId"),
    ({"systemId": "error_x"}, "systemId"),
    ({"systemId": "control_x"}, "systemId"),
    ({"systemId": "backup_x"}, "systemId"),
    ({"scope": "reproduction"}, "scope"),
    ({"scope": 1}, "scope"),
    ({"scope": "reprocessing"}, "reprocessing"),
    ({"scope": "reprocessing", "reprocessing": {"instance_id": "p1"}}, "reprocessing.id"),
    ({"scope": "reprocessing", "reprocessing": {"id": "gone", "instance_id": "p1"}}, "not running"),
    ({"branch": 3}, "branch"),
]


@pytest.mark.parametrize(("fields", "reason"), BAD_EVENTS)
async def test_an_event_that_breaks_its_contract(tenant: Tenant, fields: dict[str, object], reason: str) -> None:
    event = {key: value for key, value in (tenant.event("bad") | fields).items() if value is not MISSING}
    await refused(tenant, celery_body("bad-1", orjson.dumps(event)), reason)


@pytest.mark.parametrize(
    "body",
    [b"", b"no json", b"\xff\xfe", b"[]", b"{}", b'{"args": []}', b'{"args": [1]}', b'{"args": {}}',
     b'{"args": [{}, {}]}',
     b'{"args": null}', b"[" * 5000, b'{"id": 5, "args": [{}]}'],
)  # fmt: skip
async def test_a_body_without_an_event_goes_to_the_systems_queue_when_the_platform_has_none(
    tenant: Tenant, body: bytes
) -> None:
    await refused(tenant, body, "")


async def test_a_body_without_an_event_goes_to_the_platforms_own_queue(tenant: Tenant) -> None:
    queue = "events.publish_error.queue"
    await tenant.it.broker.declare((Binding(PUBLISH_ERROR, PUBLISH_ERROR_KEY, queue),))
    await refused(tenant, b"no json at all", "body", queue)
    await tenant.depth_is(tenant.queues.persist_error, 0)
    await tenant.it.publish(celery_body("x", orjson.dumps(tenant.event("x", scope="none"))), system=tenant.system)
    await tenant.depth_is(tenant.queues.persist_error, 1)
    await tenant.it.broker.purge(queue)


async def test_bad_input_neither_waits_nor_blocks_while_one_is_pending(tenant: Tenant) -> None:
    tenant.impacts("held", unit("p1"))
    await tenant.publish("held")
    await tenant.pending()
    await tenant.it.publish(celery_body("x", orjson.dumps(tenant.event("x", scope="none"))), system=tenant.system)
    await tenant.errors(1)
    assert (await tenant.state())["waiting"] == 0


@pytest.mark.parametrize("keep_header", [True, False])
async def test_a_redrive_is_judged_anew(tenant: Tenant, *, keep_header: bool) -> None:
    await tenant.publish("before")
    await tenant.commits_are("before")
    tenant.fail("discovery", "impacted", 99, 503, "i")  # about others it answers: the fault is the event's
    await tenant.publish("i", celery_id=f"redriven-{tenant.system}")
    [(body, headers)] = await tenant.errors(1)
    assert "discovery" in headers[ERROR_HEADER]
    await tenant.it.broker.purge(tenant.queues.persist_error)
    tenant.siblings.heal()
    message = Message(body, "redrive", headers if keep_header else {})
    await tenant.it.broker.publish(PERSIST, tenant.system, message)
    await tenant.commits_are("before", "i")
    await tenant.it.broker.publish(PERSIST, tenant.system, message)
    await tenant.publish("last")
    await tenant.commits_are("before", "i", "last")
    await tenant.depth_is(tenant.queues.persist_error, 0)


async def test_bad_input_on_the_wait_queue_leaves_it_by_the_error_queue(tenant: Tenant) -> None:
    stray = celery_body("stray", orjson.dumps(tenant.event("stray", scope="none")))
    await tenant.it.broker.publish(PERSIST, tenant.queues.wait_key, Message(stray, "stray"))
    tenant.impacts("held", unit("p1"))
    await tenant.publish("held")
    doc = await tenant.pending()
    await tenant.publish("w")
    await tenant.waits(1)
    await tenant.it.decide(doc, "skip")
    await tenant.commits_are("w")
    await tenant.errors(1)
    await tenant.depth_is(tenant.queues.wait, 0)


async def test_an_event_somebody_put_on_the_wait_queue_is_judged(tenant: Tenant) -> None:
    tenant.impacts("held", unit("p1"))
    await tenant.publish("held")
    doc = await tenant.pending()
    body = celery_body("by-hand", orjson.dumps(tenant.event("by-hand")))
    await tenant.it.broker.publish(PERSIST, tenant.queues.wait_key, Message(body, "by-hand"))
    await tenant.publish("w")
    await tenant.waits(1)
    await tenant.it.decide(doc, "skip")
    await tenant.siblings.wait_for(lambda: sorted(tenant.commits) == ["by-hand", "w"], 10)
    await tenant.depth_is(tenant.queues.wait, 0)
