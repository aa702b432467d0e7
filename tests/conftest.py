"""Fixtures shared by all tests."""

import itertools
import os
from collections.abc import Iterator

import pytest

from tests.support.rabbitmq import RabbitMQNode, find_server

_vhosts = itertools.count(1)


@pytest.fixture(scope="session")
def rabbitmq_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMQNode]:
    """A private RabbitMQ node, shared by the whole run; a test that kills it must start it again."""
    if find_server() is None:
        if os.environ.get("CI"):
            pytest.fail("rabbitmq-server is not installed, and in CI it must be")
        pytest.skip("rabbitmq-server is not installed")
    node = RabbitMQNode(tmp_path_factory.mktemp("rabbitmq"))
    try:
        node.start()
        yield node
    finally:
        node.close()


@pytest.fixture
def vhost(rabbitmq_node: RabbitMQNode) -> Iterator[str]:
    """The name of an empty vhost of this test's own."""
    name = f"test-{next(_vhosts)}"
    rabbitmq_node.create_vhost(name)
    yield name
    rabbitmq_node.delete_vhost(name)


@pytest.fixture
def vhost_url(rabbitmq_node: RabbitMQNode, vhost: str) -> str:
    """The AMQP URL of that vhost."""
    return rabbitmq_node.url(vhost)
