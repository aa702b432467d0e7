"""A system's queue, a quorum queue, goes from one node of a cluster to another: nothing passes what the former one had.

On a real RabbitMQ: what it says of such a queue's consumers is not always so.
"""

import asyncio
from collections.abc import AsyncIterator

import pytest
from pydantic import SecretStr

from maestro.broker import topology
from maestro.broker.base import Depth, Message
from maestro.broker.rabbitmq import RabbitMQBroker
from maestro.broker.topology import SystemQueues
from maestro.ingress.consumer import SystemConsumer
from maestro.messages.ingress import Ack, Arrived
from maestro.settings.model import BrokerSettings
from maestro.telemetry.definitions import OF_INGRESS
from maestro.telemetry.metrics import MetricsRegistry
from tests.support.brokers import Collector, eventually
from tests.support.rabbitmq import RabbitMQNode

pytestmark = pytest.mark.rabbitmq
QUEUES = SystemQueues("sysA")
#: Messages that the former consumer has in hand, all that it may have.
IN_HAND = 3


class Acking:
    """A system's actor that remembers what it was handed, and acknowledges it."""

    def __init__(self) -> None:
        self.line: SystemConsumer | None = None
        self.got: list[bytes] = []

    def post(self, item: object, **_: object) -> None:
        if isinstance(item, Arrived):
            self.got.append(bytes(item.body))
            assert self.line is not None
            self.line.receive(Ack(item.ref))


@pytest.fixture
async def quorum_url(rabbitmq_node: RabbitMQNode) -> AsyncIterator[str]:
    yield rabbitmq_node.create_vhost("moves", '#{default_queue_type => <<"quorum">>}')
    rabbitmq_node.delete_vhost("moves")


def queue_of(node: RabbitMQNode, what: str) -> str:
    """Evaluate something on the queue's only member, `Id`."""
    return node.eval(
        f'begin {{ok, Q}} = rabbit_amqqueue:lookup(rabbit_misc:r(<<"moves">>, queue, <<"{QUEUES.persist}">>)), '
        f"Id = amqqueue:get_pid(Q), {what} end"
    )


async def test_a_queue_without_a_leader_is_not_taken_for_one_that_nobody_consumes(
    rabbitmq_node: RabbitMQNode, quorum_url: str
) -> None:
    settings = BrokerSettings(kind="rabbitmq", url=SecretStr(quorum_url), operation_timeout=2.0, reconnect_max=0.5)
    former, successor = RabbitMQBroker(settings), RabbitMQBroker(settings)
    actor = Acking()
    line = SystemConsumer(
        "sysA", successor, 256, MetricsRegistry(OF_INGRESS), turns=asyncio.Semaphore(1), former_within=60.0
    )
    actor.line = line
    line.attach(actor)  # type: ignore[arg-type]
    try:
        await former.start()
        await successor.start()
        await former.declare(QUEUES.persist_bindings()[:1], topology.EXCHANGES)
        in_hand = Collector(former, acking=False)
        await former.consume(QUEUES.persist, IN_HAND, in_hand.on_delivery, in_hand.on_lost, ordered=True)
        for number in range(2 * IN_HAND):
            await former.publish(topology.PERSIST, "sysA", Message(b"%d" % number, f"m{number}"))
        await in_hand.until(IN_HAND)

        queue_of(rabbitmq_node, "ra:stop_server(quorum_queues, Id)")
        assert await successor.depth(QUEUES.persist) == Depth(0, 0)  # it has six messages, and a consumer
        line.open()
        await asyncio.sleep(0.5)
        queue_of(rabbitmq_node, "ra:restart_server(quorum_queues, Id)")
        await eventually(lambda: line.consuming, "consumed")
        await asyncio.sleep(1.0)
        assert actor.got == []
        await former.close()
        await eventually(lambda: len(actor.got) == 2 * IN_HAND, "handed over")
    finally:
        await line.close()
        await former.close()
        await successor.close()
    assert actor.got == [b"%d" % number for number in range(2 * IN_HAND)]
