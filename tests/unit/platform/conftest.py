"""The sibling double and the real clients against it."""

from collections.abc import AsyncIterator

import pytest

from maestro.platform import Platform
from tests.support.siblings import RecordingSiblings


@pytest.fixture
async def siblings() -> AsyncIterator[RecordingSiblings]:
    async with RecordingSiblings(["sysA", "sysB"]) as double:
        yield double


@pytest.fixture
async def platform(siblings: RecordingSiblings) -> AsyncIterator[Platform]:
    async with await Platform.open(siblings.settings()) as clients:
        yield clients
