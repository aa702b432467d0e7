"""The log of decisions: one line per verdict and per change of a reprocessing, with who, what and how long.

What it tells in words it also counts.
"""

import time
from collections.abc import Iterable

from maestro import logs
from maestro.rules.delivery import Delivery, Verdict
from maestro.rules.document import Document
from maestro.rules.doubt import Doubt
from maestro.rules.policies import Demand, Effect
from maestro.rules.state import System
from maestro.rules.step import Save, SaveDelivery, SaveDocument, SaveDoubt, SavePreview, SaveUnit
from maestro.telemetry.definitions import ERRORS, EVENT_SECONDS, POLICIES, REPROCESSINGS, error_class
from maestro.telemetry.metrics import MetricsRegistry


class DecisionLog:
    """Writes what the rules decided, once it is stored."""

    def __init__(self, system: System, registry: MetricsRegistry) -> None:
        self._registry = registry
        self._log = logs.get(system=system.id)
        #: How many entries of each document's history were told, and the events whose end was not told yet.
        self._told = {id_: len(doc.history) for id_, doc in system.documents.items()}
        self._open = set(system.waiting)

    def note(self, saves: Iterable[Save]) -> None:
        """Tell of the decisions among what was saved."""
        for save in saves:
            if type(save) is SaveUnit:  # most of them
                continue
            if type(save) is SaveDelivery:
                self._delivery(save.delivery)
            elif type(save) is SaveDocument:
                self._document(save.document)
            elif type(save) is SaveDoubt:
                self._doubt(save.doubt)
            elif type(save) is SavePreview:
                self._log.info("preview changed", reprocessing=save.document.id, units=save.document.total,
                               before=len(save.units))  # fmt: skip

    def _doubt(self, doubt: Doubt) -> None:
        ids = {"key": doubt.key, "use": str(doubt.use), "instance": doubt.instance_id}
        if doubt.open:
            self._log.error("commit in doubt: a person must say what became of it", **ids,
                            delivery=doubt.delivery or None, reprocessing=doubt.document or None,
                            cause=doubt.cause)  # fmt: skip
        else:
            self._log.warning("commit in doubt resolved", **ids, verdict=doubt.verdict, user=doubt.user,
                              reason=doubt.reason)  # fmt: skip

    def _delivery(self, delivery: Delivery) -> None:
        first = delivery.number not in self._open
        if not delivery.done:
            self._open.add(delivery.number)
            if first and delivery.verdict is Verdict.WAITING:
                self._verdict(delivery)
            elif delivery.verdict is Verdict.ERROR:
                self._log.error("event judged", **self._facts(delivery), reason=delivery.reason)
                self._registry.count(ERRORS, error_class(delivery.reason))
            return
        self._open.discard(delivery.number)
        # What waited is saved again, done, when its copy has left the wait queue: told already.
        if delivery.verdict is not Verdict.ERROR and not (first and delivery.waited):
            self._verdict(delivery)

    def _verdict(self, delivery: Delivery) -> None:
        self._log.info("event judged", **self._facts(delivery))

    def _facts(self, delivery: Delivery) -> dict[str, object]:
        assert delivery.verdict is not None
        verdict = delivery.verdict.value
        seconds = time.time() - delivery.admitted_at
        self._registry.observe(EVENT_SECONDS, seconds, verdict)
        return {
            "instance": delivery.instance_id,
            "delivery": delivery.key,
            "number": delivery.number,
            "verdict": verdict,
            "replay": delivery.replay,
            "duration": round(seconds, 4),
        }

    def _demand(self, doc: Document, demand: Demand) -> None:
        self._registry.count(POLICIES, demand.approval.value)
        if demand.skip_refused:
            self._registry.count(POLICIES, Effect.REFUSE_SKIP.value)
        self._log.info(
            "policies weighed", reprocessing=doc.id, approval=demand.approval.value, skip_refused=demand.skip_refused,
            policies=[f"{one}: {one.why}" for one in demand.by],
        )  # fmt: skip

    def _document(self, doc: Document) -> None:
        if doc.id not in self._told and doc.demand is not None:
            self._demand(doc, doc.demand)
        for index, entry in enumerate(doc.history[self._told.get(doc.id, 0) :], start=self._told.get(doc.id, 0)):
            if not doc.is_note(index):
                self._registry.count(REPROCESSINGS, entry.status.value)
            self._log.info(
                "reprocessing", reprocessing=doc.id, instance=doc.held_instance, status=entry.status.value,
                user=entry.user, cause=entry.cause or None, reason=entry.reason or None, replayed=doc.replayed,
                units=doc.total, duration=round(entry.at - doc.history[0].at, 3),
            )  # fmt: skip
        self._told[doc.id] = len(doc.history)
