"""Commits in doubt."""

from typing import Annotated

from msgspec import Meta, Struct

from maestro.http.shapes.decisions import DecisionBody
from maestro.http.shapes.shared import MAX_STATUS, Reason
from maestro.messages.answers import Said


class ResolveBody(DecisionBody):
    """What became of a commit in doubt, who says so, and why."""

    verdict: Annotated[str, Meta(max_length=MAX_STATUS, examples=["made", "make_again"],
                                 extra={"says": "must be made or make_again"})] = ""  # fmt: skip
    reason: Reason | None = None


class DoubtShape(Struct, omit_defaults=True, rename="camel"):
    """A commit in doubt: in hand (proof may come), open (a person must say), or resolved."""

    key: str
    #: event, held or replay.
    use: str
    instance_id: str
    delivery: str
    reprocessing: str
    since: str
    cause: Said
    state: str = ""
    verdict: str = ""
    user: str = ""
    at: str = ""
    reason: str = ""


class DoubtsPage(Struct):
    """The commits in doubt, oldest first, and the newest that were resolved."""

    total: int
    doubts: list[DoubtShape]
    resolved: list[DoubtShape]
