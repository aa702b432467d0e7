"""Another installation's ownership of a vhost's events, looked at and taken over.

Source of the rules: semantics, Who owns the broker's events.

The owner queue is consumed meanwhile, so no other Maestro starts on its events between the look and the taking.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from maestro.broker.base import Broker, BrokerError, Delivery, Message
from maestro.broker.topology import OWNER, OWNER_BINDING, SystemQueues
from maestro.ingress.ownership import OwnerMessage, objection, owner_body
from maestro.store.installation import Installation, begin_start, write_installation

#: Seconds that the owner's message is awaited.
_TIMEOUT: Final = 5.0


class Owned(BrokerError):  # noqa: N818 - a fact about the owner
    """A Maestro that is connected owns the events: it has to be stopped first."""


@dataclass(slots=True)
class Adoption:
    """The owner queue in hand: its messages are taken and not acknowledged."""

    broker: Broker
    #: The owner's message and what stood behind it.
    messages: list[Delivery] = field(default_factory=list)

    @property
    def owner(self) -> OwnerMessage | None:
        """Who owns the events; None: nobody, or the message is not Maestro's."""
        try:
            return msgspec.json.decode(self.messages[0].body, type=OwnerMessage) if self.messages else None
        except msgspec.DecodeError:
            return None

    def needed(self, ours: Installation | None) -> bool:
        """Whether a start of this data folder would not own the events without it."""
        if not self.messages:
            return ours is not None and bool(ours.foreign)
        if ours is None:
            return True
        next_start = msgspec.structs.replace(ours, start=ours.start + 1)
        return bool(objection(self.messages[0].body, next_start))

    async def take(self, data_dir: Path, systems: Sequence[str]) -> Installation:
        """Own the events from now on; those of `systems` that were handed out before are in doubt.

        The folder knows first, then the queue: a break in between leaves the old owner, and is repeated.

        Raises:
            BrokerError: the message cannot be put there.
            StoreError: the data folder cannot be written.
        """
        begun = begin_start(data_dir)
        theirs = self.owner
        start = max(begun.start, theirs.start + 1 if theirs is not None and theirs.installation == begun.id else 0)
        adopting = tuple(sorted({*begun.adopting, *systems}))
        ours = msgspec.structs.replace(begun, start=start, owner=True, foreign="", adopting=adopting)
        write_installation(data_dir, ours)
        await self.broker.publish("", OWNER, Message(owner_body(ours), f"owner-{ours.run}", moved=True))
        for message in self.messages:
            self.broker.ack(message)
        self.messages.clear()
        return ours


@asynccontextmanager
async def owner_in_hand(broker: Broker) -> AsyncIterator[Adoption]:
    """Hold the owner queue while the context is open; what is not acknowledged goes back.

    Raises:
        Owned: a Maestro that is connected holds it.
        BrokerError: the broker refuses, or is out of reach.
    """
    await broker.declare((OWNER_BINDING,))
    depth = await broker.depth(OWNER)
    if depth is not None and depth.consumers:
        raise Owned(f"a Maestro is connected and owns the events ({OWNER} is consumed): stop it first")
    adoption = Adoption(broker)
    lost = asyncio.Event()
    consumer = await broker.consume(OWNER, 0xFFFF, adoption.messages.append, lost.set, exclusive=False)
    try:
        deadline = asyncio.get_running_loop().time() + _TIMEOUT
        expected = depth.ready if depth is not None else 0
        while len(adoption.messages) < expected and not lost.is_set():
            if asyncio.get_running_loop().time() > deadline:
                raise Owned(f"the message of {OWNER} does not come: a Maestro may have connected meanwhile")
            await asyncio.sleep(0.02)
        yield adoption
        if lost.is_set():
            raise BrokerError("the connection was lost meanwhile: look at it again")
    finally:
        await consumer.cancel()
        for message in adoption.messages:
            broker.requeue(message)


async def depths(broker: Broker, system_id: str) -> dict[str, int]:
    """Return how many messages a system's persist, wait and error queues hold, where they hold any."""
    queues = SystemQueues(system_id)
    found = {}
    for queue in (queues.persist, queues.wait, queues.persist_error):
        depth = await broker.depth(queue)
        if depth is not None and depth.ready:
            found[queue] = depth.ready
    return found
