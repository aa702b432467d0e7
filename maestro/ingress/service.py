"""The service inside the ingress actor: one broker connection, one line per system."""

import asyncio
import os
from collections.abc import Callable, Iterable
from functools import partial
from itertools import islice

from maestro import logs
from maestro.board.lease import LeaseHolder, Standing
from maestro.board.node_lease import NodeView
from maestro.broker import open_broker
from maestro.broker.base import Delivery, trouble
from maestro.broker.topology import EXCHANGES, OUTCOMES
from maestro.debounce import Debounce
from maestro.ingress.consumer import RELEASED_WITHIN, SystemConsumer
from maestro.ingress.outcomes import Outcomes
from maestro.ingress.ownership import Ownership, owner_of
from maestro.ingress.wait_queue import LOOK_MAX
from maestro.links.items import INGRESS, Hello
from maestro.links.listener import Listener
from maestro.links.session import Session
from maestro.messages.answers import BROKER_PROBLEM
from maestro.settings.model import Settings
from maestro.store.base import StoreError
from maestro.store.door import open_stores
from maestro.store.installation import Installation, node_name, read_installation, write_installation
from maestro.store.rest_mark import RestMarks
from maestro.tasks import Tasks, until_connected, until_done
from maestro.telemetry.definitions import (
    BLOCKED,
    CONNECTED,
    OF_INGRESS,
    OWNER,
    UNRETURNED,
    UNSETTLED,
    WAKE_SECONDS,
    WAKE_UPS,
)
from maestro.telemetry.metrics import MetricsRegistry, Sample, Snapshot

#: Exit status of an ingress whose deliveries are not ours any more (EX_NOPERM): with its connection they go back.
EXIT_NOT_OURS = 77
#: Seconds in which those that are to be woken gather for one message, and between two messages while they do not come.
WAKE_SOON, WAKE_AGAIN = 0.002, 0.2
#: Seconds between two looks whether a system that has taken its leave has left its mark, and for how long.
LOOK_LEAVING, LEAVES_WITHIN = 0.005, 1.0
#: Seconds after the end of the node's lease after which all is let go of: a beat that is a little late costs nothing.
LET_GO_AFTER = 1.5
#: Seconds between two looks at which systems this node of a cluster owns: a word of shared memory.
LOOK_OWNED = 0.05
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
        name = node_name(settings) if settings.cluster.name else ""
        self._outcomes = Outcomes(self._broker, self._take_outcome, self._void_outcomes, name)
        #: Set while the owner message is held here; once it was, without a cluster.
        self._holding = asyncio.Event()
        self._node = NodeView(settings)
        #: The node's lease was believed in this life of ingress.
        self._believed = False
        #: In a cluster: systems that are owned by this node, as they were seen last; those that are being let go; and
        #: sessions of systems whose queues are not this node's yet.
        self._systems: frozenset[str] | None = frozenset()
        self._leaving: set[str] = set()
        self._early: dict[str, tuple[Hello, Session, list[object]]] = {}
        self._turns = None if self._node.alone else asyncio.Semaphore(TOGETHER)
        #: A node that hands a system over may take its time to give back what it holds, and the broker to take it back.
        self._former_within = max(settings.broker.former_within, RELEASED_WITHIN + LOOK_MAX)
        #: Whether deliveries may be handed over: RabbitMQ's may be another installation's.
        self._ours = not settings.broker.shared
        self._ownership = self._new_ownership() if settings.broker.shared else None

    @property
    def problem(self) -> str:
        """Whether the broker can be reached, its events are ours, and it takes what is moved."""
        if self._broker.connected and self._ownership is not None and self._ownership.problem:
            return self._ownership.problem
        if problem := trouble(self._broker):
            return BROKER_PROBLEM + problem
        problems = (line.unpublishable for line in self._lines.values() if line.unpublishable)
        return next(problems, "") or self._links.problem

    def _take_outcome(self, system_id: str, delivery: Delivery) -> int:
        lines = [self._lines.get(system_id)] if system_id else list(self._lines.values())
        taken = [line for line in lines if line is not None and line.held.hears]
        for line in taken:
            line.held.take_outcome(delivery)
        return len(taken)

    def _void_outcomes(self) -> None:
        for line in self._lines.values():
            line.held.void(OUTCOMES)

    def _new_ownership(self) -> Ownership:
        folder = self._settings.data_dir
        ours = read_installation(folder) or Installation("")
        lease, store = LeaseHolder(folder), partial(write_installation, folder)
        return Ownership(
            self._broker, self._settings.broker, ours, owner_of(self._settings, ours), lambda: self._node.events_held,
            lease, store, self._owner_known,
        )  # fmt: skip

    def _owner_known(self, standing: Standing) -> None:
        """Go on, wait, or let go of everything: what was handed over is another's."""
        if standing is Standing.REFUSED and any(line.consuming for line in self._lines.values()):
            os._exit(EXIT_NOT_OURS)
        self._ours = standing in (Standing.HELD, Standing.SHARED)
        if standing is Standing.HELD:
            self._holding.set()
        elif not self._node.alone:
            self._holding.clear()
        for line in self._lines.values():
            line.held.own(ours=self._ours)

    def snapshot(self) -> Snapshot:
        """Return what ingress measured."""
        held = sum(len(line.held) for line in self._lines.values())
        return self._registry.snapshot(
            [
                Sample(CONNECTED.name, (), float(self._broker.connected)),
                Sample(UNSETTLED.name, (), held),
                Sample(UNRETURNED.name, (), float(self._broker.unreturned)),
                Sample(OWNER.name, (), float(self._ours)),
                Sample(BLOCKED.name, (), float(bool(self._broker.blocked))),
            ]
        )

    async def start(self) -> None:
        """Connect in the background, and let the systems come."""
        await self._broker.start()
        await until_connected(self._broker)
        if self._ownership is not None:
            self._tasks.start(self._own(self._ownership), "ownership")
        else:
            self._holding.set()
        self._tasks.start(self._outcomes.run(self._holding), "outcomes")
        self._tasks.start(until_done(lambda: self._broker.declare((), EXCHANGES), self._log), "declare")
        if not self._node.alone:
            self._tasks.start(self._follow_owned(), "systems of this node")
        elif self._settings.actors.idle_after:
            self._tasks.start(self._consume_stored(), "consume what is at rest")
        self._links.open()

    async def _consume_stored(self) -> None:
        """Consume the queues of all systems that have a store: those at rest do not come by themselves.

        A few at a time: a broker that is asked for thousands of queues at once answers none of them in time.
        """
        stored = iter(await until_done(open_stores(self._settings).systems, self._log, StoreError))
        while batch := list(islice(stored, TOGETHER)):
            await asyncio.gather(*(self._line(system_id).begun() for system_id in batch))

    # --- in a cluster: which systems are this node's -----------------------------------------------------------

    async def _own(self, ownership: Ownership) -> None:
        """Hold the owner message, or wait in line for it. A node that cannot say so with its beats keeps away."""
        while not self._node.believed:  # noqa: ASYNC110 - it is told by a word of shared memory, which wakes nobody
            await asyncio.sleep(LOOK_OWNED)
        await ownership.run()

    async def _follow_owned(self) -> None:
        """Consume the queues of the systems that this node owns, and of no others."""
        while True:
            self._let_go_of_all_when_over()
            self._look_at_owned()
            await asyncio.sleep(LOOK_OWNED)

    def _let_go_of_all_when_over(self) -> None:
        """End this life of ingress when others may have taken the systems over: they wait until we consume nothing.

        With the connection everything that is unacknowledged goes back, in its order, and the owner message as well.
        The next life waits until the lease is believed.
        """
        if self._node.believed:
            self._believed = True
        elif self._believed and self._node.over_for >= LET_GO_AFTER:
            self._log.error("the lease of this node is over: nothing is consumed until it is renewed")
            os._exit(EXIT_NOT_OURS)

    def _look_at_owned(self) -> None:
        owned = self._node.owned()
        if owned is None or owned is self._systems:
            return
        for system_id in self._lines.keys() - owned:
            line = self._lines.pop(system_id)
            self._wanted.pop(system_id, None)
            self._passivated.discard(system_id)
            self._leaving.add(system_id)
            self._tasks.start(self._let_go(system_id, line), "let go")
        for system_id in owned - self._lines.keys() - self._leaving:
            self._line(system_id)
            if (early := self._early.pop(system_id, None)) is not None:
                system, session, said = early
                self.met(system, session)
                for item in said:
                    session.on_item(item)
        if not owned & self._leaving:
            self._systems = owned

    async def _let_go(self, system_id: str, line: SystemConsumer) -> None:
        try:
            await line.release()
        finally:
            self._leaving.discard(system_id)

    def _met_early(self, system: Hello, session: Session) -> None:
        """A system whose queues are not consumed yet, for its former line here is being let go: it is heard later."""
        said: list[object] = []

        def lost() -> None:
            if self._early.get(system.system_id, (system, None, said))[1] is session:
                del self._early[system.system_id]

        self._early[system.system_id] = system, session, said
        session.on_item, session.on_lost = said.append, lost

    # --- life, and the systems ---------------------------------------------------------------------------------

    async def stop(self) -> None:
        """Take no event any more; what is not settled is delivered again after the next start."""
        self._debounce.cancel()
        for timer in (self._soon, self._again):
            if timer is not None:
                timer.cancel()
        await asyncio.gather(*(line.close() for line in self._lines.values()))
        await self._links.close()
        await self._tasks.close()
        await self._outcomes.close()
        await self._broker.close()
        self._node.close()

    def met(self, system: Hello, session: Session) -> None:
        """A system is there, with a session that takes the place of its last one."""
        self._look_at_owned()
        if not self._node.alone and system.system_id not in self._lines:
            self._met_early(system, session)
            return
        line = self._line(system.system_id)
        session.on_item, session.on_lost = line.receive, line.detach
        if not line.held.known:
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
        if self._soon is None:
            self._soon = loop.call_later(WAKE_SOON, self._wake_fresh)
        if self._again is None:
            self._again = loop.call_later(WAKE_AGAIN, self._wake_again)

    def _wake_fresh(self) -> None:
        """Ask for those that are wanted since a moment; one that is leaving, as soon as its mark is there."""
        loop = asyncio.get_running_loop()
        asked = set(self._wake_those_at_rest(self._fresh))
        self._fresh = [one for one in self._fresh if one not in asked and self._is_leaving(one, loop.time())]
        self._soon = loop.call_later(LOOK_LEAVING, self._wake_fresh) if self._fresh else None

    def _is_leaving(self, system_id: str, now: float) -> bool:
        line, since = self._lines.get(system_id), self._wanted.get(system_id, -LEAVES_WITHIN)
        return line is not None and line.held.left and now - since < LEAVES_WITHIN

    def _wake_again(self) -> None:
        """Ask again for those that have not come: a message may be lost, and a mark be late."""
        self._again = None
        self._wanted = {
            one: since for one, since in self._wanted.items() if one in self._lines and self._lines[one].held.needed
        }
        if self._wanted:
            self._wake_those_at_rest(self._wanted)
            self._again = asyncio.get_running_loop().call_later(WAKE_AGAIN, self._wake_again)

    def _wake_those_at_rest(self, systems: Iterable[str]) -> tuple[str, ...]:
        at_rest = tuple(filter(self._marks.has, systems))
        if at_rest:
            self._passivated.update(at_rest)
            self._wake(at_rest)
        return at_rest

    def _line(self, system_id: str) -> SystemConsumer:
        line = self._lines.get(system_id)
        if line is None:
            prefetch = self._settings.broker.prefetch
            line = self._lines[system_id] = SystemConsumer(
                system_id, self._broker, prefetch, self._registry, self._outcomes.settled,
                partial(self._want, system_id), lambda: self._node.believed, self._turns, self._former_within,
            )  # fmt: skip
            line.held.own(ours=self._ours)
            if self._ownership is not None and system_id in self._ownership.adopting:
                line.held.adopt(partial(self._ownership.adopted, system_id))
            line.open()
        return line

    def _declare_all(self) -> None:
        """Declare what those that are awake may need; a system at rest needs no more than its persist queue."""
        for line in self._lines.values():
            if line.held.known:
                line.declare()
