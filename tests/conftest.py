"""Fixtures shared by all tests."""

import gc
import itertools
import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import structlog
from pydantic import SecretStr

from maestro.settings.servers import BrokerSettings
from tests.support.brokers import Place
from tests.support.lacking import lacking
from tests.support.postgres import PostgresNode, find_programs
from tests.support.rabbitmq import RabbitMQNode, find_server

_vhosts = itertools.count(1)

# A shell lets what it starts in the background ignore Ctrl-C, and processes of the tests would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


# Whoever runs them, they read English, but those that are about languages.
os.environ["MAESTRO_LANGUAGE"] = "en"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of the tests of faults."""
    group = parser.getgroup("faults")
    group.addoption("--faults", action="store_true", help="run all tests of faults, not only the quick ones")
    group.addoption("--fuzz-seconds", type=float, default=0.0, help="how long each fuzz target goes on")
    group.addoption("--faults-seed", type=int, default=1, help="what the tests of faults draw their dice from")


def pytest_collection_finish() -> None:
    """Spare the collector the thousands of tests: those of the rules, say, take some 7 % less CPU."""
    gc.freeze()


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """What a test sets up for logging, a command line run within it say, does not outlast it."""
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def rabbitmq_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMQNode]:
    """A private RabbitMQ node, shared by the whole run; a test that kills it must start it again."""
    if find_server() is None:
        lacking("rabbitmq-server")
    node = RabbitMQNode(tmp_path_factory.mktemp("rabbitmq"))
    try:
        node.start()
        yield node
    finally:
        node.close()


@pytest.fixture(scope="session")
def postgres_node() -> Iterator[PostgresNode]:
    """A private PostgreSQL, shared by the whole run; a test that stops it must start it again."""
    if find_programs() is None:
        lacking("PostgreSQL")
    node = PostgresNode()
    try:
        node.start()
        yield node
    finally:
        node.close()


@pytest.fixture
def database(postgres_node: PostgresNode) -> Iterator[str]:
    """The name of an empty database of this test's own."""
    name = postgres_node.create_database()
    yield name
    postgres_node.drop_database(name)


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


@pytest.fixture
async def embedded_place(tmp_path: Path) -> AsyncIterator[Place]:
    """An empty folder for embedded brokers."""
    folder = tmp_path / "broker"

    def break_up() -> None:
        for member in (folder / "members").iterdir():
            member.unlink()

    place = Place(BrokerSettings(embedded_dir=str(folder)), tmp_path, break_up)
    yield place
    await place.close()


@pytest.fixture
async def rabbitmq_place(rabbitmq_node: RabbitMQNode, vhost_url: str, tmp_path: Path) -> AsyncIterator[Place]:
    """An empty vhost on the private node."""
    settings = BrokerSettings(kind="rabbitmq", url=SecretStr(vhost_url))
    place = Place(settings, tmp_path, rabbitmq_node.close_connections)
    yield place
    await place.close()


@pytest.fixture(params=["embedded", pytest.param("rabbitmq", marks=pytest.mark.rabbitmq)])
def place(request: pytest.FixtureRequest) -> Place:
    """Either of them: what is tested here must hold for both brokers."""
    found: Place = request.getfixturevalue(f"{request.param}_place")
    return found
