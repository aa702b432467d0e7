"""Counting is cheap, snapshots travel as JSON, and the catalogue keeps Prometheus' rules."""

import re
import timeit

import msgspec
import pytest

from maestro.telemetry import definitions
from maestro.telemetry.definitions import ALL, COMMIT_SECONDS, ERRORS, TRIES, error_class
from maestro.telemetry.metrics import Distribution, Kind, Metric, MetricsRegistry, Sample, Snapshot
from tests.support import metrics_page


def test_counters_and_histograms_add_up() -> None:
    registry = MetricsRegistry()
    registry.count(TRIES, "domain", "ok")
    registry.count(TRIES, "domain", "ok", by=2)
    for seconds in (0.0004, 0.001, 0.002, 77.0):
        registry.observe(COMMIT_SECONDS, seconds, "event")
    found = registry.snapshot([Sample("more", (), 1.0)])
    assert found.samples == (Sample(TRIES.name, ("domain", "ok"), 3.0), Sample("more", (), 1.0))
    (only,) = found.distributions
    assert only.counts == (2, 1, *[0] * (len(COMMIT_SECONDS.buckets) - 2), 1), "an upper bound belongs to its bucket"
    assert only.total == pytest.approx(77.0034)


def test_known_labels_are_there_from_the_start() -> None:
    reasons = {sample.labels[0]: sample.value for sample in MetricsRegistry([ERRORS]).snapshot().samples}
    assert reasons["bad_input"] == 0.0
    assert set(definitions.SIBLINGS) < set(reasons)


def test_a_snapshot_travels() -> None:
    snapshot = Snapshot((Sample("a", ("x",), 1.5),), (Distribution("b", (), (1, 0), 0.1),))
    assert msgspec.json.decode(msgspec.json.encode(snapshot), type=Snapshot) == snapshot


def test_an_observation_costs_less_than_a_microsecond() -> None:
    registry = MetricsRegistry()
    times = 20_000

    def best(statement: str) -> float:
        names = {"m": registry, "h": COMMIT_SECONDS, "c": TRIES}
        return min(timeit.repeat(statement, globals=names, number=times, repeat=7)) / times

    # Three times the limit, for a machine that is busy with other tests; the best of seven is about 0.3 µs.
    assert best("m.observe(h, 0.0123, 'event')") < 3e-6
    assert best("m.count(c, 'domain', 'ok')") < 3e-6


@pytest.mark.parametrize("metric", ALL, ids=lambda metric: metric.name)
def test_names_say_what_prometheus_wants_to_know(metric: Metric) -> None:
    assert re.fullmatch(r"maestro_[a-z_]+", metric.name)
    assert metric.name.endswith("_total") == (metric.kind is Kind.COUNTER)
    assert metric.help.endswith(".")
    assert bool(metric.buckets) == (metric.kind is Kind.HISTOGRAM)
    assert list(metric.buckets) == sorted(metric.buckets)
    assert len(set(metric.all_labels)) == len(metric.all_labels)
    assert all(len(values) == len(metric.labels) for values in metric.known)


def test_no_two_metrics_share_a_family() -> None:
    families = [metric.name.removesuffix("_total") for metric in ALL]
    assert len(set(families)) == len(families)


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("discovery.impacted: answered 500", "discovery"),
        ("domain.commit: no answer within 30 s", "domain"),
        ("superseded", "superseded"),
        ("reprocessing.id: 'x' is not running", "unknown_reprocessing"),
        ("RuntimeError: a bug", "other"),
        ("", "other"),
    ],
)
def test_reasons_fall_into_few_classes(reason: str, expected: str) -> None:
    assert error_class(reason) == expected


def test_the_page_is_true() -> None:
    assert metrics_page.PAGE.read_text("utf-8") == metrics_page.rendered(), (
        "write it: python -m tests.support.metrics_page"
    )
