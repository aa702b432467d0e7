"""Sends a running gateway what its own description allows, and what it does not, and judges every answer.

No answer may be a 500 (or any other 5xx that the description does not name), and each must be as described.
"""

from typing import Any

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

CHECKS = [content_type_conformance, response_schema_conformance, status_code_conformance]


def fuzz(url: str, description: dict[str, Any], token: str, examples: int) -> dict[str, set[int]]:
    """Try every operation `examples` times in each mode; return the statuses each answered with."""
    schema = schemathesis.openapi.from_dict(description)
    seen: dict[str, set[int]] = {}
    with requests.Session() as session:
        if token:
            session.headers["Authorization"] = f"Bearer {token}"
        for found in schema.get_all_operations():
            operation = found.ok()
            raw = operation.definition.raw
            if "text/event-stream" in str(raw["responses"]):
                continue  # it has no end
            statuses = seen[raw["operationId"]] = set()
            _try(operation, GenerationMode.POSITIVE, url, session, examples, statuses)
            if "parameters" in raw or "requestBody" in raw:
                _try(operation, GenerationMode.NEGATIVE, url, session, examples, statuses)
    return seen


def _try(
    operation: Any, mode: GenerationMode, url: str, session: requests.Session, examples: int, statuses: set[int]
) -> None:
    @settings(
        max_examples=examples, deadline=None, database=None, derandomize=True, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=operation.as_strategy(generation_mode=mode))
    def run(case: Any) -> None:
        response = case.call(base_url=url, session=session, timeout=20)
        statuses.add(response.status_code)
        assert response.status_code != 500, (case.as_curl_command(), response.text)
        case.validate_response(response, checks=CHECKS)

    run()
