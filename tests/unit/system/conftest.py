"""Siblings for a system's service in the test's own process."""

from collections.abc import AsyncIterator

import pytest

from tests.support.siblings import RecordingSiblings
from tests.support.stage import SYSTEM


@pytest.fixture
async def siblings() -> AsyncIterator[RecordingSiblings]:
    async with RecordingSiblings([SYSTEM]) as double:
        yield double
