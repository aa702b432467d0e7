"""What is to be declared at the same time is declared together: a channel and a round trip for many systems."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from maestro.broker.base import Binding, BrokerError, BrokerUnavailable, QueueUnavailable
from maestro.broker.rabbitmq_turns import Request, Turns

#: Bindings of one round, which one `operation_timeout` is allowed for.
DECLARED_AT_ONCE: Final = 32


@dataclass(eq=False, slots=True)
class _Request(Request):
    """One call's bindings."""

    bindings: Sequence[Binding]
    #: Something in its round was refused, perhaps another's.
    alone: bool = False


class Rounds:
    """What is to be declared, in rounds (`Turns`).

    Args:
        declare: declares some bindings. Raises `BrokerError`.
    """

    def __init__(self, declare: Callable[[Sequence[Binding]], Awaitable[None]]) -> None:
        self._declare = declare
        self._turns = Turns(self._finish)

    async def declare(self, bindings: Sequence[Binding]) -> None:
        """Have these declared.

        Raises:
            BrokerUnavailable: the broker was out of reach, for this round or for the one before.
            BrokerError: it refused one of these.
        """
        for start in range(0, len(bindings), DECLARED_AT_ONCE):
            await self._turns.take(_Request(bindings[start : start + DECLARED_AT_ONCE]))

    async def _finish(self, request: _Request) -> None:
        together = self._together(request)
        try:
            await self._declare([binding for each in together for binding in each.bindings])
        except BrokerError as problem:
            if isinstance(problem, BrokerUnavailable) and not isinstance(problem, QueueUnavailable):
                for each in self._turns.waiting:
                    each.unavailable = problem
                raise
            for each in together:
                each.alone = True
            if len(together) == 1:
                raise
            await self._declare(request.bindings)
        else:
            for each in together:
                each.done = True

    def _together(self, request: _Request) -> list[_Request]:
        """Return the requests of the next round: this one, and others that find place beside it."""
        chosen, room = [request], DECLARED_AT_ONCE - len(request.bindings)
        for each in () if request.alone else self._turns.waiting:
            if each is request or each.alone or each.done:
                continue
            room -= len(each.bindings)
            if room < 0:
                break
            chosen.append(each)
        return chosen
