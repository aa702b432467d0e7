"""Which metrics the files for Prometheus and Grafana speak of."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "config" / "prometheus"
DASHBOARD = ROOT / "config" / "grafana" / "maestro-dashboard.json"
RULES = (PROMETHEUS / "alerts.yml", PROMETHEUS / "recording.yml")
CONFIG = (*RULES, PROMETHEUS / "prometheus.yml", DASHBOARD)


def expressions() -> Iterator[tuple[str, str]]:
    """Yield every expression with the name of its file."""
    for path in RULES:
        text = re.sub(
            r"expr: >-\n((?: {10}.*\n)+)",
            lambda found: f"expr: {' '.join(found[1].split())}\n",
            path.read_text("utf-8"),
        )
        for line in text.splitlines():
            if (found := re.match(r" +expr: (.+)", line)) is not None:
                yield path.name, found[1]
    for panel in json.loads(DASHBOARD.read_text("utf-8"))["panels"]:
        for target in panel.get("targets", []):
            yield DASHBOARD.name, target["expr"]


def names_in(expression: str) -> set[str]:
    """Return the metrics an expression reads, those that rules record among them."""
    return set(re.findall(r"\bmaestro[:_][a-z0-9_:]+", re.sub(r'"[^"]*"', '""', expression)))


def recorded() -> set[str]:
    """Return the names that rules record."""
    return set(re.findall(r"record: (\S+)", (PROMETHEUS / "recording.yml").read_text("utf-8")))
