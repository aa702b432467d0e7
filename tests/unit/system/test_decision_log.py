"""What the log of decisions tells and counts of policies: once, when a document is held."""

from typing import Any

import pytest
from structlog.testing import capture_logs

from maestro.rules.policies import Effect, Policy
from maestro.rules.step import SaveDocument
from maestro.system.decision_log import DecisionLog
from maestro.telemetry.definitions import OF_SYSTEM, POLICIES
from maestro.telemetry.metrics import MetricsRegistry
from tests.support.rules import Rules


def told(*policies: Policy) -> tuple[list[Any], dict[str, float]]:
    """Hold a commit, save its document twice; return the lines about policies, and what was counted."""
    it = Rules(policies=policies)
    registry = MetricsRegistry(OF_SYSTEM)
    with capture_logs() as lines:
        log = DecisionLog(it.system, registry)
        doc = it.hold("i1", "p1")
        log.note([SaveDocument(doc)])
        log.note([SaveDocument(doc)])
    counted = {one.labels[0]: one.value for one in registry.snapshot().samples if one.metric == POLICIES.name}
    return [line for line in lines if line["event"] == "policies weighed"], counted


@pytest.mark.parametrize(
    ("effects", "counted"),
    [
        ((Effect.TWO_APPROVERS, Effect.REFUSE_SKIP), {Effect.TWO_APPROVERS, Effect.REFUSE_SKIP}),
        ((Effect.APPROVE,), {Effect.APPROVE}),
    ],
)
def test_one_line_and_one_count(effects: tuple[Effect, ...], counted: set[Effect]) -> None:
    policy = Policy("few", effects, units_to=1)
    (line,), found = told(policy)
    assert line["policies"] == [f"few ({policy.digest}): 1 to replay, 1 at most"]
    assert line["skip_refused"] is (Effect.REFUSE_SKIP in effects)
    assert {effect for effect, number in found.items() if number} == counted


def test_nothing_without_policies() -> None:
    lines, found = told()
    assert lines == []
    assert {*found.values()} == {0.0}
