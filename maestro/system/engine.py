"""Carries a step out in the right order: save, then publish the lock, then do.

`Needs` says how safe a step must be before each of its commands begins. Acknowledgements gather for a
moment (`GATHER_FOR`) and share one sync to disk; everything else that needs a sync gets it at once.

A store on disk is done with a commit when `commit` returns, and all goes on in the same turn. With a store elsewhere a
commit is under way for a while; facts are handled meanwhile, and what they order waits behind it, in order.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial

from maestro import faultpoints
from maestro.rules.commands import AckDelivery, Command, DeadLetterEvent, Look, Needs, ParkEvent
from maestro.rules.delivery import Delivery
from maestro.rules.document import Document
from maestro.rules.facts import (
    Committed,
    EventArrived,
    Fact,
    Looked,
    LookFailed,
    OutboxMessageDone,
    OutboxMessageRefused,
    ReconsiderAsked,
)
from maestro.rules.machine import Machine
from maestro.rules.picture import PART, Pictures
from maestro.rules.reconsidering import delivery_body, delivery_key
from maestro.rules.rendering import document_json
from maestro.rules.state import JudgingStage, Lock
from maestro.rules.step import DropEntry, Save, SaveEntry
from maestro.store.base import DONE, Commit, Store, StoreError, Write
from maestro.system.repository import Repository
from maestro.system.views import locked
from maestro.telemetry.definitions import STORE_SECONDS
from maestro.telemetry.metrics import MetricsRegistry
from maestro.telemetry.tracing import Trace

#: They wait for others to share a sync with, this long at most (seconds), or until so many gathered.
LAZY = (AckDelivery, ParkEvent, DeadLetterEvent)
GATHER_FOR = 0.4
GATHER_UP_TO = 64
#: Seconds that a rendered document is kept for others who send it.
KEPT_RENDERED_FOR = 0.1
#: Units from which on a document is rendered in parts that are kept.
LARGE = 500
#: After these there may be a commit's completion that no later transaction takes along.
_COMPLETIONS = frozenset({Committed, Looked, LookFailed})
#: A text whose answer is not stored counts as unanswered in the next life, and the run waits 30 s for it.
_ANSWERS = frozenset({OutboxMessageDone, OutboxMessageRefused})


@dataclass(slots=True)
class _UnderWay:
    """A commit that the store has not confirmed yet, and what comes after it."""

    commit: Commit
    durable: bool
    started: float
    saves: list[Save]
    #: The lock as the commit stores it.
    lock: Lock | None
    then: list[Callable[[], None]] = field(default_factory=list)


class Engine:
    """The machine, its store, and the order between them. All on one event loop.

    `prefetch`: deliveries that the broker hands over before one is settled.
    """

    def __init__(
        self,
        machine: Machine,
        repository: Repository,
        store: Store,
        *,
        carry_out: Callable[[Command], None],
        publish_lock: Callable[[Lock | None], None],
        saved: Callable[[list[Save]], None],
        broken: Callable[[Exception], None],
        registry: MetricsRegistry | None = None,
        trace: Trace | None = None,
        prefetch: int = 2 * GATHER_UP_TO,
    ) -> None:
        self.machine = machine
        self.repository = repository
        self._store = store
        self._carry_out = carry_out
        self._publish_lock = publish_lock
        self._saved = saved
        self._broken = broken
        #: As published, and as the last commit has it: who loads the system publishes what it loaded.
        self._lock = self._lock_committed = machine.system.lock()
        self._under_way: deque[_UnderWay] = deque()
        self._registry = registry or MetricsRegistry()
        self._trace = trace
        self._saves: list[Save] = []
        self._writes: list[Write] = []
        self._held: list[Command] = []
        self._timer: asyncio.TimerHandle | None = None
        #: With half of what the broker hands over before it is settled the other half is worked on meanwhile.
        self._gather_up_to = min(GATHER_UP_TO, max(1, prefetch // 2))
        self._failed = False
        #: Documents as JSON, rendered since the last fact; and the parts that large ones are rendered of.
        self._rendered: dict[str, bytes] = {}
        self._pictures = Pictures()
        self._idle: asyncio.Future[None] | None = None

    async def idle(self) -> None:
        """Return once no event is being judged, and no commit is under way."""
        if self._busy:
            self._idle = asyncio.get_running_loop().create_future()
            await self._idle

    @property
    def _busy(self) -> bool:
        return self.machine.system.judged is not None or bool(self.machine.system.commits_under_way)

    def feed(self, fact: Fact, body: bytes | None = None) -> None:
        """Let a fact happen now; `body` is an arrived event's original body."""
        if self._failed:
            return
        self._rendered.clear()
        try:
            step = self.machine.handle(fact, time.time())
        except Exception as problem:  # noqa: BLE001 - a bug: the state in memory is half changed, the stored one is not
            self._fail(problem)
            return
        system = self.machine.system
        if type(fact) is EventArrived and body is not None:
            self._remember(system.last_arrived, body)
        elif type(fact) is ReconsiderAsked and fact.id in system.documents:
            self._remember(system.deliveries.get(delivery_key(fact.id)), delivery_body(system.documents[fact.id]))
        if self._idle is not None and not (self._busy or self._idle.done()):
            self._idle.set_result(None)
        if self._trace is not None:
            self._trace.happened(fact, step.saves)
        self._saves.extend(step.saves)
        self._pictures.saved(step.saves)
        now: list[Command] = []
        stored = urgent = False
        for command in step.commands:
            if command.needs is Needs.SYNCED:
                self._held.append(command)
                urgent = urgent or not isinstance(command, LAZY)
            else:
                now.append(command)
                stored = stored or command.needs is Needs.STORED
        stored = stored or type(fact) in _ANSWERS
        stored = stored or (type(fact) in _COMPLETIONS and not self._verdict_follows(step.commands))
        self._store_for(stored=stored, urgent=urgent)
        self._carry_out_all(now)

    def _verdict_follows(self, commands: list[Command]) -> bool:
        """Whether an event is judged now, or as soon as a look is answered: its verdict takes a completion along.

        Else it is stored now, for a crash must not repeat the commit.
        """
        system = self.machine.system
        if system.judged is not None and system.judging_stage not in (JudgingStage.LOOKS, JudgingStage.DOUBT):
            return True
        next_one = bool(system.inbox) or system.judged is not None
        return next_one and any(type(one) is Look for one in commands)

    def _remember(self, delivery: Delivery | None, body: bytes) -> None:
        if delivery is not None and not delivery.done:
            self.repository.remember_body(delivery.number, body)

    def _carry_out_all(self, commands: Iterable[Command]) -> None:
        """Carry commands out, in order, once what was committed before is stored."""
        if self._under_way:
            self._under_way[-1].then += [partial(self._carry_out, command) for command in commands]
        else:
            for command in commands:
                self._do(partial(self._carry_out, command))

    def _do(self, act: Callable[[], None]) -> None:
        """Do what follows a commit, unless something has failed. What others wait behind must not be lost unseen."""
        if self._failed:
            return
        try:
            act()
        except Exception as problem:  # noqa: BLE001 - a bug: what was ordered is not done, and its end would never come
            self._fail(problem)

    def _store_for(self, *, stored: bool, urgent: bool) -> None:
        """Commit as the commands of a step need it; acknowledgements and the like may wait for others."""
        if urgent or len(self._held) >= self._gather_up_to:
            self.flush()
        elif stored or self._lock_moved():
            self._commit(durable=False)
        if (self._held or self._saves) and self._timer is None and not self._failed:
            self._timer = asyncio.get_running_loop().call_later(GATHER_FOR, self.flush)

    @property
    def unsaved(self) -> bool:
        """Whether something is still to be saved, or to be done once it is saved."""
        return bool(self._saves or self._held or self._writes or self._under_way)

    def rendered(self, doc: Document) -> bytes:
        """Return a document as JSON, rendered once for all who send it between two facts.

        A decision is answered with it, queued, announced and mirrored in a moment. Of a large one only that is made
        again which has changed since it was rendered last. Raises `StoreDamaged` when the units of an ended one cannot
        be read.
        """
        body = self._rendered.get(doc.id)
        if body is None:
            if len(doc.order) > LARGE:
                body = self._pictures.of(doc).render()
            else:
                self._pictures.drop(doc.id)  # it had more units
                body = document_json(doc, doc.order or self.repository.units(doc.id))
            self._rendered[doc.id] = body
            asyncio.get_running_loop().call_later(KEPT_RENDERED_FOR, self._rendered.pop, doc.id, None)
        return body

    async def prepare(self, doc: Document) -> None:
        """Make the parts that a large document is rendered of; others go on between two.

        It ends although the document changes with each of them: what is missing then is made by `rendered`.
        """
        for _ in range(0, len(doc.order), PART):
            if len(doc.order) <= LARGE or not self._pictures.of(doc).make_some():
                return
            await asyncio.sleep(0)

    def store(self) -> None:
        """Commit all that is to be saved: the store answers with it from now on."""
        if self._saves and not self._failed:
            self._commit(durable=False)

    def store_ledger(self) -> None:
        """Commit all that is to be saved, if the ledger's entries are among it: a look-up finds them from now on."""
        if any(type(save) is SaveEntry or type(save) is DropEntry for save in self._saves):
            self.store()

    def tell_lock(self) -> None:
        """Have the store tell the lock as it was loaded."""
        if not self._failed:
            self._store.show_lock(locked(self._lock_committed).body)
            self._commit(durable=False, empty=True)

    def once_stored(self, act: Callable[[], None]) -> None:
        """Store all that is to be saved, then `act`: what is shown to somebody must survive the death of the process.

        It never acts when the store fails: the process ends then.
        """
        self.store()
        if self._under_way:
            self._under_way[-1].then.append(act)
        else:
            self._do(act)

    async def settled(self) -> None:
        """Return once the store has confirmed what is committed by now."""
        if self._under_way:
            settled = asyncio.get_running_loop().create_future()
            self._under_way[-1].then.append(lambda: None if settled.done() else settled.set_result(None))
            await settled

    async def store_parts(self, parts: Iterable[Iterable[Write]]) -> None:
        """Commit rows that the rules do not know of, part by part: others go on between two."""
        for part in parts:
            self._writes.extend(part)
            if self._failed or not self._commit(durable=False):
                return
            await self.settled()
            await asyncio.sleep(0)

    def write_later(self, writes: Iterable[Write]) -> None:
        """Write rows that the rules do not know of, with the next commit."""
        self._writes.extend(writes)
        if self._timer is None and not self._failed:
            self._timer = asyncio.get_running_loop().call_later(GATHER_FOR, self.flush)

    def known(self, table: str, key: str) -> bool:
        """Whether a row is stored. Raises `StoreDamaged`."""
        return self._store.get(table, key) is not None

    def flush(self) -> None:
        """Commit all that is to be saved, synced to disk if a command needs that, and carry those commands out."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._failed or not self._commit(durable=bool(self._held)):
            return
        held, self._held = self._held, []
        self._carry_out_all(held)

    def sync(self) -> None:
        """Commit all that is to be saved, and have all that was committed survive the loss of power."""
        if not self._failed:
            self._commit(durable=True)

    def _commit(self, *, durable: bool, empty: bool = False) -> bool:
        """Commit all that is to be saved, or nothing (`empty`); False: it failed, and nothing goes on from there.

        It may be under way then: what follows waits behind it.
        """
        try:
            self._begin_commit(durable=durable, empty=empty)
        except Exception as problem:  # noqa: BLE001 - what was to be saved is in no store, whatever kept it out
            self._fail(problem)
            return False
        return True

    def _begin_commit(self, *, durable: bool, empty: bool) -> None:
        saves, self._saves = self._saves, []
        writes, self._writes = self.repository.writes(saves) + self._writes, []
        lock = self.machine.system.lock()
        if lock != self._lock_committed:
            self._lock_committed = lock
            self._store.show_lock(locked(lock).body)
            empty = True
        faultpoints.reach("system.before_store_commit")
        commit, started = DONE, 0.0
        if writes or durable or empty:
            started = time.perf_counter()
            commit = self._store.commit(writes, durable=durable)
            if commit.done():
                commit.result()
        under_way = _UnderWay(commit, durable, started, saves, lock)
        if commit.done() and not self._under_way:
            self._stored(under_way)
        else:
            self._under_way.append(under_way)
            if not commit.done():
                commit.add_done_callback(self._confirmed)

    def _confirmed(self, _: object) -> None:
        """The store is done with a commit: what waits behind it may begin, up to the next one that is under way."""
        while self._under_way and self._under_way[0].commit.done() and not self._failed:
            first = self._under_way.popleft()
            try:
                first.commit.result()
            except (StoreError, asyncio.CancelledError) as problem:
                self._fail(problem if isinstance(problem, StoreError) else StoreError("a commit was given up"))
                return
            self._stored(first)
            for act in first.then:
                self._do(act)

    def _stored(self, done: _UnderWay) -> None:
        if done.started:
            seconds = time.perf_counter() - done.started
            self._registry.observe(STORE_SECONDS, seconds, "true" if done.durable else "false")
        faultpoints.reach("system.after_store_commit")
        if done.lock != self._lock:
            self._lock = done.lock
            self._publish_lock(done.lock)
        self._saved(done.saves)

    def _fail(self, problem: Exception) -> None:
        """Memory is ahead of the store now: nothing of it may be acted on, nor stored."""
        self._failed = True
        self._broken(problem)

    def _lock_moved(self) -> bool:
        return self.machine.system.lock() != self._lock_committed
