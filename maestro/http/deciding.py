"""What the body of a decision says, checked: who, why, on which preview, how far. `BadInput` names what is wrong."""

from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web

from maestro.events import BadInput
from maestro.http import shapes
from maestro.http.checking import checked
from maestro.http.inputs import parse_object, read_body, user_of
from maestro.http.visit import principal
from maestro.messages import (
    UNLIMITED,
    Approve,
    Budget,
    Cancel,
    Pause,
    Recheck,
    Reconsider,
    Resume,
    Retry,
    Skip,
)

Decision = Approve | Skip | Retry | Cancel | Pause | Resume | Recheck | Reconsider

#: What each kind of decision takes as its body.
BODIES: Final[Mapping[type[Decision], type[shapes.DecisionBody]]] = {
    Approve: shapes.ApproveBody,
    Retry: shapes.RunBody,
    Resume: shapes.RunBody,
    Skip: shapes.ReasonedBody,
    Cancel: shapes.ReasonedBody,
    Pause: shapes.ReasonedBody,
    Reconsider: shapes.ReasonedBody,
    Recheck: shapes.DecisionBody,
}


async def decision_body(request: web.Request) -> dict[str, Any]:
    """Return the body of a decision; an empty one is an empty object. Raises `BadInput`, and `Problem`."""
    body = await read_body(request)
    return parse_object(body) if body else {}


def decision_of(kind: type[Decision], document_id: str, fields: dict[str, Any]) -> Decision:
    """Return the decision that a body's `fields` make. Fields that no decision knows are ignored.

    Raises:
        BadInput: a field is not what its type says, or nobody is named.
        Denied: somebody else than the credential's holder is named.
    """
    body = checked(fields, BODIES[kind])
    user = user_of(body.user)
    if not isinstance(body, shapes.ReasonedBody):
        return Recheck(document_id, user)
    why, token = check_reason(body.reason), principal().token
    if kind is Approve and isinstance(body, shapes.ApproveBody):
        return Approve(document_id, user, why, _digest(body.digest), _budget(body.budget), token)
    if isinstance(body, shapes.RunBody):
        return (Retry if kind is Retry else Resume)(document_id, user, why, _budget(body.budget), token)
    if kind is Reconsider:
        return Reconsider(document_id, user, why, token)
    return kind(document_id, user, why)  # type: ignore[call-arg]  # a recheck has returned above


def check_reason(reason: str | None) -> str:
    """Return a reason as it stands in a document's history, without space around it; empty when there is none."""
    return (reason or "").strip()


def _digest(digest: str | None) -> str:
    if digest == "":
        raise BadInput("digest", "is empty")
    return digest or ""


def _budget(budget: shapes.BudgetBody | None) -> Budget:
    if budget is None:
        return UNLIMITED
    if budget.replays is None and budget.minutes is None:
        raise BadInput("budget", 'must have "replays", "minutes", or both')
    return Budget(budget.replays, budget.minutes)
