"""Calls to siblings that somebody waits for at the gateway: fewer tries, and an end before its timeout."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from maestro.platform import SiblingUnreachable

#: Tries of such a call.
PROMPT_TRIES = 2
#: The share of the gateway's timeout that a sibling gets.
SHARE = 0.8


@asynccontextmanager
async def promptly(service: str, call: str, seconds: float) -> AsyncIterator[None]:
    """Give the calls inside part of `seconds`, then say that there was no answer.

    Raises:
        SiblingUnreachable: time was up.
    """
    limit = seconds * SHARE
    try:
        async with asyncio.timeout(limit):
            yield
    except TimeoutError:
        raise SiblingUnreachable(service, call, f"no answer within {limit:g} s") from None
