"""What is asked at the same time about queues is asked together: a channel and a round trip for many of them."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pika.spec import Queue

from maestro.broker.base import BrokerUnavailable, Depth
from maestro.broker.rabbitmq_session import ChannelLost, Session, resolve
from maestro.broker.rabbitmq_turns import Request, Turns

#: Queues of one round, which one `operation_timeout` is allowed for.
LOOKED_AT_ONCE: Final = 64


async def look(session: Session, queues: Sequence[str], found: dict[str, Depth]) -> None:
    """Find the depths of these queues; of those from the first on that does not exist, none.

    pika would have one asked at a time. The broker answers each in turn, and closes the channel over one that is
    missing.

    Raises:
        ChannelLost: the connection is gone.
        TimeoutError: the broker did not answer.
    """
    found.clear()
    channel = await session.channel()
    try:
        with channel.reply() as done:

            def answered(frame: Any) -> None:
                answer = frame.method
                found[answer.queue] = Depth(answer.message_count, answer.consumer_count)
                if len(found) == len(queues):
                    resolve(done, None)

            channel.raw.add_callback(answered, [Queue.DeclareOk], one_shot=False)
            for queue in queues:
                channel.tell(channel.raw._send_method, Queue.Declare(queue=queue, passive=True))  # noqa: SLF001 - see above
            await channel.within(done)
    except ChannelLost as lost:
        if not lost.code:
            raise
    finally:
        channel.close()


@dataclass(eq=False, slots=True)
class _Request(Request):
    """One call's queue, and its depth once it was asked about with an answer."""

    queue: str
    depth: Depth | None = None


class Looks:
    """Depths that are asked for, in rounds (`Turns`).

    A quorum queue without a leader costs the broker 250 ms. What it had no time for is asked in the rounds to come,
    which are smaller then.

    Args:
        together: finds the depths of some queues, as `look` does. What it found counts though it raises
            `BrokerUnavailable`.
        alone: returns the depth of one; None when it does not exist.
    """

    def __init__(
        self,
        together: Callable[[Sequence[str], dict[str, Depth]], Awaitable[None]],
        alone: Callable[[str], Awaitable[Depth | None]],
    ) -> None:
        self._together = together
        self._alone = alone
        self._at_once = LOOKED_AT_ONCE
        self._turns = Turns(self._ask)

    async def depth(self, queue: str) -> Depth | None:
        """Return the queue's depth, None when it does not exist. Raises `BrokerError`."""
        request = _Request(queue)
        await self._turns.take(request)
        return request.depth or await self._alone(queue)

    async def _ask(self, request: _Request) -> None:
        others = [each for each in self._turns.waiting if each is not request and not each.done]
        chosen = [request, *others[: self._at_once - 1]]
        found: dict[str, Depth] = {}
        try:
            await self._together(list(dict.fromkeys(each.queue for each in chosen)), found)
        except BrokerUnavailable as unavailable:
            if request.queue not in found:
                for each in chosen:
                    each.unavailable = unavailable
                raise
            self._at_once = max(1, len(found) // 2)
            chosen = [each for each in chosen if each.queue in found]
        else:
            self._at_once = min(LOOKED_AT_ONCE, 2 * self._at_once)
        for each in chosen:
            each.done, each.depth = True, found.get(each.queue)
