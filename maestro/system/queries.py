"""Answers the gateway's questions to a system: from the state, or through the rules (then a ticket is kept)."""

import asyncio
import time
from collections.abc import Callable

import msgspec
import orjson

from maestro import logs
from maestro.events import BadInput, edited
from maestro.messages.answers import Answer, Code
from maestro.messages.decisions import Decision, Reconsider
from maestro.messages.ingress import MeasureQueues
from maestro.messages.questions import (
    AwaitChange,
    CheckLock,
    CopyStore,
    DescribeSystem,
    ExplainPolicies,
    FindDocuments,
    FindUnits,
    ForgetAnswer,
    GetDocument,
    GetHeldInstance,
    GetReplays,
    GetUnits,
    GetWaiting,
    ListDeliveries,
    ListDoubts,
    ListErrorGroups,
    ListErrors,
    ListPolicies,
    ListRecords,
    ListSkipped,
    ListStale,
    ListTodo,
    ListWaiting,
    Measure,
    PersistSync,
    Question,
    ReadStore,
    Redrive,
    ReportReplayFailure,
    ResolveDoubt,
    SetAside,
)
from maestro.rules import facts
from maestro.rules.commands import Reply
from maestro.rules.document import Document
from maestro.rules.facts import AnswerLost, DoubtResolved
from maestro.rules.rendering import document_json, sync_answer
from maestro.system import policy_views, stale_view, store_view, views, waiting_views
from maestro.system.arrivals import accept_failure, accept_sync, sync_fingerprint
from maestro.system.changes import Changes
from maestro.system.decisions import fact_of
from maestro.system.engine import Engine
from maestro.system.error_queue_client import ErrorQueueClient
from maestro.system.metrics import SystemMetrics
from maestro.system.records import records
from maestro.system.todo import Todo
from maestro.system.unit_search import UnitSearch
from maestro.webhooks.worker import Webhooks

Give = Callable[[Answer], None]
#: Seconds a measurement of the queues is taken for the present, and is waited for.
MEASURED_FOR, MEASURE_TIMEOUT = 0.5, 1.0
#: Seconds between two measurements of the queues for `/metrics`, and after which one is not told any more.
MEASURE_EVERY, MEASURE_FORGOTTEN = 15.0, 60.0


class Questions:
    """Answers what the gateway asks of one system."""

    def __init__(
        self,
        engine: Engine,
        errors: ErrorQueueClient,
        changes: Changes,
        metrics: SystemMetrics,
        webhooks: Webhooks,
        measure: Callable[[object], bool],
        epoch: int,
        revoked: Callable[[str], bool],
    ) -> None:
        self._revoked = revoked
        self._engine = engine
        self._metrics = metrics
        self._errors = errors
        self._changes = changes
        self._webhooks = webhooks
        self._system = engine.machine.system
        self._log = logs.get()
        self._measure = measure
        self._epoch = epoch
        self._last_ticket = 0
        #: Who waits for a ticket, and whether it is a sync persist's.
        self._tickets: dict[int, tuple[Give, bool]] = {}
        self._depths: dict[str, int] | None = None
        self._measured_at = float("-inf")
        self._asked_at = float("-inf")
        self._describing: list[Give] = []
        self._search = UnitSearch()
        self._todo = Todo(self._system, engine.repository)

    def ask(self, question: Question, give: Give) -> None:
        """Answer a question, now or later, exactly once."""
        given = False

        def once(answer: Answer) -> None:
            nonlocal given
            given = True
            give(answer)

        try:
            self._ask(question, once)
        except BadInput as problem:
            give(Answer(Code.INVALID, message=str(problem)))
        except Exception as problem:  # noqa: BLE001 - logged; who asks is answered
            failed = self._failed(problem)
            if not given:
                give(failed)

    def _ask(self, question: Question, give: Give) -> None:  # noqa: C901, PLR0912 - one for each kind of question
        match question:
            case DescribeSystem(measure=measure):
                self._describe(give, measure=measure)
            case ListTodo():
                self._describe(lambda _: self._show(give, lambda: self._todo.answer(self._depths)), measure=True)
            case Measure() | ListDeliveries():
                give(self._recorded(question))
            case GetHeldInstance():
                give(self._held_instance(question.id))
            case GetUnits():
                self._show(give, lambda: views.units(self._system, self._engine.repository, question))
            case FindUnits():
                give(self._find_units(question))
            case GetReplays():
                self._show(give, lambda: views.replays(self._system, self._engine.repository, question))
            case AwaitChange():
                self._await_change(question, give)
            case ListDoubts():
                self._show(give, lambda: views.doubts(self._system))
            case ResolveDoubt():
                self._resolve(question, give)
            case ListPolicies() | ExplainPolicies():
                self._engine.store()
                give(policy_views.answer(self._system, question))
            case ReadStore():
                give(store_view.answer(self._engine.repository.store, question))
            case CopyStore():
                give(store_view.copied(self._engine.repository.store))
            case ListErrors():
                self._errors.peek(question, give)
            case ListErrorGroups():
                self._errors.group(question, give)
            case Redrive():
                self._errors.redrive(question, give)
            case SetAside(user=user, reason=reason):
                self._engine.feed(facts.SetAside(user, self._ticket(give, sync=False), reason))
            case PersistSync() | ForgetAnswer():
                self._persist_sync(question, give)
            case ReportReplayFailure(event=event):
                self._report_failure(event, give)
            case CheckLock():  # answered from what was published
                give(views.locked(self._system.lock()))
            case (
                ListWaiting()
                | GetWaiting()
                | ListSkipped()
                | ListStale()
                | ListRecords()
                | FindDocuments()
                | GetDocument()
            ):
                self._show(give, lambda: self._look_up(question))
            case _:
                self._decide(question, give)

    def _persist_sync(self, question: PersistSync | ForgetAnswer, give: Give) -> None:
        if isinstance(question, ForgetAnswer):
            self._engine.feed(AnswerLost(sync_fingerprint(question), question.call))
            give(Answer(Code.OK))
        else:
            fact, body = accept_sync(question, self._system.id, self._ticket(give, sync=True))
            self._engine.feed(fact, body)

    def _recorded(self, question: Measure | ListDeliveries) -> Answer:
        """Answer what was measured or sent."""
        if isinstance(question, Measure):
            return self._metrics_now()
        return self._webhooks.page(question.after, question.limit)

    def _show(self, give: Give, answer: Callable[[], Answer]) -> None:
        """Answer from what the state and the store say. What is shown is stored: a crash takes none of it back."""
        self._engine.store()
        try:
            shown = answer()
        except BadInput:
            raise
        except Exception as problem:  # noqa: BLE001 - as above
            shown = self._failed(problem)
        self._engine.once_stored(lambda: give(shown))

    def _look_up(  # noqa: PLR0911 - one for each question
        self,
        question: ListWaiting | GetWaiting | ListSkipped | ListStale | ListRecords | FindDocuments | GetDocument,
    ) -> Answer:
        match question:
            case ListWaiting(after=after, limit=limit):
                return waiting_views.waiting(self._system, self._engine.repository, after, limit)
            case GetWaiting(number=number):
                return waiting_views.waiting_event(self._system, self._engine.repository, number)
            case ListSkipped(after=after, limit=limit):
                return views.skipped(self._system, after, limit)
            case ListStale(state=state, after=after, limit=limit):
                return stale_view.stale(self._system, self._engine.repository, state, after, limit)
            case ListRecords():
                return records(self._system, question)
            case FindDocuments():
                return views.documents(self._system, self._rendered, question)
            case GetDocument(id=id_, after=after, limit=limit):
                return self._document(id_, after, limit)

    def _decide(self, decision: Decision, give: Give) -> None:
        """Let it happen; the rules answer the ticket. What the store alone knows must be in it."""
        ticket = self._ticket(give, sync=isinstance(decision, Reconsider))
        self._engine.flush()
        self._engine.feed(fact_of(decision, ticket, self._system, self._engine.repository, self._revoked))

    def _resolve(self, asked: ResolveDoubt, give: Give) -> None:
        """Let a person's word on a commit in doubt happen."""
        ticket = self._ticket(give, sync=False)
        self._engine.flush()
        self._engine.feed(DoubtResolved(asked.key, asked.verdict, asked.user, ticket, asked.reason))

    @property
    def busy(self) -> bool:
        """Whether somebody waits for an answer, other than that something changed."""
        return bool(self._tickets or self._describing)

    # --- tickets -----------------------------------------------------------------------------------------------

    def _ticket(self, give: Give, *, sync: bool) -> int:
        self._last_ticket += 1
        self._tickets[self._last_ticket] = (give, sync)
        return self._last_ticket

    def reply(self, reply: Reply) -> None:
        """The rules answered a ticket."""
        give, sync = self._tickets.pop(reply.ticket)
        give(Answer(reply.code, self._reply_body(reply, sync=sync), reply.message))

    def _reply_body(self, reply: Reply, *, sync: bool) -> bytes:
        if reply.document_id:
            body = self._document(reply.document_id).body
            return sync_answer(body) if sync else edited(body, dict(reply.fields)) if reply.fields else body
        return orjson.dumps(dict(reply.fields)) if reply.fields else b""

    def _document(self, id_: str, after: int = 0, limit: int = 0) -> Answer:
        doc = self._system.documents.get(id_)
        if doc is None:
            return Answer(Code.NOT_FOUND, message=f"no reprocessing {id_}")
        if limit:
            return Answer(Code.OK, views.document_page(self._system, doc, self._engine.repository, after, limit))
        return Answer(Code.OK, views.document(self._system, doc, self._engine.rendered(doc)))

    def _rendered(self, doc: Document) -> bytes:
        """Render one of many documents: an ended one is for nobody else."""
        return self._engine.rendered(doc) if doc.order else document_json(doc, self._engine.repository.units(doc.id))

    def _find_units(self, question: FindUnits) -> Answer:
        doc = self._system.documents.get(question.id)
        if doc is None:
            return Answer(Code.NOT_FOUND, message=f"no reprocessing {question.id}")
        self._engine.store()
        units = sorted(doc.order or self._engine.repository.units(doc.id), key=lambda unit: unit.position)
        return self._search.found(doc, units, question)

    def _held_instance(self, id_: str) -> Answer:
        doc = self._system.documents.get(id_)
        if doc is None:
            return Answer(Code.NOT_FOUND, message=f"no reprocessing {id_}")
        held = {"systemId": self._system.id, "instanceId": doc.held_instance, "branch": doc.branch}
        return Answer(Code.OK, orjson.dumps(held))

    def _report_failure(self, event: bytes, give: Give) -> None:
        fact = accept_failure(event)
        if fact is not None:
            self._engine.feed(fact)
            self._engine.flush()
        self._engine.once_stored(lambda: give(Answer(Code.OK, b'{"message": "ok"}')))

    # --- watching ----------------------------------------------------------------------------------------------

    def _await_change(self, question: AwaitChange, give: Give) -> None:
        """Answer once something changed: the system and the document that is at stake."""

        def tell(moved: bool) -> None:  # noqa: FBT001 - what `Changes.wait` calls
            if moved:
                self._describe(show, measure=True)
            else:
                give(Answer(Code.OK, message=question.after))

        def show(described: Answer) -> None:
            doc = views.document_watched(self._system, self._changes.document_id)
            body = views.watched(self._system, doc, self._engine.repository, described.body)
            give(Answer(Code.OK, body, self._changes.version))

        self._changes.wait(question.after, question.seconds, tell)

    # --- describing --------------------------------------------------------------------------------------------

    def _describe(self, give: Give, *, measure: bool) -> None:
        if not measure or time.monotonic() - self._measured_at < MEASURED_FOR:
            give(views.described(self._system, self._depths, self._epoch))
            return
        self._describing.append(give)
        if len(self._describing) > 1:
            return
        if self._measure(MeasureQueues()):
            asyncio.get_running_loop().call_later(MEASURE_TIMEOUT, self._describe_all)
        else:
            self._depths = None
            self._describe_all()

    def _metrics_now(self) -> Answer:
        """Answer at once, and have the queues measured for next time."""
        now = time.monotonic()
        if now - max(self._asked_at, self._measured_at) >= MEASURE_EVERY and self._measure(MeasureQueues()):
            self._asked_at = now
        age = now - self._measured_at
        depths = self._depths if age < MEASURE_FORGOTTEN else None
        return Answer(Code.OK, msgspec.json.encode(self._metrics.snapshot(depths, age)))

    def measured(self, depths: dict[str, int]) -> None:
        """Ingress measured the queues."""
        self._depths = depths or None
        self._measured_at = time.monotonic()
        self._describe_all()

    def _describe_all(self) -> None:
        waiting, self._describing = self._describing, []
        for give in waiting:
            try:
                give(views.described(self._system, self._depths, self._epoch))
            except Exception as problem:  # noqa: BLE001 - as above; the others are answered, too
                give(self._failed(problem))

    def _failed(self, problem: Exception) -> Answer:
        """Say that a question cannot be answered for a defect: nobody is to wait for it."""
        self._log.exception("a question could not be answered")
        return Answer(Code.UNAVAILABLE, message=f"it cannot be answered ({type(problem).__name__}: {problem})")
