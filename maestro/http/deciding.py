"""What the body of a decision says, checked: who, why, on which preview, how far. `BadInput` names what is wrong."""

from math import isfinite
from typing import Any, Final

from aiohttp import web

from maestro.events import BadInput
from maestro.http.inputs import check_text, check_user, parse_object, read_body
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

#: Characters of a reason and of a digest.
MAX_REASON: Final = 1000
MAX_DIGEST: Final = 64
#: Most replays and minutes of a budget.
MAX_REPLAYS: Final = 1_000_000
MAX_MINUTES: Final = 525_600

Decision = Approve | Skip | Retry | Cancel | Pause | Resume | Recheck | Reconsider


async def decision_body(request: web.Request) -> dict[str, Any]:
    """Return the body of a decision; an empty one is an empty object. Raises `BadInput`, and `Problem`."""
    body = await read_body(request)
    return parse_object(body) if body else {}


def decision_of(kind: type[Decision], document_id: str, fields: dict[str, Any]) -> Decision:
    """Return the decision that a body's `fields` make. Fields that no decision knows are ignored. Raises `BadInput`."""
    user = check_user(fields.get("user"))
    if kind is Recheck:
        return Recheck(document_id, user)
    reason = check_reason(fields.get("reason"))
    if kind is Approve:
        return Approve(document_id, user, reason, _digest(fields.get("digest")), _budget(fields.get("budget")))
    if kind is Retry:
        return Retry(document_id, user, reason, _budget(fields.get("budget")))
    if kind is Resume:
        return Resume(document_id, user, reason, _budget(fields.get("budget")))
    return kind(document_id, user, reason)  # type: ignore[call-arg]  # a recheck has returned above


def check_reason(reason: Any) -> str:
    """Return a reason that can stand in a document's history, without space around it; empty when there is none."""
    if reason is None:
        return ""
    if not isinstance(reason, str):
        raise BadInput("reason", "must be a string")
    if len(reason) > MAX_REASON or not all(line.isprintable() for line in reason.replace("\t", " ").split("\n")):
        raise BadInput("reason", f"must be at most {MAX_REASON} printable characters")
    return reason.strip()


def _digest(digest: Any) -> str:
    if digest is None:
        return ""
    if not isinstance(digest, str):
        raise BadInput("digest", "must be a string")
    if not digest:
        raise BadInput("digest", "is empty")
    return check_text(digest, "digest", MAX_DIGEST)


def _budget(budget: Any) -> Budget:
    if budget is None:
        return UNLIMITED
    if not isinstance(budget, dict):
        raise BadInput("budget", 'must be an object with "replays", "minutes", or both')
    unknown = next((key for key in budget if key not in ("replays", "minutes")), None)
    if unknown is not None:
        raise BadInput(f"budget.{unknown[:40]}", "is not known")
    replays, minutes = budget.get("replays"), budget.get("minutes")
    if replays is None and minutes is None:
        raise BadInput("budget", 'must have "replays", "minutes", or both')
    if replays is not None and (type(replays) is not int or not 1 <= replays <= MAX_REPLAYS):
        raise BadInput("budget.replays", f"must be a whole number from 1 to {MAX_REPLAYS}")
    return Budget(replays, None if minutes is None else _minutes(minutes))


def _minutes(minutes: Any) -> float:
    number = type(minutes) in (int, float) and isfinite(minutes)
    if not number or not 0 < minutes <= MAX_MINUTES:
        raise BadInput("budget.minutes", f"must be a number above 0, at most {MAX_MINUTES}")
    return float(minutes)
