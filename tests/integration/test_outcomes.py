"""Outcomes on a real broker: a run goes on by them, and goes on without them."""

from typing import Any

import orjson
import pika
import pytest

from maestro.broker.base import Message
from maestro.broker.topology import EVENTS_PUBLISH, OUTCOMES
from tests.support.stage import Stage, eventually, unit
from tests.support.tenant import Tenant

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.rabbitmq]


@pytest.fixture(scope="module")
def environ() -> dict[str, str]:
    return {"MAESTRO_REPROCESSING__REPLAY_TIMEOUT": "60"}


async def publish(it: Stage, key: str, event: dict[str, Any] | bytes) -> None:
    body = event if isinstance(event, bytes) else orjson.dumps({"task": "tasks.process", "id": "o", "args": [event]})
    await it.broker.publish(EVENTS_PUBLISH, key, Message(body, "outcome"))


async def heard(it: Stage) -> None:
    """Wait until outcomes are heard and all that were published are settled."""

    async def none_left() -> bool:
        depth = await it.broker.depth(OUTCOMES)
        return depth is not None and depth.ready == 0 and depth.consumers == 1

    await eventually(none_left, "outcomes are consumed")


@pytest.fixture(scope="module")
def exchange(it: Stage) -> None:
    """The Event Manager's exchange is made after Maestro looked for it first."""
    with pika.BlockingConnection(pika.URLParameters(it._broker_url)) as connection:
        connection.channel().exchange_declare(EVENTS_PUBLISH, "topic", durable=True)


async def started(tenant: Tenant) -> Any:
    tenant.it.mute.add(tenant.system)
    tenant.impacts("i", unit("p1"), unit("p2"))
    return await tenant.approved("i")


def outcome(tenant: Tenant, sent: dict[str, Any], name: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, "systemId": tenant.system, "scope": "reprocessing", "branch": sent["branch"], "version": "1",
            "reprocessing": sent["reprocessing"], **fields}  # fmt: skip


async def test_replays_that_commit_nothing_end_by_their_outcomes(exchange: None, tenant: Tenant) -> None:
    it = tenant.it
    await heard(it)
    doc = await started(tenant)
    for number in (1, 2):
        sent = await tenant.sent(number)
        for useless in (b"", b"{}", b'{"args": []}', b"\xff"):
            await publish(it, "store.executor.finished", useless)
        await publish(it, "store.finished", outcome(tenant, sent, "x.done", payload={"instanceId": f"r{number}"}))
    await tenant.ended(doc, "finished")
    assert tenant.commits == ["i"]
    await heard(it)


async def test_a_replay_that_failed_ends_the_run_by_its_outcome(exchange: None, tenant: Tenant) -> None:
    doc = await started(tenant)
    sent = await tenant.sent(1)
    failed = outcome(tenant, sent, "x.exception", instanceId="r1", payload={"message": "division by zero"})
    await publish(tenant.it, "store.executor.exception", failed)
    found = await tenant.ended(doc, "failure")
    assert "division by zero" in found["history"][-1]["cause"]
