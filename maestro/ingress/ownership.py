"""Whose this vhost's events are (semantics: Who owns the broker's events), found out and kept by ingress.

One persistent message on `maestro.owner` names an installation, by the id of its data folder and the number of its
start. The queue gives its messages to one consumer only, and takes them back when that one's connection is gone, so
the holder of the message is alone:

    consume ──first message──> ours: HELD, renewed now and again       ──connection lost──> AWAY, begin again
       │                       another's: given back, REFUSED          ──look again after a pause
       └──nothing comes──────> put one's own there; still nothing: another Maestro holds it

In a cluster the message names the cluster, and any of its nodes may hold it. The others stay in line for it:

    consume ──nothing comes, and a live node says with its beats that it holds the message──> SHARED
       │                      ──no node says so any more, and still nothing comes──> another Maestro holds it: REFUSED

A new copy is put behind the held message before the broker's consumer time-out, and the old one is acknowledged once
the copy is confirmed and has arrived: what stands between the two is an intruder's, and is discarded before.
"""

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from enum import Enum, auto
from typing import Final

import msgspec

from maestro import logs
from maestro.backoff import Backoff
from maestro.board.lease import LeaseHolder, Standing
from maestro.broker.base import Broker, BrokerError, Delivery, Message
from maestro.broker.topology import OWNER, OWNER_BINDING
from maestro.settings.model import Settings
from maestro.settings.servers import BrokerSettings
from maestro.store.base import StoreError
from maestro.store.installation import Installation
from maestro.tasks import until_done

#: Seconds that the first message is awaited before one's own is put, and after.
LISTEN, LISTEN_AGAIN = 1.0, 3.0
#: Seconds between two tries while another installation owns the events, doubling up to the second number.
RETRY, RETRY_MAX = 2.0, 60.0
#: Messages of the queue that are taken at a time.
_PREFETCH: Final = 16
#: What stands before a cluster's name in the place of an installation's id.
CLUSTER: Final = "cluster "
#: Heartbeats after which the broker has given up a connection that the network swallowed.
_STALE_HEARTBEATS: Final = 3


class OwnerMessage(msgspec.Struct, frozen=True):
    """What the message says: which start of which data folder owns the events."""

    installation: str
    start: int
    run: str = ""


def owner_of(settings: Settings, ours: Installation) -> Installation:
    """Return who owns the events: this start of this data folder, or the cluster that it is a node of."""
    return Installation(CLUSTER + settings.cluster.name) if settings.cluster.name else ours


def owner_body(ours: Installation) -> bytes:
    """Return the message of an installation."""
    return msgspec.json.encode(OwnerMessage(ours.id, ours.start, ours.run))


def objection(body: bytes, ours: Installation) -> str:
    """Return why the owner that a message names is not this start of this installation; empty: it is."""
    try:
        owner = msgspec.json.decode(body, type=OwnerMessage)
    except msgspec.DecodeError:
        return f"the message on {OWNER} is not Maestro's; look at it, and remove it or run `maestro adopt`"
    if owner.installation != ours.id and owner.installation.startswith(CLUSTER):
        return (
            f"the events of this vhost belong to the {owner.installation}; to take them over: stop all of its nodes, "
            "then `maestro adopt`"
        )
    if owner.installation != ours.id:
        return (
            f"the events of this vhost belong to another Maestro, whose data folder has the id {owner.installation}; "
            "to take them over: stop that one, then `maestro adopt`"
        )
    if owner.start > ours.start or (owner.start == ours.start and owner.run != ours.run):
        return (
            f"this data folder is an old copy: start {owner.start} of the same folder owns the events of this vhost, "
            f"and this is start {ours.start}; use the newer one, or `maestro adopt`"
        )
    return ""


class _Event(Enum):
    """What else than a delivery may come."""

    #: The deliveries before are void.
    LOST = auto()
    #: A copy of one's own message is confirmed.
    CONFIRMED = auto()


class Ownership:
    """Keeps the owner message, and shows on the lease whether it is held.

    Args:
        ours: who this installation is.
        owner: who owns the events, when it is ours: see `owner_of`.
        shared: whether another node of the cluster says that it holds the message.
        lease: where it is shown.
        store: stores a change of what the installation knows. Raises `StoreError`.
        changed: called after each change of `standing`.
    """

    def __init__(
        self,
        broker: Broker,
        settings: BrokerSettings,
        ours: Installation,
        owner: Installation,
        shared: Callable[[], bool],
        lease: LeaseHolder,
        store: Callable[[Installation], None],
        changed: Callable[[Standing], None],
    ) -> None:
        self._owner = owner
        self._shared = shared
        self._broker = broker
        self._settings = settings
        self._ours = self._stored = ours
        self._lease = lease
        self._store = store
        self._changed = changed
        self._log = logs.get(actor="ingress")
        #: What happens to the owner queue's deliveries and to one's own copies of the message.
        self._arrived: asyncio.Queue[Delivery | _Event] = asyncio.Queue()
        #: Why the events are not known to be ours; empty when they are.
        self.problem = f"whose the events of this vhost are is not known yet: {OWNER} was not read"
        #: The message was held in this start of Maestro: a connection of ours that holds it may not be given up yet.
        self._held_before = lease.standing in (Standing.HELD, Standing.AWAY)
        lease.show(Standing.AWAY if ours.owner else Standing.UNKNOWN, self.problem)

    @property
    def adopting(self) -> tuple[str, ...]:
        """Systems whose events of before an adoption are still to come."""
        return self._ours.adopting

    def adopted(self, system_id: str) -> None:
        """All of a system's events of before the adoption have come."""
        self._know(adopting=tuple(one for one in self._ours.adopting if one != system_id))

    async def run(self) -> None:
        """Hold the message whenever it is ours, for ever."""
        pauses = Backoff(RETRY, RETRY_MAX)
        while True:
            await until_done(lambda: self._broker.declare((OWNER_BINDING,)), self._log)
            if await self._attempt():
                pauses.reset()
            await asyncio.sleep(pauses.next() * random.uniform(0.5, 1.0))  # noqa: S311 - no secret

    async def _attempt(self) -> bool:
        """Consume the queue until another's message comes first, or none; return whether it was held meanwhile."""
        arrived: asyncio.Queue[Delivery | _Event] = asyncio.Queue()
        self._arrived = arrived
        consumer = await until_done(
            lambda: self._broker.consume(
                OWNER, _PREFETCH, arrived.put_nowait, lambda: arrived.put_nowait(_Event.LOST), exclusive=False
            ),
            self._log,
        )
        loop = asyncio.get_running_loop()
        held, since = False, loop.time()
        try:
            while True:
                first = await self._first()
                if first is None:
                    if self._shared():
                        held = self._held_before = True
                        since = loop.time()
                        if self._lease.standing is not Standing.SHARED:
                            self._know(owner=True, foreign="")
                            self._move(Standing.SHARED, "")
                        continue
                    self._share_no_more()
                    if self._held_before and loop.time() - since < _STALE_HEARTBEATS * self._settings.heartbeat:
                        continue
                    self._refuse(f"another Maestro is connected to this vhost and owns its events: it holds {OWNER}")
                    return held
                why = self._objection(first.body)
                if why:
                    await consumer.cancel()  # before it is given back, or it comes again
                    self._broker.requeue(first)
                    self._know(foreign=why)
                    self._refuse(why)
                    return held
                held = self._held_before = True
                self._know(owner=True, foreign="")
                self._move(Standing.HELD, "")
                await self._keep(first)
                since = loop.time()
                self._move(Standing.AWAY, f"the connection to RabbitMQ was lost: {OWNER} is not held")
        finally:
            await consumer.cancel()
            while not arrived.empty():
                left = arrived.get_nowait()
                if isinstance(left, Delivery):
                    self._broker.requeue(left)

    def _objection(self, body: bytes) -> str:
        """Return why the owner that a message names is not us; empty: it is.

        The Maestro that a cluster is made of owned the events itself: its data folder takes them along.
        """
        why = objection(body, self._owner)
        return "" if why and self._owner is not self._ours and not objection(body, self._ours) else why

    async def _first(self) -> Delivery | None:
        """Return the first message, one's own put there if there is none; None when none comes."""
        while True:
            delivery = await self._next(LISTEN)
            if delivery is not None:
                return delivery
            try:
                depth = await self._broker.depth(OWNER)
                if self._shared():
                    return None
                if depth is not None and depth.ready == 0 and not self._ours.foreign:
                    await self._put()
            except BrokerError as problem:
                self._log.warning("the owner of the events cannot be asked for", cause=str(problem))
                if self._shared():
                    return None
                self._share_no_more()
                continue
            return await self._next(LISTEN_AGAIN)

    def _share_no_more(self) -> None:
        if self._lease.standing is Standing.SHARED:
            self._move(Standing.AWAY, f"no node of the cluster says that it holds {OWNER}")

    async def _next(self, seconds: float) -> Delivery | None:
        """Return the next delivery that is not void, None when none comes in time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while True:
                    item = await self._arrived.get()
                    if isinstance(item, Delivery):
                        return item
        return None

    async def _keep(self, first: Delivery) -> None:
        """Renew the held message until it is void."""
        copies, confirmed = [first], False
        renewal = asyncio.create_task(self._renew(self._arrived))
        try:
            while (item := await self._arrived.get()) is not _Event.LOST:
                if item is _Event.CONFIRMED:
                    confirmed = True
                elif self._objection(item.body):
                    # It was put where no message was to be seen, for we hold ours: it must not be the first one day.
                    self._log.warning("another Maestro put itself forward as the owner of the events", body=item.body)
                    self._broker.ack(item)
                else:
                    copies.append(item)
                if confirmed and len(copies) > 1:
                    for old in copies[:-1]:
                        self._broker.ack(old)
                    copies, confirmed = copies[-1:], False
        finally:
            renewal.cancel()

    async def _renew(self, arrived: "asyncio.Queue[Delivery | _Event]") -> None:
        """Put a copy of one's own message behind the held one, now and again."""
        while True:
            await until_done(self._put, self._log)
            self._know()
            arrived.put_nowait(_Event.CONFIRMED)
            await asyncio.sleep(self._settings.owner_renewal)

    async def _put(self) -> None:
        await self._broker.publish("", OWNER, Message(owner_body(self._owner), f"owner-{self._ours.run}", moved=True))

    def _refuse(self, why: str) -> None:
        self._know(owner=False)
        self._move(Standing.REFUSED, why)

    def _know(self, **changes: object) -> None:
        """Store what changed of what the installation knows of the owner.

        What cannot be stored now is stored with the next change, or renewal. Until then only a start would know less:
        it goes by the message again.
        """
        self._ours = msgspec.structs.replace(self._ours, **changes)
        if self._ours == self._stored:
            return
        try:
            self._store(self._ours)
        except StoreError as problem:
            self._log.error("what is known of the owner of the events is not stored yet", cause=str(problem))
        else:
            self._stored = self._ours

    def _move(self, standing: Standing, why: str) -> None:
        if standing is Standing.REFUSED and why != self.problem:
            self._log.error("the events of this vhost are not ours: hands off", reason=why)
        elif standing is Standing.HELD and self._lease.standing is not standing:
            self._log.info("the events of this vhost are ours", installation=self._owner.id, start=self._owner.start)
        self.problem = why
        self._lease.show(standing, why)
        self._changed(standing)
