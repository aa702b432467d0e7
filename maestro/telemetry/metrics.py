"""What a process counts about itself: plain numbers, cheap enough for every event, and a snapshot of them to send.

Pure: no I/O, no clock. One writer at a time: each process registry on its service's loop.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from msgspec import Struct


class Kind(StrEnum):
    """How a metric behaves, as Prometheus names it."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Scope(StrEnum):
    """The metric's owner; the collector adds these labels before the metric's own."""

    #: One system's: labels `system`.
    SYSTEM = "system"
    #: One process's: labels `actor`, and `system` (empty for those that serve all).
    ACTOR = "actor"
    #: The gateway's own, or of all together: no label.
    GATEWAY = "gateway"


SCOPE_LABELS = {Scope.SYSTEM: ("system",), Scope.ACTOR: ("actor", "system"), Scope.GATEWAY: ()}


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric: its name (with its unit at the end), kind, meaning and labels."""

    name: str
    kind: Kind
    help: str
    scope: Scope
    labels: tuple[str, ...] = ()
    #: Upper bounds of a histogram's buckets, ascending, without infinity.
    buckets: tuple[float, ...] = ()
    #: Label values that a counter shows from the start, at 0: an alert sees the first increase, too.
    known: tuple[tuple[str, ...], ...] = ()

    @property
    def all_labels(self) -> tuple[str, ...]:
        """The labels of its samples: those of its scope, then its own."""
        return SCOPE_LABELS[self.scope] + self.labels


class Sample(Struct, frozen=True):
    """One value of a counter or gauge."""

    metric: str
    labels: tuple[str, ...]
    value: float


class Distribution(Struct, frozen=True):
    """One histogram: observations per bucket (the last one is that above all bounds), and their sum."""

    metric: str
    labels: tuple[str, ...]
    counts: tuple[int, ...]
    total: float


class Snapshot(Struct, frozen=True):
    """All that one process measured, at one moment."""

    samples: tuple[Sample, ...] = ()
    distributions: tuple[Distribution, ...] = ()


class ActorState(Struct, frozen=True):
    """One process as its overseer knows it; `snapshot` is what it told of itself, if it tells it this way."""

    actor: str
    system: str
    pid: int
    running: bool
    restarts: int
    snapshot: Snapshot | None = None


class _Histogram:
    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0


class MetricsRegistry:
    """The counters and histograms of one process; `metrics` are those that show from the start, with known labels."""

    def __init__(self, metrics: Iterable[Metric] = ()) -> None:
        self._counters: dict[tuple[str, tuple[str, ...]], float] = {}
        self._read: dict[str, Callable[[], float]] = {}
        self._histograms: dict[tuple[str, tuple[str, ...]], _Histogram] = {}
        self.show(metrics)

    def show(self, metrics: Iterable[Metric]) -> None:
        """Have these show from now on, with known labels, at 0 if nothing was counted yet."""
        for metric in metrics:
            for labels in metric.known:
                self.count(metric, *labels, by=0.0)
            if metric.kind is Kind.HISTOGRAM and not metric.labels:
                self._histograms.setdefault((metric.name, ()), _Histogram(metric.buckets))

    def count(self, metric: Metric, *labels: str, by: float = 1.0) -> None:
        """Add to a counter."""
        key = (metric.name, labels)
        self._counters[key] = self._counters.get(key, 0.0) + by

    def observe(self, metric: Metric, value: float, *labels: str) -> None:
        """Count an observation (of a time: in seconds) in a histogram."""
        key = (metric.name, labels)
        histogram = self._histograms.get(key)
        if histogram is None:
            histogram = self._histograms[key] = _Histogram(metric.buckets)
        histogram.counts[bisect_left(histogram.bounds, value)] += 1
        histogram.total += value

    def read_off(self, metric: Metric, read: Callable[[], float]) -> None:
        """Have a gauge or counter without labels read off each time a snapshot is taken."""
        self._read[metric.name] = read

    def snapshot(self, more: Iterable[Sample] = ()) -> Snapshot:
        """Return all metrics as they are now, and `more`: values that are read off a state rather than counted."""
        counted = [Sample(name, labels, value) for (name, labels), value in self._counters.items()]
        counted += [Sample(name, (), read()) for name, read in self._read.items()]
        return Snapshot(
            (*counted, *more),
            tuple(
                Distribution(name, labels, tuple(histogram.counts), histogram.total)
                for (name, labels), histogram in self._histograms.items()
            ),
        )
