"""The files for Prometheus and Grafana: valid by promtool, complete, and about metrics that exist."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from maestro.telemetry.definitions import ALL, BY_NAME
from maestro.telemetry.metrics import Kind
from tests.support.lacking import lacking
from tests.support.metric_names import CONFIG, DASHBOARD, PROMETHEUS, expressions, names_in, recorded

ROOT = Path(__file__).parents[3]
ALERTS = (PROMETHEUS / "alerts.yml").read_text("utf-8")
OPERATIONS = (ROOT / "docs" / "operations.md").read_text("utf-8")
BLOCKS = {block.split("\n", 1)[0].strip(): block for block in ALERTS.split("- alert:")[1:]}


@pytest.fixture
def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        lacking("promtool (Debian: prometheus)")
    return found


def run(promtool: str, *arguments: str, cwd: Path = PROMETHEUS) -> str:
    done = subprocess.run([promtool, *arguments], cwd=cwd, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_configuration_and_rules_are_valid(promtool: str) -> None:
    run(promtool, "check", "config", "--lint=all", "--lint-fatal", "prometheus.yml")
    run(promtool, "check", "rules", "--lint=all", "--lint-fatal", "alerts.yml", "recording.yml")


def test_every_alert_fires_when_it_should_and_not_before(promtool: str, tmp_path: Path) -> None:
    cases = Path(__file__).with_name("alerts_test.yml")
    for path in (cases, PROMETHEUS / "alerts.yml", PROMETHEUS / "recording.yml"):
        shutil.copy(path, tmp_path)
    run(promtool, "test", "rules", cases.name, cwd=tmp_path)
    tested = set(re.findall(r"^ +name: (\w+)$", cases.read_text("utf-8"), re.MULTILINE))
    assert tested == set(BLOCKS)


@pytest.mark.parametrize("alert", BLOCKS)
def test_each_alert_says_what_why_and_what_to_do(alert: str) -> None:
    block = BLOCKS[alert]
    assert re.search(r'summary: "[^"]{10,}"', block)
    assert re.search(r'description: "[^"]{20,}"', block)
    anchor = re.search(r"runbook: docs/operations\.md#(\S+)", block)
    assert anchor is not None
    headings = {heading.lower() for heading in re.findall(r"^#+ (\w+)$", OPERATIONS, re.MULTILINE)}
    assert anchor[1] in headings


def test_runbooks_link_to_what_is_there() -> None:
    headings = {text.lower().replace(" ", "-") for text in re.findall(r"^#+ (.+)$", OPERATIONS, re.MULTILINE)}
    assert set(re.findall(r"\]\(#([a-z-]+)\)", OPERATIONS)) <= headings


def test_all_expressions_are_about_metrics_that_exist() -> None:
    for where, expression in expressions():
        names = names_in(expression)
        assert names or "up{" in expression, f"{where}: {expression}"
        for name in names:
            metric = BY_NAME.get(name) or BY_NAME.get(re.sub(r"_(bucket|count|sum)$", "", name))
            assert metric is not None or name in recorded(), f"{where}: {name}"
            if metric is not None and name != metric.name:
                assert metric.kind is Kind.HISTOGRAM


def test_the_dashboard_can_be_read_by_grafana() -> None:
    dashboard = json.loads(DASHBOARD.read_text("utf-8"))
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert {variable["name"] for variable in dashboard["templating"]["list"]} == {"datasource", "system"}
    assert not list(overlaps([panel["gridPos"] for panel in panels]))


def test_most_of_what_is_measured_is_shown() -> None:
    shown = {re.sub(r"_(bucket|count|sum)$", "", name) for _, text in expressions() for name in names_in(text)}
    assert {metric.name for metric in ALL} - shown == set()


def overlaps(places: list[dict[str, int]]) -> Iterator[tuple[Any, Any]]:
    for index, one in enumerate(places):
        assert one["x"] + one["w"] <= 24
        for other in places[:index]:
            apart_x = one["x"] >= other["x"] + other["w"] or other["x"] >= one["x"] + one["w"]
            apart_y = one["y"] >= other["y"] + other["h"] or other["y"] >= one["y"] + one["h"]
            if not (apart_x or apart_y):
                yield one, other


def test_no_secret_is_in_them() -> None:
    for path in CONFIG:
        assert not re.search(r"password|bearer_token:|credentials: ", path.read_text("utf-8"), re.IGNORECASE)
