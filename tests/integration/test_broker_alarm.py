"""RabbitMQ runs short of memory: who asks Maestro how it is hears of it, and what had to wait goes on afterwards."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.cli import maestro
from tests.support.rabbitmq import RabbitMQNode
from tests.support.stage import SYSTEM, Stage, event, eventually, stage, unit

pytestmark = [pytest.mark.rabbitmq, pytest.mark.timeout(240)]


@contextmanager
def alarmed(node: RabbitMQNode) -> Iterator[None]:
    """Have the node take no publishes."""
    before = node.eval("vm_memory_monitor:get_vm_memory_high_watermark()")
    node.eval("vm_memory_monitor:set_vm_memory_high_watermark({absolute, 1})")
    try:
        yield
    finally:
        node.eval(f"vm_memory_monitor:set_vm_memory_high_watermark({before})")


async def measured(it: Stage, *, blocked: bool) -> bool:
    """Whether the metrics say that the cascade actor is kept from publishing, or is not."""
    found = [line for line in await it.metrics() if line.startswith("maestro_broker_blocked{") and "cascade" in line]
    return [float(line.rpartition(" ")[2]) for line in found] == [blocked]


async def test_an_alarm_is_said_wherever_somebody_asks(
    tmp_path: Path, vhost_url: str, rabbitmq_node: RabbitMQNode
) -> None:
    async with stage(tmp_path, vhost_url) as it:
        it.siblings.impacts["i1"] = [unit("p1")]
        await it.publish(event("i1"))
        doc = await it.pending()
        assert "broker" not in await it.state()
        with alarmed(rabbitmq_node):
            await it.decide(doc, "approve")  # what is to be replayed goes to queues

            async def said() -> bool:
                return "memory" in (await it.get("/readyz", ok=False)).get("problems", {}).get("cascade", "")

            await eventually(said, "/readyz says it")
            assert (await it.get("/readyz", ok=False))["_status"] == 503
            (system,) = await it.get("/v1.0.0/systems")
            for told in (system, await it.state()):
                assert told["id"] == SYSTEM
                assert "takes no publishes" in told["broker"]
                assert "memory" in told["broker"]
            shown = await maestro(it, "systems")
            assert "broker: RabbitMQ takes no publishes" in shown.out
            await eventually(lambda: measured(it, blocked=True), "the metrics say it")
            assert (await it.document(doc["id"]))["status"] != "finished"
        await it.reaches(doc, "finished")

        async def over() -> bool:
            return (await it.get("/readyz", ok=False))["_status"] == 200

        await eventually(over, "/readyz is well again")
        assert "broker" not in await it.state()
        await eventually(lambda: measured(it, blocked=False), "the metrics say so")
