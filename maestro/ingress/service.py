"""The service inside the ingress actor: one broker connection, one line per system."""

import asyncio
import os
from collections.abc import Callable, Iterable
from functools import partial
from itertools import islice

from maestro import logs
from maestro.board.lease import LeaseHolder, Standing
from maestro.broker import open_broker
from maestro.broker.base import Delivery, trouble
from maestro.broker.topology import EXCHANGES, OUTCOMES
from maestro.debounce import Debounce
from maestro.ingress.consumer import SystemConsumer
from maestro.ingress.outcomes import Outcomes
from maestro.ingress.ownership import Ownership
from maestro.links.items import INGRESS, Hello
from maestro.links.listener import Listener
from maestro.links.session import Session
from maestro.messages import BROKER_PROBLEM
from maestro.settings.model import Settings
from maestro.store.base import StoreError
from maestro.store.door import open_stores
from maestro.store.installation import Installation, read_installation, write_installation
from maestro.store.rest_mark import RestMarks
from maestro.tasks import Tasks, until_connected, until_done
from maestro.telemetry.definitions import BLOCKED, CONNECTED, OF_INGRESS, OWNER, UNSETTLED, WAKE_SECONDS, WAKE_UPS
from maestro.telemetry.metrics import MetricsRegistry, Sample, Snapshot

#: Exit status of an ingress whose deliveries are not ours any more (EX_NOPERM): with its connection they go back.
EXIT_NOT_OURS = 77
#: Seconds in which those that are to be woken gather for one message, and between two messages while they do not come.
WAKE_SOON, WAKE_AGAIN = 0.002, 0.2
#: Queues of systems at rest whose consumption begins side by side.
TOGETHER = 64


class IngressService:
    """Takes persist events off the broker and carries them to their systems' actors."""

    def __init__(
        self, settings: Settings, epoch: int, wake: Callable[[tuple[str, ...]], None] = lambda _system_ids: None
    ) -> None:
        self._settings = settings
        self._wake = wake
        self._marks = RestMarks(settings.data_dir)
        #: Systems without a session that something is held for, and since when; those of them that are passivated.
        self._wanted: dict[str, float] = {}
        self._passivated: set[str] = set()
        #: Those of them that the supervisor is to be told of for the first time.
        self._fresh: list[str] = []
        self._soon: asyncio.TimerHandle | None = None
        self._again: asyncio.TimerHandle | None = None
        self._log = logs.get(actor=INGRESS)
        self._broker = open_broker(settings.broker, settings.data_dir)
        self._lines: dict[str, SystemConsumer] = {}
        self._registry = MetricsRegistry(OF_INGRESS)
        own = Hello(INGRESS, epoch)
        self._links = Listener(settings.data_dir, own, settings.actors, self._registry, self.met)
        self._debounce = Debounce(self._declare_all)
        self._tasks = Tasks(self._log)
        self._outcomes = Outcomes(self._broker, self._take_outcome, self._void_outcomes)
        self._owned = asyncio.Event()
        #: Whether deliveries may be handed over: RabbitMQ's may be another installation's.
        self._ours = not settings.broker.shared
        self._ownership = self._new_ownership() if settings.broker.shared else None

    @property
    def problem(self) -> str:
        """Whether the broker can be reached, its events are ours, and it lets the queues be consumed."""
        if self._broker.connected and self._ownership is not None and self._ownership.problem:
            return self._ownership.problem
        if problem := trouble(self._broker):
            return BROKER_PROBLEM + problem
        unpublishable = (line.unpublishable for line in self._lines.values() if line.unpublishable)
        return next(unpublishable, "") or self._links.problem

    def _take_outcome(self, system_id: str, delivery: Delivery) -> int:
        lines = [self._lines.get(system_id)] if system_id else list(self._lines.values())
        taken = [line for line in lines if line is not None and line.hears]
        for line in taken:
            line.outcome(delivery)
        return len(taken)

    def _void_outcomes(self) -> None:
        for line in self._lines.values():
            line.void(OUTCOMES)

    def _new_ownership(self) -> Ownership:
        folder = self._settings.data_dir
        ours = read_installation(folder) or Installation("")
        lease, store = LeaseHolder(folder), partial(write_installation, folder)
        return Ownership(self._broker, self._settings.broker, ours, lease, store, self._owner_known)

    def _owner_known(self, standing: Standing) -> None:
        """Go on, wait, or let go of everything: what was handed over is another's."""
        if standing is Standing.REFUSED and any(line.consuming for line in self._lines.values()):
            os._exit(EXIT_NOT_OURS)
        self._ours = standing is Standing.HELD
        if self._ours:
            self._owned.set()
        for line in self._lines.values():
            line.own(ours=self._ours)

    def snapshot(self) -> Snapshot:
        """Return what ingress measured."""
        held = sum(line.unsettled for line in self._lines.values())
        return self._registry.snapshot(
            [
                Sample(CONNECTED.name, (), float(self._broker.connected)),
                Sample(UNSETTLED.name, (), held),
                Sample(OWNER.name, (), float(self._ours)),
                Sample(BLOCKED.name, (), float(bool(self._broker.blocked))),
            ]
        )

    async def start(self) -> None:
        """Connect in the background, and let the systems come."""
        await self._broker.start()
        await until_connected(self._broker)
        if self._ownership is not None:
            self._tasks.start(self._ownership.run(), "ownership")
        else:
            self._owned.set()
        self._tasks.start(self._outcomes.run(self._owned), "outcomes")
        self._tasks.start(until_done(lambda: self._broker.declare((), EXCHANGES), self._log), "declare")
        if self._settings.actors.idle_after:
            self._tasks.start(self._consume_stored(), "consume what is at rest")
        self._links.open()

    async def _consume_stored(self) -> None:
        """Consume the queues of all systems that have a store: those at rest do not come by themselves.

        A few at a time: a broker that is asked for thousands of queues at once answers none of them in time.
        """
        stored = iter(await until_done(open_stores(self._settings).systems, self._log, StoreError))
        while batch := list(islice(stored, TOGETHER)):
            await asyncio.gather(*(self._line(system_id).begun() for system_id in batch))

    async def stop(self) -> None:
        """Take no event any more; what is not settled is delivered again after the next start."""
        self._debounce.cancel()
        for timer in (self._soon, self._again):
            if timer is not None:
                timer.cancel()
        await asyncio.gather(*(line.close() for line in self._lines.values()))
        await self._links.close()
        await self._tasks.close()
        await self._broker.close()

    def met(self, system: Hello, session: Session) -> None:
        """A system is there, with a session that takes the place of its last one."""
        line = self._line(system.system_id)
        session.on_item, session.on_lost = line.receive, line.detach
        if not line.known:
            self._debounce.put_off()
        since = self._wanted.pop(system.system_id, 0.0)
        if system.system_id in self._passivated:
            self._passivated.discard(system.system_id)
            self._registry.count(WAKE_UPS)
            self._registry.observe(WAKE_SECONDS, asyncio.get_running_loop().time() - since)
        line.attach(session)

    def _want(self, system_id: str) -> None:
        """Something is held for a system without a session: if it is passivated, it is woken."""
        if system_id in self._wanted:
            return
        loop = asyncio.get_running_loop()
        self._wanted[system_id] = loop.time()
        self._fresh.append(system_id)
        if len(self._fresh) == 1:
            self._soon = loop.call_later(WAKE_SOON, self._wake_fresh)
        if self._again is None:
            self._again = loop.call_later(WAKE_AGAIN, self._wake_again)

    def _wake_fresh(self) -> None:
        fresh, self._fresh = self._fresh, []
        self._wake_those_at_rest(fresh)

    def _wake_again(self) -> None:
        """Ask again for those that have not come: a message may be lost, and one that just left has no mark yet."""
        self._again = None
        self._wanted = {one: since for one, since in self._wanted.items() if self._lines[one].needed}
        if self._wanted:
            self._wake_those_at_rest(self._wanted)
            self._again = asyncio.get_running_loop().call_later(WAKE_AGAIN, self._wake_again)

    def _wake_those_at_rest(self, systems: Iterable[str]) -> None:
        at_rest = tuple(filter(self._marks.has, systems))
        if at_rest:
            self._passivated.update(at_rest)
            self._wake(at_rest)

    def _line(self, system_id: str) -> SystemConsumer:
        line = self._lines.get(system_id)
        if line is None:
            prefetch = self._settings.broker.prefetch
            line = self._lines[system_id] = SystemConsumer(
                system_id, self._broker, prefetch, self._registry, self._outcomes.settled,
                partial(self._want, system_id),
            )  # fmt: skip
            line.own(ours=self._ours)
            if self._ownership is not None and system_id in self._ownership.adopting:
                line.adopt(partial(self._ownership.adopted, system_id))
            line.open()
        return line

    def _declare_all(self) -> None:
        """Declare what those that are awake may need; a system at rest needs no more than its persist queue."""
        for line in self._lines.values():
            if line.known:
                line.declare()
