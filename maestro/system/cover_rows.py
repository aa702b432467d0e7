"""Decisions that cover their tag as rows of the store, and back."""

from collections.abc import Sequence
from typing import Any

from maestro.messages.decisions import Budget, Covers
from maestro.rules.commands import Decider
from maestro.rules.cover import Cover
from maestro.rules.document import Approval


def approval_row(first: Approval) -> list[Any]:
    """Return the row of the first of two approvals."""
    budget = [first.budget.replays, first.budget.minutes]
    row = [first.user, first.at, first.reason, first.revision, first.kind, budget, first.token, first.spent]
    covers = first.covers
    return [*row, [covers.via, covers.expires, covers.limit, covers.token]] if covers else row


def to_approval(row: Sequence[Any], digest: str) -> Approval:
    """Return the approval that a row keeps, and the digest beside it."""
    user, at, reason, revision, *rest = row
    if not rest:  # of before it was stored how far it goes
        return Approval(user, at, reason, revision)
    kind, budget, token, spent, *covers = rest
    given = Covers(*covers[0]) if covers else None
    return Approval(user, at, reason, revision, kind, Budget(*budget), token, spent, given, digest)


def cover_row(cover: Cover) -> dict[str, Any]:
    """Return the row of a cover; its key is the id of the document that was decided."""
    return {
        "tag": cover.tag, "name": cover.name, "approves": cover.approves, "limit": cover.limit, "since": cover.since,
        "until": cover.until, "budget": [cover.budget.replays, cover.budget.minutes],
        "deciders": [[one.user, one.reason, one.via, one.expires, one.token] for one in cover.deciders],
    }  # fmt: skip


def to_cover(key: str, row: dict[str, Any]) -> Cover:
    """Return the cover that a row keeps."""
    return Cover(
        key, row["tag"], row["name"], row["approves"], tuple(Decider(*one) for one in row["deciders"]),
        row["limit"], row["since"], row["until"], Budget(*row["budget"]),
    )  # fmt: skip
