"""RabbitMQ behind TLS: the broker's certificate is checked."""

import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme
from pydantic import SecretStr

from maestro.broker import open_broker, topology
from maestro.broker.base import Message
from maestro.broker.topology import SystemQueues
from maestro.settings.servers import BrokerSettings
from tests.support.brokers import Collector, Place, eventually
from tests.support.rabbitmq import RabbitMQNode
from tests.support.tcp_proxy import TcpProxy

pytestmark = pytest.mark.rabbitmq
QUEUES = SystemQueues("sysA")


@pytest.fixture
async def behind_tls(
    authority: trustme.CA, rabbitmq_place: Place, rabbitmq_node: RabbitMQNode
) -> AsyncIterator[BrokerSettings]:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    url = rabbitmq_place.settings.url.get_secret_value()
    async with TcpProxy(rabbitmq_node.port, tls) as proxy:
        secure = url.replace("amqp://", "amqps://").replace(f":{rabbitmq_node.port}", f":{proxy.port}")
        yield BrokerSettings(url=SecretStr(secure))


async def test_it_speaks_tls(
    authority: trustme.CA, behind_tls: BrokerSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    broker = open_broker(behind_tls, tmp_path)
    try:
        await broker.start()
        await eventually(lambda: broker.connected, f"connected, not: {broker.problem}")
        await broker.declare(QUEUES.bindings(), topology.EXCHANGES)
        collector = Collector(broker)
        await broker.consume(QUEUES.persist, 256, collector.on_delivery, collector.on_lost)
        body = b'"' + b"x" * 300_000 + b'"'
        await broker.publish(topology.PERSIST, "sysA", Message(body, "m1"))
        await collector.until(1)
        assert collector.seen[0].body == body
    finally:
        await broker.close()


async def test_a_certificate_that_nobody_vouches_for_is_a_problem_in_words(
    behind_tls: BrokerSettings, tmp_path: Path
) -> None:
    broker = open_broker(behind_tls, tmp_path)
    try:
        await broker.start()
        await eventually(lambda: "certificate" in broker.problem.lower(), "a problem in words")
        assert not broker.connected
    finally:
        await broker.close()
