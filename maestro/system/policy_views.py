"""What a system tells of its policies: which there are, and what each says of a document as it is now."""

import time
from typing import Any

import orjson

from maestro.messages.answers import Answer, Code
from maestro.messages.questions import ExplainPolicies, ListPolicies
from maestro.rules import demanding
from maestro.rules.policies import Effect, Policy
from maestro.rules.rendering import demand_json, explained
from maestro.rules.state import System
from maestro.rules.status import Status


def answer(system: System, question: ListPolicies | ExplainPolicies) -> Answer:
    """Answer either question."""
    if isinstance(question, ListPolicies):
        body: dict[str, Any] = {"policies": [_policy(one) for one in system.rules.policies]}
        return Answer(Code.OK, orjson.dumps(body | _beside(system)))
    doc = system.documents.get(question.id)
    if doc is None:
        return Answer(Code.NOT_FOUND, message=f"no reprocessing {question.id}")
    given = (Effect.APPROVE,) if system.rules.auto_approve and not doc.late else ()
    now = time.time()
    verdict = demanding.weigh(system, doc, now, *given)
    demand = verdict.demand(now, asked=doc.status is Status.PENDING)
    body = {
        "id": doc.id,
        "systemId": system.id,
        "status": doc.status,
        "forking": doc.forking,
        "approval": demand.approval,
        "skipRefused": demand.skip_refused,
        "says": demand.text,
        "policies": explained(verdict),
        "recorded": demand_json(doc.demand) if doc.demand is not None else None,
    }
    return Answer(Code.OK, orjson.dumps(body | _beside(system)))


def _policy(policy: Policy) -> dict[str, Any]:
    return {
        "name": policy.name,
        "digest": policy.digest,
        "effects": policy.effects,
        "conditions": policy.conditions,
        "date_from": policy.date_from,
        "budget": {"replays": policy.budget.replays, "minutes": policy.budget.minutes},
    }


def _beside(system: System) -> dict[str, bool]:
    return {"twoApprovers": system.rules.two_approvers, "autoApprove": system.rules.auto_approve}
