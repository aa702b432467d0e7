"""Snapshots of many processes as one text that Prometheus reads."""

from collections.abc import Iterable, Iterator
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric as Family

from maestro.telemetry.definitions import ALL
from maestro.telemetry.metrics import Distribution, Kind, Metric, Sample, Scope, Snapshot

_FAMILIES: Final = {
    Kind.COUNTER: CounterMetricFamily,
    Kind.GAUGE: GaugeMetricFamily,
    Kind.HISTOGRAM: HistogramMetricFamily,
}


class Merged:
    """A collector over snapshots: each comes with the labels of its scopes."""

    def __init__(self) -> None:
        self._families: dict[str, tuple[Metric, Family]] = {
            metric.name: (metric, _FAMILIES[metric.kind](metric.name, metric.help, labels=metric.all_labels))
            for metric in ALL
        }

    def add(self, snapshot: Snapshot, actor: str = "", system: str = "") -> None:
        """Add what one process measured; what this version does not know (of an older process) is left out."""
        prefix = {Scope.SYSTEM: (system,), Scope.ACTOR: (actor, system), Scope.GATEWAY: ()}
        for sample in snapshot.samples:
            known = self._families.get(sample.metric)
            if known is not None:
                metric, family = known
                family.add_metric((*prefix[metric.scope], *sample.labels), sample.value)  # type: ignore[attr-defined]  # all kinds here have it
        for distribution in snapshot.distributions:
            known = self._families.get(distribution.metric)
            if known is not None and len(distribution.counts) == len(known[0].buckets) + 1:
                metric, family = known
                labels = (*prefix[metric.scope], *distribution.labels)
                family.add_metric(labels, _buckets(metric, distribution), distribution.total)  # type: ignore[attr-defined]  # as above

    def one(self, metric: Metric, value: float, *labels: str, actor: str = "", system: str = "") -> None:
        """Add a single value."""
        self.add(Snapshot((Sample(metric.name, labels, value),)), actor, system)

    def collect(self) -> Iterable[Family]:
        """Yield the families; called by the registry."""
        return (family for _, family in self._families.values())


def _buckets(metric: Metric, distribution: Distribution) -> list[tuple[str, float]]:
    def cumulative() -> Iterator[tuple[str, float]]:
        total = 0
        for bound, count in zip((*map(str, metric.buckets), "+Inf"), distribution.counts, strict=True):
            total += count
            yield bound, total

    return list(cumulative())


def rendered(merged: Merged, accept: str) -> tuple[bytes, str]:
    """Return the text and its content type: OpenMetrics for who accepts that, else Prometheus' own format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(merged)
    try:
        encode, content_type = choose_encoder(accept)
    except Exception:  # noqa: BLE001 - the library's own parser fails in several ways on a version that is none
        encode, content_type = choose_encoder("")
    return encode(registry), content_type
