"""The service inside the cascade actor: grows and feeds the queues that mirror the running reprocessings."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator

from maestro import faultpoints, logs
from maestro.board.owner_view import OwnerView
from maestro.broker import open_broker
from maestro.broker.base import Broker, BrokerError, BrokerUnavailable, Delivery, Message, Unroutable, trouble
from maestro.broker.topology import EXCHANGES, REPROCESSING, REPROCESSING_EVENTS, SystemQueues
from maestro.debounce import Debounce
from maestro.links.items import CASCADE, Hello
from maestro.links.listener import Listener
from maestro.links.session import Session
from maestro.messages.answers import BROKER_PROBLEM
from maestro.messages.cascade import (
    CascadeDone,
    DeadLetterDocument,
    DequeueControl,
    DequeueReprocessing,
    DequeueUnit,
    EmptyUnitQueues,
    EnqueueReprocessing,
    EnqueueUnits,
    ToCascade,
)
from maestro.settings.model import Settings
from maestro.tasks import Tasks, until_connected, until_done
from maestro.telemetry.definitions import BLOCKED, CONNECTED, OF_CASCADE, OPERATION_SECONDS
from maestro.telemetry.metrics import MetricsRegistry, Sample, Snapshot

#: What takes a message off a unit queue.
Removal = DequeueUnit | DequeueControl
#: How far down the events queue the unit just sent is looked for. Before it stand only units that are stale.
LOOK_AHEAD = 32
#: Removals done together: their messages are taken off in one go, and are in memory meanwhile.
TOGETHER = 32


class CascadeService:
    """One broker connection, one line of operations per system."""

    def __init__(self, settings: Settings, epoch: int) -> None:
        self._log = logs.get(actor=CASCADE)
        self._broker = open_broker(settings.broker, settings.data_dir)
        self._owner = OwnerView(settings)
        self._registry = MetricsRegistry(OF_CASCADE)
        own = Hello(CASCADE, epoch)
        self._links = Listener(settings.data_dir, own, settings.actors, self._registry, self.met)
        self._lines: dict[str, QueueWorker] = {}
        self._debounce = Debounce(self._declare_all)
        self._tasks = Tasks(self._log)

    @property
    def problem(self) -> str:
        """Whether the broker can be reached and takes what is published, and the links are well."""
        if problem := trouble(self._broker):
            return BROKER_PROBLEM + problem
        return self._links.problem

    def snapshot(self) -> Snapshot:
        """Return what cascade measured."""
        return self._registry.snapshot(
            [
                Sample(CONNECTED.name, (), float(self._broker.connected)),
                Sample(BLOCKED.name, (), float(bool(self._broker.blocked))),
            ]
        )

    async def start(self) -> None:
        """Connect in the background, and let the systems come."""
        await self._broker.start()
        await until_connected(self._broker)
        self._tasks.start(until_done(lambda: self._broker.declare((), EXCHANGES), self._log), "declare")
        self._links.open()

    async def stop(self) -> None:
        """Stop; operations that are not done are asked for again after the next start."""
        await self._links.close()
        self._debounce.cancel()
        await asyncio.gather(*(line.close() for line in self._lines.values()))
        await self._tasks.close()
        await self._broker.close()

    def met(self, system: Hello, session: Session) -> None:
        """A system is there, with a session that takes the place of its last one."""
        line = self._lines.get(system.system_id) or self._new_line(system.system_id)
        session.on_item = line.receive
        line.attach(session)

    def _new_line(self, system_id: str) -> "QueueWorker":
        self._debounce.put_off()
        line = self._lines[system_id] = QueueWorker(system_id, self._broker, self._registry, self._owner)
        return line

    def _declare_all(self) -> None:
        for line in self._lines.values():
            line.declare()


class QueueWorker:
    """One system's operations: each is done before the next begins."""

    def __init__(self, system_id: str, broker: Broker, registry: MetricsRegistry, owner: OwnerView) -> None:
        self._registry = registry
        self._owner = owner
        self._queues = SystemQueues(system_id)
        self._broker = broker
        self._log = logs.get(system=system_id, actor=CASCADE)
        self._session: Session | None = None
        self._declare = asyncio.Event()
        self._todo: deque[tuple[Session, ToCascade]] = deque()
        self._more = asyncio.Event()
        self._tasks = Tasks(self._log)
        self._tasks.start(self._run(), "operations")

    def attach(self, session: Session) -> None:
        """The system's actor is there, perhaps a new one: what an earlier one asked is void, it asks again."""
        self._session = session
        self._todo.clear()

    def declare(self) -> None:
        """Have the queues declared; the first operation does so as well."""
        self._declare.set()

    def receive(self, operation: object) -> None:
        """Take an operation. How many there are is bounded by the system, which waits for what it needs."""
        assert self._session is not None
        self._declare.set()
        self._todo.append((self._session, operation))  # type: ignore[arg-type]  # a system sends nothing else
        self._more.set()

    async def close(self) -> None:
        """Stop."""
        await self._tasks.close()

    async def _run(self) -> None:
        await self._declare.wait()
        await until_done(lambda: self._broker.declare(self._queues.reprocessing_bindings()), self._log)
        while True:
            self._more.clear()
            while self._todo:
                await self._owner.until_acts()  # what stands on the queues may be another installation's
                if not self._todo:
                    break
                session, operation = self._todo.popleft()
                if isinstance(operation, Removal):
                    await self._remove(session, [operation, *self._removals_behind(session)])
                else:
                    await self._carry_out(session, operation)
            await self._more.wait()

    async def _carry_out(self, session: Session, operation: ToCascade) -> None:
        started = time.perf_counter()
        problem = await self._patiently(type(operation).__name__, lambda: self._do(operation))
        self._done(session, operation, problem, time.perf_counter() - started)

    async def _remove(self, session: Session, removals: list[Removal]) -> None:
        """Take messages off. Nothing waits for that: its end travels with others."""
        started = time.perf_counter()
        units = [each.id for each in removals if isinstance(each, DequeueUnit)]
        of_units, of_control = await asyncio.gather(
            self._patiently(DequeueUnit.__name__, lambda: self._take_units(units)),
            self._patiently(DequeueControl.__name__, lambda: self._take_control(len(removals) - len(units))),
        )
        seconds = (time.perf_counter() - started) / len(removals)
        for each in removals:
            self._done(session, each, of_units if isinstance(each, DequeueUnit) else of_control, seconds, lazy=True)

    def _removals_behind(self, session: Session) -> Iterator[Removal]:
        """Take the removals that come next off the line, up to `TOGETHER` with the first."""
        for _ in range(TOGETHER - 1):
            whose, operation = self._todo[0] if self._todo else (None, None)
            if whose is not session or not isinstance(operation, Removal):
                return
            self._todo.popleft()
            yield operation

    def _done(
        self, session: Session, operation: ToCascade, problem: str, seconds: float, *, lazy: bool = False
    ) -> None:
        self._registry.observe(OPERATION_SECONDS, seconds, type(operation).__name__)
        faultpoints.reach("cascade.before_done")
        if session is self._session:
            session.post(CascadeDone(operation.op, problem), lazy=lazy)

    async def _patiently(self, name: str, work: Callable[[], Awaitable[None]]) -> str:
        """Do work. A broker that is away is waited for; what it refuses twice is a problem, not repeated."""
        try:
            await until_done(lambda: self._with_queues(work), self._log, only=BrokerUnavailable)
        except BrokerError as problem:
            self._log.error("operation refused", operation=name, cause=str(problem))
            return str(problem)
        return ""

    async def _with_queues(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do it; a queue that somebody deleted is declared again, once."""
        try:
            await work()
        except Unroutable:
            await self._broker.declare(self._queues.reprocessing_bindings())
            await work()

    async def _do(self, operation: ToCascade) -> None:
        queues = self._queues
        match operation:
            case EnqueueReprocessing(document=document, id=id_):
                await self._broker.publish(REPROCESSING, queues.system_id, Message(document, id_, moved=True))
            case DeadLetterDocument(document=document, id=id_):
                await self._broker.publish(REPROCESSING, queues.error_key, Message(document, id_, moved=True))
            case DequeueReprocessing(id=id_):
                await self._take_out(queues.reprocessings, id_)
            case EnqueueUnits():
                await self._enqueue(operation)
            case EmptyUnitQueues():
                await self._empty()

    async def _empty(self) -> None:
        """Empty both queues. What is published for both is not refused when one is missing: that is found here."""
        purged = [await self._broker.purge(queue) for queue in (self._queues.events, self._queues.control)]
        if None in purged:
            await self._broker.declare(self._queues.reprocessing_bindings())

    async def _enqueue(self, operation: EnqueueUnits) -> None:
        if operation.fresh:
            await self._empty()
        both, control = self._queues.events_and_control_key, f"control_{self._queues.system_id}"
        messages = [(control, unit) for unit in operation.in_flight] + [(both, unit) for unit in operation.units]
        await asyncio.gather(
            *(
                self._broker.publish(REPROCESSING_EVENTS, key, Message(body, id_, moved=True))
                for key, (id_, body) in messages
            )
        )

    async def _take_control(self, count: int) -> None:
        if count:
            for delivery in await self._broker.get_some(self._queues.control, count):
                self._broker.ack(delivery)

    async def _take_units(self, ids: list[str]) -> None:
        """Take messages off. As a rule they stand at the head, in this order; else each is looked for."""
        taken = await self._broker.get_some(self._queues.events, len(ids)) if ids else []
        if [delivery.message_id for delivery in taken] == ids:
            for delivery in taken:
                self._broker.ack(delivery)
            return
        for delivery in taken:
            self._broker.requeue(delivery)
        for id_ in ids:
            await self._take_up_to(self._queues.events, id_)

    async def _take_up_to(self, queue: str, id_: str) -> None:
        """Take a message off, and what stands before it (stale); leave all as it is when it is not near the head."""
        taken: list[Delivery] = []
        try:
            while len(taken) < LOOK_AHEAD and (delivery := await self._broker.get(queue)) is not None:
                taken.append(delivery)
                if delivery.message_id == id_:
                    for stale in taken:
                        self._broker.ack(stale)
                    taken.clear()
                    return
        finally:
            for delivery in taken:
                self._broker.requeue(delivery)

    async def _take_out(self, queue: str, id_: str) -> None:
        """Take every message of an id off; the others go back to their places."""
        others: list[Delivery] = []
        try:
            while (delivery := await self._broker.get(queue)) is not None:
                if delivery.message_id == id_:
                    self._broker.ack(delivery)
                else:
                    others.append(delivery)
        finally:
            for delivery in others:
                self._broker.requeue(delivery)
