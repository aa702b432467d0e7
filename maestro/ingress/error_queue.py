"""One system's error queue as people see it: looked at without taking anything, and given back to be judged again."""

import asyncio
from hashlib import blake2b

import structlog

from maestro.broker.base import Broker, BrokerError, Delivery, Message, message_id_of
from maestro.broker.topology import (
    DOUBT_HEADER,
    ERROR_HEADER,
    ERROR_ID_HEADER,
    PERSIST,
    REDRIVE_HEADER,
    SystemQueues,
)
from maestro.messages import ErrorMessage, ErrorsPeeked, ErrorsRedriven, PeekErrors, RedriveErrors

#: Bytes of a body that are shown.
SHOWN_BYTES = 16 * 1024
#: Messages, and bytes of them, that are held while chosen ones among them are looked for.
LOOK, LOOK_BYTES = 5_000, 64 * 1024 * 1024


class ErrorQueue:
    """Peeks at and redrives the events of a system that failed for good. One order at a time."""

    def __init__(self, broker: Broker, queues: SystemQueues, log: structlog.typing.FilteringBoundLogger) -> None:
        self._broker = broker
        self._queues = queues
        self._log = log
        self._turn = asyncio.Lock()

    async def peek(self, order: PeekErrors) -> ErrorsPeeked:
        """Show the oldest messages; all of them are given back to their places."""
        async with self._turn:
            taken: list[Delivery] = []
            problem, ready = "", 0
            try:
                ready = await self._ready()
                while len(taken) < order.limit and (delivery := await self._take()) is not None:
                    taken.append(delivery)
            except BrokerError as error:
                problem = str(error)
            finally:
                self._give_back(taken)
        return ErrorsPeeked(order.request, tuple(map(_shown, taken)), max(ready, len(taken)), problem)

    async def redrive(self, order: RedriveErrors) -> ErrorsRedriven:
        """Publish the chosen messages to the persist queue, in order, each confirmed before it is acknowledged here.

        An interruption leaves a message on both queues at worst: then it is judged once all the same, as a known one.
        """
        async with self._turn:
            passed: list[Delivery] = []
            found: set[str] = set()
            count, problem, size = 0, "", 0
            try:
                # Not until it is empty: what fails again comes back to the end of it.
                for _ in range(await self._ready()):
                    delivery = await self._take()
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
        missing = tuple(id_ for id_ in order.ids if id_ not in found)
        self._log.info("errors redriven", user=order.user, count=count, missing=len(missing), problem=problem or None)
        return ErrorsRedriven(order.request, count, missing, problem)

    async def _resubmit(self, delivery: Delivery, user: str, passed: list[Delivery]) -> None:
        headers = {ERROR_HEADER: str(delivery.headers.get(ERROR_HEADER, "")), REDRIVE_HEADER: user}
        message_id = delivery.message_id or message_id_of(error_id(delivery))
        message = Message(delivery.body, message_id, headers, moved=True, original=delivery)
        try:
            await self._broker.publish(PERSIST, self._queues.system_id, message)
        except BrokerError:
            passed.append(delivery)
            raise
        self._broker.ack(delivery)

    async def _ready(self) -> int:
        depth = await self._broker.depth(self._queues.persist_error)
        return depth.ready if depth else 0

    async def _take(self) -> Delivery | None:
        return await self._broker.get(self._queues.persist_error)

    def _give_back(self, taken: list[Delivery]) -> None:
        for delivery in taken:
            self._broker.requeue(delivery)


def error_id(delivery: Delivery) -> str:
    """Return what a message is chosen by: the id it was given here, else its own, else a hash of its body."""
    given = delivery.headers.get(ERROR_ID_HEADER)
    if isinstance(given, str) and given:
        return given
    return delivery.message_id or f"~{blake2b(delivery.body, digest_size=16).hexdigest()}"


def _shown(delivery: Delivery) -> ErrorMessage:
    headers = tuple((str(key), str(value)) for key, value in delivery.headers.items())
    return ErrorMessage(error_id(delivery), headers, len(delivery.body), delivery.body[:SHOWN_BYTES])
