"""What another Maestro left: read, and put back. Nothing changes by looking."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from maestro.broker.base import Broker, Delivery
from maestro.broker.topology import SystemQueues
from maestro.events import BadInput
from maestro.platform import Platform
from maestro.statuses import Status
from maestro.takeover.documents import OPEN, Left, Queued, read_document, read_unit

#: Messages taken in one go.
_AT_ONCE: Final = 256


@dataclass(slots=True)
class Found:
    """What was found of one system."""

    system_id: str
    #: Documents that are not ended, oldest first; of several of one id the one that has come farthest.
    documents: list[Left] = field(default_factory=list)
    queued: Queued = field(default_factory=Queued)
    #: The messages that `queued` was read from, and those that could not be read; none is acknowledged.
    deliveries: list[Delivery] = field(default_factory=list)
    strange: list[Delivery] = field(default_factory=list)
    #: Messages ready, by queue; queues that do not exist are left out.
    depths: dict[str, int] = field(default_factory=dict)
    #: Queues that somebody consumes.
    consumed: list[str] = field(default_factory=list)
    #: What cannot be taken over, one line each.
    problems: list[str] = field(default_factory=list)

    @property
    def locked_by(self) -> str:
        """The id of the document that holds the lock; empty: none does."""
        return next((one.id for one in self.documents if one.status == Status.RUNNING), "")


async def open_documents(platform: Platform, statuses: Sequence[str] = OPEN) -> tuple[list[Left], list[str]]:
    """Return the documents of Process Memory in these statuses, of all systems, and what is wrong with others.

    Raises:
        SiblingError: Process Memory cannot be asked.
    """
    found: dict[str, Left] = {}
    problems: list[str] = []
    for status in statuses:
        for raw in await platform.process_memory.documents("status", status):
            try:
                left = read_document(raw)
            except BadInput as bad:
                problems.append(f"a document of status {status} in Process Memory: {bad}")
                continue
            known = found.get(left.id)
            if known is None or len(left.history or ()) >= len(known.history or ()):
                found[left.id] = left
    return sorted(found.values(), key=_began), problems


def _began(left: Left) -> tuple[str, str]:
    first = (left.history[0].timestamp or "") if left.history else ""
    return (first, left.id)


async def look(broker: Broker, system_id: str, documents: Iterable[Left]) -> Found:
    """Return what was left of a system. Its messages are taken and not acknowledged: `put_back`, or acknowledge them.

    Queues that somebody consumes are counted, not read.

    Raises:
        BrokerUnavailable: the broker cannot be reached.
    """
    found = Found(system_id, [one for one in documents if one.system_id == system_id])
    queues = SystemQueues(system_id)
    for queue in (queues.persist, queues.reprocessings, queues.events, queues.control):
        depth = await broker.depth(queue)
        if depth is not None:
            found.depths[queue] = depth.ready
            if depth.consumers:
                found.consumed.append(queue)
    if found.consumed:
        return found
    for queue in (queues.reprocessings, queues.events, queues.control):
        if found.depths.get(queue):
            await _read(broker, queue, queues, found)
    known = {one.id for one in found.documents}
    found.documents += [one for one in found.queued.line if one.id not in known]
    return found


async def _read(broker: Broker, queue: str, queues: SystemQueues, found: Found) -> None:
    while deliveries := await broker.get_some(queue, _AT_ONCE):
        for delivery in deliveries:
            try:
                if queue == queues.reprocessings:
                    found.queued.line.append(_of_system(read_document(delivery.body), found.system_id))
                elif queue == queues.events:
                    found.queued.to_send.append(read_unit(delivery.body))
                else:
                    found.queued.not_persisted.append(read_unit(delivery.body))
            except BadInput as bad:
                found.problems.append(f"a message of {queue} cannot be read and stays there: {bad}")
                found.strange.append(delivery)
            else:
                found.deliveries.append(delivery)


def _of_system(left: Left, system_id: str) -> Left:
    if left.system_id != system_id:
        raise BadInput("systemId", f"is {left.system_id}, not {system_id}")
    return left


def put_back(broker: Broker, found: Found) -> None:
    """Give all messages back to their places."""
    for delivery in (*found.deliveries, *found.strange):
        broker.requeue(delivery)


def take_off(broker: Broker, found: Found) -> None:
    """Take the messages that were understood off their queues; give the others back."""
    for delivery in found.deliveries:
        broker.ack(delivery)
    for delivery in found.strange:
        broker.requeue(delivery)
