"""`docs/metrics.md`, written from the catalogue: python -m tests.support.metrics_page"""

from pathlib import Path

from maestro.telemetry.definitions import ALL
from maestro.telemetry.metrics import Kind

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"
HEAD = """\
# Metrics

`GET /metrics` at the gateway gives the metrics of all of Maestro's processes, in Prometheus' text format or, for who
accepts it, OpenMetrics. This page is written from `maestro/telemetry/definitions.py` by
`python -m tests.support.metrics_page`; a test sees that it is true. `config/prometheus/` holds a scrape configuration,
recording and alert rules, `config/grafana/` a dashboard; [`operations.md`](operations.md) says what to do about each
alert.

- Units are in the names: `_seconds`, `_bytes`; all else are counts.
- Counters begin at 0 with each life of the process that counts them; `rate()` and `increase()` take that into account.
- So do those of a system that moves to another node of a cluster: there they are other series, with that node's
  `instance`. Sum rates over the nodes (`sum by (system) (rate(…[5m]))`), never the totals.
- A system that does not answer within 1.5 s is `maestro_system_up 0`; its other metrics are missing from that scrape.
- Of a passivated system only its state, stale units, ledger and store are told, as they were when it came to rest.
- `actor` is `ingress`, `cascade`, `system` or `gateway`; the label `system` is empty for those that serve all systems.
- What ingress and cascade measure comes by way of the supervisor and is up to two seconds old.
- Buckets of all histograms, in seconds: {buckets}.

| metric | type | labels | meaning |
|---|---|---|---|
"""


def rendered() -> str:
    """Return the page."""
    bounds = next(metric.buckets for metric in ALL if metric.kind is Kind.HISTOGRAM)
    buckets = ", ".join(f"{bound:g}" for bound in bounds)
    rows = (
        f"| `{one.name}` | {one.kind} | {', '.join(f'`{label}`' for label in one.all_labels)} | {one.help} |\n"
        for one in ALL
    )
    return HEAD.format(buckets=buckets) + "".join(rows)


if __name__ == "__main__":
    PAGE.write_text(rendered(), "utf-8")
