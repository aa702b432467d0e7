"""Stages that the tests of one module share, each test with a system of its own."""

import itertools
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from tests.support.rabbitmq import RabbitMQNode
from tests.support.stage import Stage, stage
from tests.support.tenant import Tenant, new_tenant

_vhosts = itertools.count(1)


@pytest.fixture(scope="module")
def module_url(rabbitmq_node: RabbitMQNode) -> Iterator[str]:
    """The URL of an empty vhost of this module's own."""
    name = f"module-{next(_vhosts)}"
    yield rabbitmq_node.create_vhost(name)
    rabbitmq_node.delete_vhost(name)


@pytest.fixture(scope="module")
def environ() -> dict[str, str]:
    """What a module adds to the environment of its shared Maestro; override it there."""
    return {}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def it(
    module_url: str, environ: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stage]:
    """The module's stage, on RabbitMQ."""
    async with stage(tmp_path_factory.mktemp("stage"), module_url, **environ) as shared:
        yield shared


@pytest_asyncio.fixture(loop_scope="module")
async def tenant(it: Stage) -> Tenant:
    """A system of the test's own on the module's stage."""
    return await new_tenant(it)


@pytest_asyncio.fixture(
    scope="module", loop_scope="module", params=["embedded", pytest.param("rabbitmq", marks=pytest.mark.rabbitmq)]
)
async def on_both(
    request: pytest.FixtureRequest, environ: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stage]:
    """The module's stage, once on each broker."""
    url = request.getfixturevalue("module_url") if request.param == "rabbitmq" else ""
    async with stage(tmp_path_factory.mktemp("stage"), url, **environ) as shared:
        yield shared
