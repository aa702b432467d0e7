"""Traces of one system as OpenTelemetry has them.

    persist event ──┬── ingress                           reprocessing ──┬── event_manager.starting
                    ├── discovery.impacted                               ├── domain.commit        (what was held)
                    └── domain.commit                                    └── replay ──┬── event_manager.replay
                                                                                      ├── persist event (its result)
                                                                                      ├── discovery.impacted
                                                                                      └── domain.commit

One trace per event, from the broker to its verdict (an event that waited: one trace, two spans), and one per
approval of a reprocessing, from the decision to the end. Nothing is added to the platform's events: traces are linked
by ids, which are attributes of each span. A trace's id is made of them, so it goes on after a restart.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import ParamSpec, TypeVar

from opentelemetry import trace as otel
from opentelemetry.trace import Span, StatusCode
from opentelemetry.trace import Status as SpanStatus

from maestro import logs
from maestro.rules import commands as do
from maestro.rules.delivery import Delivery, Verdict
from maestro.rules.document import Document
from maestro.rules.facts import EventArrived, Fact
from maestro.rules.state import System
from maestro.rules.status import Status
from maestro.rules.step import Save, SaveDelivery, SaveDocument, SaveUnit
from maestro.rules.unit import IN_FLIGHT, Unit, UnitState
from maestro.settings.model import TraceSettings
from maestro.telemetry.span_export import Provider

_NAMES = {
    do.AskImpact: "discovery.impacted",
    do.FetchOrigins: "process_memory.origins",
    do.Commit: "domain.commit",
    do.CommitHeld: "domain.commit",
    do.SendReplay: "event_manager.replay",
    do.AskReplayImpact: "discovery.impacted",
    do.FetchReplayOrigins: "process_memory.origins",
    do.CommitReplay: "domain.commit",
}
_OF_EVENT = (do.AskImpact, do.FetchOrigins, do.Commit)
_OF_UNIT = (do.SendReplay, do.AskReplayImpact, do.FetchReplayOrigins, do.CommitReplay)
Attributes = Mapping[str, str | int | bool]
P = ParamSpec("P")
R = TypeVar("R")

_WELL = (Status.FINISHED, Status.CANCELLED, Status.SKIPPED)


def _harmless(hook: Callable[P, R]) -> Callable[P, R | None]:
    """Let no defect here stop an event: it costs spans, and a line of the log."""

    @wraps(hook)
    def guarded(*arguments: P.args, **named: P.kwargs) -> R | None:
        try:
            return hook(*arguments, **named)
        except Exception:  # noqa: BLE001 - as the docstring says
            logs.get(part="trace").exception("trace.defect")
            return None

    return guarded


class OpenCall:
    """A sibling call's span."""

    def __init__(self, span: Span) -> None:
        self._span = span

    def end(self, problem: str) -> None:
        """See `tracing.Call`."""
        _end(self._span, problem)


class Spans:
    """A `tracing.Trace`. It holds the spans of what is in hand: events being judged, live documents."""

    def __init__(self, settings: TraceSettings, system: System) -> None:
        self._system = system
        self._provider = Provider(settings, system.id)
        self._delivered: dict[str, float] = {}
        self._events: dict[str, Span] = {}
        #: By document: the span of its run, and how many entries of its history were told.
        self._runs: dict[str, Span] = {}
        self._told = {id_: len(doc.history) for id_, doc in system.documents.items()}
        #: By document: the unit in flight, which send of it, and its span.
        self._units: dict[str, tuple[int, int, Span]] = {}

    @_harmless
    def delivered(self, key: str, at: float) -> None:
        """See `Trace.delivered`."""
        self._delivered[key] = at

    @_harmless
    def happened(self, fact: Fact, saves: Sequence[Save]) -> None:
        """See `Trace.happened`."""
        if isinstance(fact, EventArrived):
            self._arrived(fact, saves)
        for save in saves:
            match save:
                case SaveUnit(document, unit):
                    self._unit_moved(document, unit)
                case SaveDocument(document):
                    self._document_moved(document)
                case SaveDelivery(delivery):
                    self._delivery_moved(delivery)

    @_harmless
    def call(self, command: do.Command) -> OpenCall | None:
        """See `Trace.call`."""
        parent = self._parent(command)
        if parent is None:
            return None
        name = f"event_manager.{command.kind}" if isinstance(command, do.Notify) else _NAMES[type(command)]
        instance = getattr(command, "instance_id", "")
        return OpenCall(self._child(parent, name, {"maestro.instance": instance} if instance else {}))

    async def close(self) -> None:
        """See `Trace.close`."""
        left = [*self._events.values(), *(span for _, _, span in self._units.values()), *self._runs.values()]
        for span in left:
            span.set_attribute("maestro.cut_off", True)  # noqa: FBT003 - an attribute's value
            span.end()
        await self._provider.close()

    # --- events --------------------------------------------------------------------------------------------------

    def _arrived(self, fact: EventArrived, saves: Sequence[Save]) -> None:
        at = self._delivered.pop(fact.key, 0.0)
        delivery = self._system.deliveries.get(fact.key)
        if delivery is None or fact.key in self._events:
            return
        saved = any(isinstance(save, SaveDelivery) and save.delivery is delivery for save in saves)
        if not saved and (delivery.done or delivery.verdict is not None):
            return  # a redelivery, or the copy on the wait queue
        replay = fact.replay
        flight = self._units.get(replay.id) if replay is not None else None
        span = self._event(delivery, at, flight[2] if flight is not None and delivery.replay else None)
        if replay is not None:
            span.set_attribute("maestro.reprocessing", replay.id)
        if at:
            self._child(span, "ingress", {}, at).end()

    def _event(self, delivery: Delivery, at: float = 0.0, parent: Span | None = None) -> Span:
        attributes: Attributes = {
            "maestro.delivery": delivery.key, "maestro.instance": delivery.instance_id,
            "maestro.waited": delivery.waited,
        }  # fmt: skip
        if parent is not None:
            span = self._child(parent, "persist event", attributes, at)
        else:
            span = self._root("persist event", ("event", self._system.id, delivery.key), attributes, at)
        self._events[delivery.key] = span
        return span

    def _delivery_moved(self, delivery: Delivery) -> None:
        if delivery.verdict is None or not (delivery.done or delivery.verdict is not Verdict.COMMIT):
            return
        span = self._events.pop(delivery.key, None)
        if span is not None:
            span.set_attribute("maestro.verdict", delivery.verdict.value)
            _end(span, delivery.reason if delivery.verdict is Verdict.ERROR else "")

    # --- reprocessings -------------------------------------------------------------------------------------------

    def _document_moved(self, doc: Document) -> None:
        told = range(self._told.get(doc.id, 0), len(doc.history))
        new = [doc.history[index] for index in told if not doc.is_note(index)]
        self._told[doc.id] = len(doc.history)
        for entry in new:
            if entry.status is Status.PENDING:
                continue
            self._run(doc).add_event(entry.status.value, {"maestro.user": entry.user}, _ns(entry.at))
        if new and not doc.live:
            self._end_unit(doc, "the reprocessing ended")
            span = self._runs.pop(doc.id)
            span.set_attribute("maestro.status", doc.status.value)
            span.set_attribute("maestro.replayed", doc.replayed)
            _end(span, "" if doc.status in _WELL else new[-1].cause or doc.status.value)

    def _run(self, doc: Document) -> Span:
        span = self._runs.get(doc.id)
        if span is None:
            approvals = [
                entry.at
                for index, entry in enumerate(doc.history)
                if entry.status is Status.APPROVED and not doc.is_note(index)
            ]
            about = ("reprocessing", doc.id, str(len(approvals)))
            attributes: Attributes = {
                "maestro.reprocessing": doc.id, "maestro.instance": doc.held_instance, "maestro.units": doc.total
            }  # fmt: skip
            span = self._root("reprocessing", about, attributes, approvals[-1] if approvals else 0.0)
            self._runs[doc.id] = span
        return span

    def _unit_moved(self, doc: Document, unit: Unit) -> None:
        if unit.state is UnitState.DONE:
            if self._is_open(doc, unit):
                self._end_unit(doc)
        elif unit.state is not UnitState.OUTSTANDING:
            span = self._unit(doc, unit)
            if unit.state not in IN_FLIGHT and unit.result_instance:
                span.set_attribute("maestro.result", unit.result_instance)
        elif self._is_open(doc, unit):
            self._end_unit(doc, "to be replayed again")

    def _is_open(self, doc: Document, unit: Unit) -> bool:
        known = self._units.get(doc.id)
        return known is not None and known[0] == unit.position

    def _unit(self, doc: Document, unit: Unit) -> Span:
        known = self._units.get(doc.id)
        if known is not None and known[:2] == (unit.position, unit.sends):
            return known[2]
        self._end_unit(doc, "sent again")
        attributes: Attributes = {
            "maestro.instance": unit.instance_id, "maestro.branch": unit.branch, "maestro.send": unit.sends,
            "maestro.cascade": unit.cause >= 0,
        }  # fmt: skip
        span = self._child(self._run(doc), "replay", attributes)
        self._units[doc.id] = (unit.position, unit.sends, span)
        return span

    def _end_unit(self, doc: Document, problem: str = "") -> None:
        known = self._units.pop(doc.id, None)
        if known is not None:
            _end(known[2], problem)

    # --- spans ---------------------------------------------------------------------------------------------------

    def _parent(self, command: do.Command) -> Span | None:
        if isinstance(command, _OF_EVENT):
            judged = self._system.judged
            return None if judged is None else self._events.get(judged.key) or self._event(judged)
        doc = self._system.documents.get(getattr(command, "id", ""))
        if doc is None:
            return None
        if isinstance(command, _OF_UNIT) and doc.current is not None:
            return self._unit(doc, doc.current)
        if isinstance(command, do.CommitHeld) or (isinstance(command, do.Notify) and command.kind == "starting"):
            return self._run(doc)
        return None  # news of an end that is told already, and questions before a decision

    def _root(self, name: str, about: tuple[str, ...], attributes: Attributes, start: float = 0.0) -> Span:
        self._provider.ids.about = about
        try:
            nobody = otel.set_span_in_context(otel.INVALID_SPAN)
            return self._provider.tracer.start_span(name, nobody, attributes=attributes, start_time=_ns(start))
        finally:
            self._provider.ids.about = ()

    def _child(self, parent: Span, name: str, attributes: Attributes, start: float = 0.0) -> Span:
        context = otel.set_span_in_context(parent)
        return self._provider.tracer.start_span(name, context, attributes=attributes, start_time=_ns(start))


def _ns(at: float) -> int:
    return int(at * 1e9) if at else time.time_ns()


def _end(span: Span, problem: str) -> None:
    if problem:
        span.set_status(SpanStatus(StatusCode.ERROR, problem[:300]))
    span.end()
