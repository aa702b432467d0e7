"""What a system tells of itself in numbers: its process's counters, and what is read off its state when asked."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from maestro.broker.topology import SystemQueues
from maestro.rules.document import Document
from maestro.rules.doubt import CaseState
from maestro.rules.ledger_book import StaleState
from maestro.rules.state import Lock, System
from maestro.rules.status import Status
from maestro.rules.step import Save, SaveDocument
from maestro.store.row_store import RowStore
from maestro.system import views
from maestro.telemetry import definitions as metrics
from maestro.telemetry.metrics import Metric, MetricsRegistry, Sample, Snapshot

#: Verdicts that the rules count.
VERDICTS = ("commit", "pending", "waiting", "error", "duplicate", "superseded")


class SystemMetrics:
    """One system's metrics. `clock`: seconds, monotonic."""

    def __init__(
        self, system: System, registry: MetricsRegistry, store: RowStore, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._system = system
        self._registry = registry
        self._store = store
        self._clock = clock
        self._names = _queue_names(system.id)
        self._locked_at: float | None = None
        self._locked_for = 0.0
        self._progress_at = clock()

    def lock_moved(self, lock: Lock | None) -> None:
        """The lock was taken, changed or released."""
        if lock is not None and self._locked_at is None:
            self._locked_at = self._clock()
        elif lock is None and self._locked_at is not None:
            self._locked_for += self._clock() - self._locked_at
            self._locked_at = None

    def saved(self, saves: Iterable[Save]) -> None:
        """Note whether a run has come further: its header is saved with each replay and each change of status."""
        for save in saves:
            if type(save) is SaveDocument:
                self._progress_at = self._clock()
                return

    def snapshot(self, depths: dict[str, int] | None, depths_age: float) -> Snapshot:
        """Return all metrics as they are now; `depths` of the queues by name, as measured `depths_age` seconds ago."""
        return self._registry.snapshot(
            [
                *self._counted(),
                *self._held(),
                *self._ledger(),
                *self._running(),
                *self._stored(),
                *self._queues(depths, depths_age),
            ]
        )

    def _counted(self) -> Iterator[Sample]:
        counters = self._system.counters
        for verdict in VERDICTS:
            yield Sample(metrics.EVENTS.name, (verdict,), getattr(counters, verdict))
        yield _one(metrics.REPLAYS, counters.replayed)
        yield _one(metrics.CASCADED, counters.cascaded)
        for (outcome,) in metrics.DOUBTS_ENDED.known:
            yield Sample(metrics.DOUBTS_ENDED.name, (outcome,), self._system.doubts_ended.get(outcome, 0))

    def _held(self) -> Iterator[Sample]:
        system = self._system
        state = views.state(system)
        for name in metrics.STATES:
            yield Sample(metrics.STATE.name, (name,), float(name == state))
        pending = [doc for doc in system.live.values() if doc.status is Status.PENDING]
        yield _one(metrics.PENDING, len(pending))
        yield _one(metrics.PENDING_AGE, max((_age(doc) for doc in pending), default=0.0))
        yield _one(metrics.WAITING, len(system.waiting))
        yield _one(metrics.INBOX, len(system.inbox) + (system.judged is not None))
        yield _one(metrics.OUTBOX, len(system.outbox))
        called = [commit.since for commit in system.commits_under_way.values()]
        yield _one(metrics.COMMIT_AGE, max(0.0, time.time() - min(called)) if called else 0.0)
        yield _one(metrics.LONGEST_COMMIT, system.longest_commit)
        yield _one(metrics.IN_DOUBT, sum(case.state is CaseState.DOUBT for case in system.cases.values()))
        yield _one(metrics.DOUBTS, len(system.open_doubts))
        yield _one(metrics.LOOKS_OWED, len(system.looks))
        stall = system.stalled()
        yield _one(metrics.STALLED, max(0.0, time.time() - stall.since) if stall else 0.0)
        lock = system.lock()
        yield _one(metrics.LOCK_AGE, max(0.0, time.time() - lock.since) if lock else 0.0)
        now_held = 0.0 if self._locked_at is None else self._clock() - self._locked_at
        yield _one(metrics.LOCK_HELD, self._locked_for + now_held)

    def _ledger(self) -> Iterator[Sample]:
        book = self._system.ledger
        yield _one(metrics.LEDGER_ROWS, book.size)
        yield _one(metrics.LEDGER_HELD, book.held_alone)
        states = Counter(one.state for one in book.stale.values())
        for state in StaleState:
            yield Sample(metrics.STALE.name, (state.value,), states[state])

    def _running(self) -> Iterator[Sample]:
        doc = self._system.running()
        going = doc is not None and doc.status is not Status.PAUSED
        yield _one(metrics.RUN_IDLE, self._clock() - self._progress_at if going else 0.0)
        yield _one(metrics.RUN_OUTSTANDING, len(doc.outstanding) + (doc.current is not None) if doc else 0)

    def _stored(self) -> Iterator[Sample]:
        sizes = self._store.sizes()
        if sizes is not None:
            yield _one(metrics.STORE_BYTES, sizes.used)
            yield _one(metrics.STORE_FREE, sizes.free)
        else:
            yield _one(metrics.STORE_WAITS, self._store.waits)

    def _queues(self, depths: dict[str, int] | None, age: float) -> Iterator[Sample]:
        if depths is None:
            return
        yield _one(metrics.QUEUE_AGE, age)
        for queue, depth in depths.items():
            if depth >= 0:
                yield Sample(metrics.QUEUE.name, (self._names[queue],), depth)


def _one(metric: Metric, value: float) -> Sample:
    return Sample(metric.name, (), value)


def _age(doc: Document) -> float:
    return max(0.0, time.time() - doc.since)


def _queue_names(system_id: str) -> dict[str, str]:
    queues = SystemQueues(system_id)
    return {
        queues.persist: "persist", queues.wait: "wait", queues.persist_error: "error",
        queues.reprocessings: "reprocessing", queues.reprocessings_error: "reprocessing_error",
        queues.events: "events", queues.control: "control",
    }  # fmt: skip
