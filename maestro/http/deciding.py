"""What the body of a decision says, checked: who, why, on which preview, how far. `BadInput` names what is wrong."""

from collections.abc import Mapping
from math import isinf
from typing import Any, Final

from aiohttp import web

from maestro.events import BadInput
from maestro.http.checking import checked
from maestro.http.inputs import MAX_OBJECT, parse_object, read_body, user_of
from maestro.http.request_context import principal
from maestro.http.shapes.decisions import (
    ApproveBody,
    BudgetBody,
    DecisionBody,
    LeaveOutBody,
    ReasonedBody,
    RunBody,
    SkipBody,
)
from maestro.messages.decisions import (
    UNLIMITED,
    Approve,
    Budget,
    Covers,
    Decision,
    LeaveOut,
    Recheck,
    Reconsider,
    Resume,
    Retry,
    Skip,
)

#: What each kind of decision takes as its body, unless it is who decides, and why.
_BODIES: Final[Mapping[type[Decision], type[DecisionBody]]] = {
    Approve: ApproveBody,
    Retry: RunBody,
    Resume: RunBody,
    Skip: SkipBody,
    Recheck: DecisionBody,
}


def body_of(kind: type[Decision]) -> type[DecisionBody]:
    """Return what a kind of decision takes as its body."""
    return _BODIES.get(kind, ReasonedBody)


async def decision_body(request: web.Request) -> dict[str, Any]:
    """Return the body of a decision; an empty one is an empty object. Raises `BadInput`, and `Problem`."""
    body = await read_body(request, MAX_OBJECT)
    return parse_object(body) if body else {}


def decision_of(kind: type[Decision], document_id: str, fields: dict[str, Any]) -> Decision:
    """Return the decision that a body's `fields` make. Fields that no decision knows are ignored.

    Raises:
        BadInput: a field is not what its type says, or nobody is named.
        Denied: somebody else than the credential's holder is named.
    """
    body = checked(fields, body_of(kind))
    covers = _covers(kind, fields, body)
    user = user_of(body.user)
    if not isinstance(body, ReasonedBody):
        return Recheck(document_id, user)
    why, token = check_reason(body.reason), principal().token
    if kind is Approve and isinstance(body, ApproveBody):
        return Approve(document_id, user, why, _digest(body.digest), _budget(body.budget), token, covers)
    if isinstance(body, RunBody):
        return (Retry if kind is Retry else Resume)(document_id, user, why, _budget(body.budget), token)
    if kind is Reconsider:
        return Reconsider(document_id, user, why, token)
    if kind is Skip:
        digest = _digest(body.digest) if isinstance(body, SkipBody) else ""
        return Skip(document_id, user, why, covers, digest)
    return kind(document_id, user, why)  # type: ignore[call-arg, arg-type]  # all others have returned, or bodies of their own


def leave_out_of(document_id: str, fields: dict[str, Any]) -> LeaveOut:
    """Return the decision to leave units out that a body's `fields` make. Raises `BadInput`, and `Denied`."""
    body = checked(fields, LeaveOutBody)
    units = tuple((unit.instance_id, unit.branch) for unit in body.units)
    return LeaveOut(document_id, user_of(body.user), units, check_reason(body.reason))


def _covers(kind: type[Decision], fields: dict[str, Any], body: DecisionBody) -> Covers | None:
    """Return whether the decision covers its tag, by whom, and up to which size."""
    if not isinstance(body, ApproveBody | SkipBody):
        for name in ("covers", "covers_limit"):
            if fields.get(name) is not None:
                raise BadInput(name, f"an approval or a skip covers its tag, {kind.__name__.lower()} does not")
        return None
    if body.covers is None:
        if body.covers_limit is not None:
            raise BadInput("covers_limit", 'is for a decision with "covers"')
        return None
    caller = principal()
    return Covers(caller.via, None if isinf(caller.expires) else caller.expires, body.covers_limit, caller.token)


def check_reason(reason: str | None) -> str:
    """Return a reason as it stands in a document's history, without space around it; empty when there is none."""
    return (reason or "").strip()


def _digest(digest: str | None) -> str:
    if digest == "":
        raise BadInput("digest", "is empty")
    return digest or ""


def _budget(budget: BudgetBody | None) -> Budget:
    if budget is None:
        return UNLIMITED
    if budget.replays is None and budget.minutes is None:
        raise BadInput("budget", 'must have "replays", "minutes", or both')
    return Budget(budget.replays, budget.minutes)
