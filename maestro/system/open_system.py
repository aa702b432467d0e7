"""One system while its store is open: its engine, the links to ingress and cascade, and all that works beside.

ingress ──Arrived──> ┌────────────────┐ ──commands──> SiblingCalls ──> siblings
        <──Ack/Park─ │ Engine: rules, │ ──commands──> CascadeClient ──> cascade actor
gateway ──Asked────> │ store, order   │ ──Reply──> gateway
                     └────────────────┘
"""

import asyncio
import os
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress

from maestro import faultpoints, logs
from maestro.access.tokens import TokenFile
from maestro.links.dialer import Dialer
from maestro.links.items import CASCADE, INGRESS, SYSTEM, Hello
from maestro.links.session import Session
from maestro.messages.answers import Answer
from maestro.messages.cascade import CascadeDone
from maestro.messages.questions import UNOBTRUSIVE, Question
from maestro.platform import Platform
from maestro.rules import commands as do
from maestro.rules import facts
from maestro.rules.machine import Machine
from maestro.rules.resting import keeps_awake
from maestro.rules.state import Lock, System
from maestro.rules.step import Save, SaveDocument, SaveUnit
from maestro.settings.model import Settings
from maestro.store.base import StoreError
from maestro.store.row_store import RowStore
from maestro.system import views
from maestro.system.cascade_client import CascadeClient
from maestro.system.changes import Changes
from maestro.system.deciders import Deciders
from maestro.system.decision_log import DecisionLog
from maestro.system.dispatcher import Handlers
from maestro.system.engine import Engine
from maestro.system.error_queue_client import ErrorQueueClient
from maestro.system.ingress_client import IngressClient
from maestro.system.leave import Leave
from maestro.system.metrics import SystemMetrics
from maestro.system.mirror import DocumentMirror, no_mirror
from maestro.system.outbox import Outbox
from maestro.system.queries import Questions
from maestro.system.repository import Repository
from maestro.system.sibling_calls import SiblingCalls
from maestro.telemetry.definitions import ALARMS
from maestro.telemetry.metrics import MetricsRegistry, Snapshot
from maestro.telemetry.tracing import open_trace
from maestro.webhooks.worker import Webhooks

#: Exit status of an actor that cannot trust what it has in memory (EX_IOERR).
EXIT_FAILED = 74
#: Seconds a stop waits for the commit in hand.
STOP_GRACE = 3.0


class OpenSystem:
    """All that lives while the store is open."""

    def __init__(
        self,
        settings: Settings,
        epoch: int,
        store: RowStore,
        repository: Repository,
        system: System,
        platform: Platform,
        registry: MetricsRegistry,
        publish_lock: Callable[[Lock | None], None],
        leave_gateway: Leave,
    ) -> None:
        self._settings = settings
        self._epoch = epoch
        self._store = store
        self._platform = platform
        self._registry = registry
        self._tell_lock = publish_lock
        self._asked = 0
        self._log = logs.get(system=system.id)
        self._system = system
        self._metrics = SystemMetrics(system, registry, store)
        self._trace = open_trace(settings.trace, system)
        self._engine = Engine(
            Machine(self._system), repository, store, carry_out=self._carry_out, publish_lock=self._publish_lock,
            saved=self._saved, broken=self._broken, registry=registry, trace=self._trace,
            prefetch=settings.broker.prefetch,
        )  # fmt: skip
        self._decision_log = DecisionLog(self._system, registry)
        self._sibling_calls = SiblingCalls(settings, platform, self._engine, registry, self._trace)
        self._cascade_client = CascadeClient(self._engine)
        self._deciders = Deciders(settings, system.id, self._feed)
        self._outbox = Outbox(self._system, self._engine, platform)
        self._mirror = DocumentMirror(self._engine, store, platform, settings.platform)
        self._mirror_changed = self._mirror.changed if settings.platform.mirror_documents else no_mirror()
        self._webhooks = Webhooks(system, self._engine.write_later, store, settings.webhooks, self._engine.settled)
        self._changes = Changes(epoch)
        self._ingress_client = IngressClient(
            system, self._engine, self._changes, settings.broker, registry, self._trace
        )
        self._leaves = (leave_gateway, self._ingress_client.leave)
        self._error_queues = ErrorQueueClient(self._ingress_client.post, settings.http)
        self.questions = Questions(
            self._engine, self._error_queues, self._changes, self._metrics, self._webhooks, self._ingress_client.post,
            epoch, TokenFile(settings.data_dir).revoked,
        )  # fmt: skip
        self._ingress_client.measured = self.questions.measured
        self._ingress_client.answered = self._error_queues.answered
        self._handlers = self.handlers()
        own = Hello(SYSTEM, epoch, system_id=system.id)
        self._links = [
            Dialer(settings.data_dir, name, own, settings.actors, registry, met)
            for name, met in ((INGRESS, self._ingress_client.attach), (CASCADE, self._cascade_met))
        ]
        self._tasks: list[asyncio.Task[None]] = []

    def begin(self) -> None:
        """Carry on where the store says."""
        self._publish_lock(self._system.lock())
        self._engine.tell_lock()
        self._own("outbox", self._outbox.run())
        if self._settings.platform.mirror_documents:
            self._own("mirror", self._mirror.run())
        self._own("webhooks", self._webhooks.run())
        for document in self._engine.repository.ahead.load(self._store):
            self._sibling_calls.remove_units(document)
        self._feed(facts.Resumed())
        for link in self._links:
            link.open()

    def _own(self, name: str, work: Coroutine[None, None, None]) -> None:
        """Run a background task; its death is the actor's: a new one starts from the store."""

        def died(task: asyncio.Task[None]) -> None:
            if not task.cancelled() and task.exception() is not None:
                self._log.error("background task died", task=name, exc_info=task.exception())
                os._exit(EXIT_FAILED)

        task = asyncio.create_task(work, name=name)
        task.add_done_callback(died)
        self._tasks.append(task)

    async def end(self, *, synced: bool = False) -> None:
        """Let the commit in hand finish, then store everything and close; `synced`: the loss of power takes none.

        Raises:
            StoreError: the store did not confirm all in time; it is closed all the same.
        """
        self._system.closing = True
        await asyncio.gather(*(link.close() for link in self._links))
        self._ingress_client.lost()
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_GRACE):
                await self._engine.idle()
        for task in self._tasks:
            task.cancel()
        await self._sibling_calls.close()
        self._error_queues.close()
        self._changes.close()
        self._engine.flush()
        if synced:
            self._engine.sync()
        try:
            async with asyncio.timeout(STOP_GRACE):
                await self._engine.settled()
        except TimeoutError:
            raise StoreError("a commit was not confirmed before the stop") from None
        finally:
            if self._trace is not None:
                await self._trace.close()
            await self._platform.close()
            self._store.close()

    # --- passivation (see `maestro.system.passivation`) ----------------------------------------------------------

    def ask(self, question: Question, give: Callable[[Answer], None]) -> None:
        """Answer a question of the gateway, now or later, exactly once."""
        self._asked += not isinstance(question, UNOBTRUSIVE)
        self.questions.ask(question, give)

    def tell(self, question: Question, give: Callable[[Answer], None]) -> None:
        """Answer a question of our own, which is no activity."""
        self.questions.ask(question, give)

    @property
    def activity(self) -> tuple[float, str, int]:
        """Another value after each fact and each question, but for questions that any system is asked."""
        return self._system.now, self._changes.version, self._asked

    @property
    def keeps_awake(self) -> str:
        """What the system must stay awake for; empty: it is at rest."""
        if self._engine.unsaved or self._sibling_calls.busy or self._cascade_client.busy or self._outbox.busy:
            return "something is being carried out"
        if self.questions.busy or self._error_queues.busy:
            return "somebody waits for an answer"
        if self._mirror.busy or self._webhooks.busy:
            return "a reprocessing is still to be told elsewhere"
        return keeps_awake(self._system, time.time())

    def measured(self) -> Snapshot:
        """Return what `/metrics` is told, without the depths of queues."""
        return self._metrics.snapshot(None, 0.0)

    def watched(self, described: bytes) -> bytes:
        """Render what a watcher sees of the system, which is described so."""
        doc = views.document_watched(self._system, self._changes.document_id)
        return views.watched(self._system, doc, self._engine.repository, described)

    async def may_leave(self) -> bool:
        """Whether gateway and ingress have nothing for the system, and hold back from now on what comes."""
        self._changes.release()  # who only watches is told what there is, and watches the next life
        return all(await asyncio.gather(*(leave.ask() for leave in self._leaves)))

    def stay(self) -> None:
        """Go on, after all."""
        for leave in self._leaves:
            leave.take_back()

    # --- links -------------------------------------------------------------------------------------------------

    @property
    def store_problem(self) -> str:
        """What keeps the store from commits: nothing can be decided, and nothing that happened be shown."""
        return self._store.problem

    @property
    def problem(self) -> str:
        """What keeps the store from commits, or was wrong with a link lately; empty: nothing."""
        if problem := self.store_problem:
            return f"store: {problem}"
        return next((link.problem for link in self._links if link.problem), "")

    def _cascade_met(self, session: Session) -> None:
        session.on_item = self._from_cascade
        self._cascade_client.attach(session)

    def _from_cascade(self, item: object) -> None:
        if isinstance(item, CascadeDone):
            self._cascade_client.done(item)

    # --- commands ----------------------------------------------------------------------------------------------

    def _feed(self, fact: facts.Fact) -> None:
        self._engine.feed(fact)

    def handlers(self) -> Handlers:
        """Return who carries out which command."""
        return {
            **self._sibling_calls.handlers(),
            **self._cascade_client.handlers(),
            **self._ingress_client.handlers(),
            **self._deciders.handlers(),
            do.Reply: self._reply,
            do.RaiseAlarm: self._raise_alarm,
        }

    def _carry_out(self, command: do.Command) -> None:
        self._handlers[type(command)](command)

    def _reply(self, command: do.Reply) -> None:
        faultpoints.reach("system.before_reply")
        self.questions.reply(command)

    def _raise_alarm(self, command: do.RaiseAlarm) -> None:
        self._registry.count(ALARMS, command.alarm.value)
        self._log.warning(command.text, alarm=command.alarm.value, instance=command.instance_id)

    def _publish_lock(self, lock: Lock | None) -> None:
        self._metrics.lock_moved(lock)
        self._tell_lock(lock)

    def _saved(self, saves: list[Save]) -> None:
        self._decision_log.note(saves)
        self._metrics.saved(saves)
        changed = {save.document.id for save in saves if type(save) is SaveDocument or type(save) is SaveUnit}
        for id_ in changed:
            self._mirror_changed(id_)
            self._webhooks.changed(id_)
        if saves:
            self._changes.moved(changed)
        self._outbox.nudge(saves)

    def _broken(self, problem: Exception) -> None:
        what = "store failed" if isinstance(problem, StoreError) else "rules failed"
        self._log.critical(f"{what}; starting again from what is stored", cause=str(problem), exc_info=problem)
        os._exit(EXIT_FAILED)
