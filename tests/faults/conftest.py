"""All tests here are of faults; without `--faults` only the quick ones run."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from tests.support.rabbitmq import RabbitMQNode

HERE = Path(__file__).parent
_vhosts = itertools.count(1)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    ours = [item for item in items if item.path.is_relative_to(HERE)]
    for item in ours:
        item.add_marker(pytest.mark.faults)
    if config.getoption("--faults"):
        return
    long = [item for item in ours if item.get_closest_marker("quick") is None]
    config.hook.pytest_deselected(items=long)
    items[:] = [item for item in items if item not in long]


@pytest.fixture
def dice(request: pytest.FixtureRequest) -> Random:
    """The test's own dice: the same seed, the same throws."""
    return Random(f"{request.config.getoption('--faults-seed')} {request.node.name}")


@pytest.fixture(scope="module")
def module_url(rabbitmq_node: RabbitMQNode) -> Iterator[str]:
    """The URL of an empty vhost of this module's own."""
    name = f"faults-{next(_vhosts)}"
    yield rabbitmq_node.create_vhost(name)
    rabbitmq_node.delete_vhost(name)
