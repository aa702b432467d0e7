"""One system's error queue as people see it: looked at without taking anything, and given back to be judged again."""

import asyncio
from collections.abc import Iterable

import structlog

from maestro.broker.base import Broker, BrokerError, Delivery, Message, message_id_of
from maestro.broker.topology import (
    DOUBT_HEADER,
    ERROR_HEADER,
    PERSIST,
    REDRIVE_HEADER,
    SystemQueues,
)
from maestro.ingress.error_groups import Failed, chosen, error_id, grouped
from maestro.messages.error_queue import (
    ErrorMessage,
    ErrorsGrouped,
    ErrorsPeeked,
    ErrorsRedriven,
    GroupErrors,
    PeekErrors,
    RedriveErrors,
)

#: Bytes of a body that are shown.
SHOWN_BYTES = 16 * 1024
#: Messages, and bytes of them, that are held while chosen ones among them are looked for.
LOOK, LOOK_BYTES = 5_000, 64 * 1024 * 1024
#: Messages taken off the queue at a time.
AT_ONCE = 32
#: Seconds within which what a look gave back is on the queue again: the broker confirms nothing.
BACK_WITHIN = 1.0


class ErrorQueue:
    """Peeks at and redrives the events of a system that failed for good. One order at a time."""

    def __init__(self, broker: Broker, queues: SystemQueues, log: structlog.typing.FilteringBoundLogger) -> None:
        self._broker = broker
        self._queues = queues
        self._log = log
        self._turn = asyncio.Lock()
        #: Messages that were there when the last look began, and when it ended (loop's time).
        self._seen, self._looked_at = 0, float("-inf")

    async def depth(self) -> int | None:
        """Return how many messages there are, those included that a look has in hand; None without a queue.

        Raises `BrokerError`.
        """
        depth = await self._broker.depth(self._queues.persist_error)
        if depth is None:
            return None
        looking = self._turn.locked() or asyncio.get_running_loop().time() - self._looked_at < BACK_WITHIN
        return max(depth.ready, self._seen) if looking else depth.ready

    async def carry_out(
        self, order: PeekErrors | GroupErrors | RedriveErrors
    ) -> ErrorsPeeked | ErrorsGrouped | ErrorsRedriven:
        """Do what is ordered, after what was ordered before."""
        if isinstance(order, PeekErrors):
            return await self.peek(order)
        return await (self.group(order) if isinstance(order, GroupErrors) else self.redrive(order))

    async def peek(self, order: PeekErrors) -> ErrorsPeeked:
        """Show the oldest messages, of one group or of all; they are given back to their places."""
        seen, total, problem = await self._look(LOOK if order.group else order.after + order.limit)
        if order.group:
            seen = [message for message in seen if message.group == order.group]
            total = len(seen)
        shown = seen[order.after : order.after + order.limit]
        return ErrorsPeeked(order.request, tuple(map(_shown, shown)), total, problem)

    async def group(self, order: GroupErrors) -> ErrorsGrouped:
        """Put the oldest messages together by why they failed; they are given back to their places."""
        seen, total, problem = await self._look(order.look)
        groups = grouped(seen)
        page = groups[order.after : order.after + order.limit]
        return ErrorsGrouped(order.request, page, len(groups), total, len(seen), problem)

    async def _look(self, limit: int) -> tuple[list[Failed], int, str]:
        """Return the oldest messages, how many there are, and why the broker did not tell."""
        async with self._turn:
            taken: list[Failed] = []
            problem, ready = "", 0
            try:
                ready = self._seen = await self._ready()
                await self._take(taken, limit)
            except BrokerError as error:
                problem = str(error)
            finally:
                self._give_back(message.delivery for message in taken)
                self._looked_at = asyncio.get_running_loop().time()
        return taken, max(ready, len(taken)), problem

    async def redrive(self, order: RedriveErrors) -> ErrorsRedriven:
        """Publish the chosen messages to the persist queue, in order, each confirmed before it is acknowledged here.

        An interruption leaves a message on both queues at worst: then it is judged once all the same, as a known one.
        """
        async with self._turn:
            self._seen = 0  # what is redriven is gone
            done = await (self._redrive_groups(order) if order.groups else self._redrive_named(order))
        self._log.info(
            "errors redriven",
            user=order.user,
            groups=[group.key for group in order.groups] or None,
            count=done.count,
            missing=len(done.missing),
            problem=done.problem or done.changed or None,
        )
        return done

    async def _redrive_groups(self, order: RedriveErrors) -> ErrorsRedriven:
        """Redrive the messages of groups, if all of them are what was shown; else nothing."""
        taken: list[Failed] = []
        failed: list[Delivery] = []
        count, problem = 0, ""
        try:
            await self._take(taken, LOOK)
            moving = chosen(taken, order.groups)
            for message in moving:
                taken.remove(message)
                await self._resubmit(message.delivery, order.user, failed)
                count += 1
        except BrokerError as error:
            problem = str(error)
        except ValueError as changed:
            return ErrorsRedriven(order.request, 0, (), changed=str(changed))
        finally:
            self._give_back([*failed, *(message.delivery for message in taken)])
        return ErrorsRedriven(order.request, count, (), problem)

    async def _redrive_named(self, order: RedriveErrors) -> ErrorsRedriven:
        """Redrive the messages of these ids; without ids all, but those whose commit is in doubt."""
        passed: list[Delivery] = []
        found: set[str] = set()
        count, problem, size = 0, "", 0
        try:
            # Not until it is empty: what fails again comes back to the end of it.
            for _ in range(await self._ready()):
                delivery = await self._broker.get(self._queues.persist_error)
                if delivery is None:
                    break
                id_ = error_id(delivery)
                # A commit in doubt is given back by name only, never with all others.
                passes = id_ not in order.ids or id_ in found if order.ids else DOUBT_HEADER in delivery.headers
                if passes:
                    passed.append(delivery)
                    size += len(delivery.body)
                    if len(passed) >= LOOK or size >= LOOK_BYTES:
                        break
                    continue
                await self._resubmit(delivery, order.user, passed)
                found.add(id_)
                count += 1
                if len(found) == len(order.ids):
                    break  # all that were chosen: the rest of the queue need not be looked through
        except BrokerError as error:
            problem = str(error)
        finally:
            self._give_back(passed)
        return ErrorsRedriven(order.request, count, tuple(id_ for id_ in order.ids if id_ not in found), problem)

    async def _resubmit(self, delivery: Delivery, user: str, failed: list[Delivery]) -> None:
        headers = {ERROR_HEADER: str(delivery.headers.get(ERROR_HEADER, "")), REDRIVE_HEADER: user}
        message_id = delivery.message_id or message_id_of(error_id(delivery))
        message = Message(delivery.body, message_id, headers, moved=True, original=delivery)
        try:
            await self._broker.publish(PERSIST, self._queues.system_id, message)
        except BaseException:  # also one that is broken off: it would be held for as long as this process lives
            failed.append(delivery)
            raise
        self._broker.ack(delivery)

    async def _ready(self) -> int:
        depth = await self._broker.depth(self._queues.persist_error)
        return depth.ready if depth else 0

    async def _take(self, taken: list[Failed], limit: int) -> None:
        """Take the oldest messages into `taken`, at most `limit`, and no more than may be held at once."""
        limit, size = min(limit, LOOK), 0
        while len(taken) < limit and size < LOOK_BYTES:
            some = await self._broker.get_some(self._queues.persist_error, min(AT_ONCE, limit - len(taken)))
            taken += map(Failed, some)
            size += sum(len(delivery.body) for delivery in some)
            if not some:
                return

    def _give_back(self, taken: Iterable[Delivery]) -> None:
        for delivery in taken:
            self._broker.requeue(delivery)


def _shown(message: Failed) -> ErrorMessage:
    delivery = message.delivery
    headers = tuple((str(key), str(value)) for key, value in delivery.headers.items())
    return ErrorMessage(message.id, headers, len(delivery.body), delivery.body[:SHOWN_BYTES])
