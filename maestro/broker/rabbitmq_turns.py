"""What is asked of RabbitMQ at the same time is carried out together: one round at a time, shared by all that wait."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from maestro.broker.base import BrokerUnavailable


@dataclass(eq=False, slots=True, kw_only=True)
class Request:
    """One call, and what has become of it."""

    #: A round has carried it out.
    done: bool = False
    #: The broker was out of reach for its round, or for the one before.
    unavailable: BrokerUnavailable | None = None


R = TypeVar("R", bound=Request)


class Turns(Generic[R]):
    """One round at a time. A request that waits for its turn may be carried out by the round before.

    Args:
        carry_out: carries out a request, with others of those that wait. Says of each what has become of it.
    """

    def __init__(self, carry_out: Callable[[R], Awaitable[None]]) -> None:
        self._carry_out = carry_out
        self._turn = asyncio.Lock()
        self._waiting: dict[R, None] = {}

    @property
    def waiting(self) -> list[R]:
        """Those that have not returned, the one whose turn it is among them, in their order."""
        return list(self._waiting)

    async def take(self, request: R) -> None:
        """Return once it was carried out. Raises what `carry_out` raises, or found `unavailable` for it."""
        self._waiting[request] = None
        try:
            async with self._turn:
                if request.unavailable is not None:
                    raise request.unavailable
                if not request.done:
                    await self._carry_out(request)
        finally:
            self._waiting.pop(request, None)
