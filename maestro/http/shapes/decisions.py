"""What a decision says, and what became of several."""

from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from maestro.http.shapes.shared import (
    MAX_CHOSEN,
    MAX_DIGEST,
    MAX_ID,
    Digest,
    Id,
    Reason,
    StatusText,
    User,
)
from maestro.messages.answers import Said
from maestro.rules.status import Status

#: Reprocessings decided by one request.
MAX_TOGETHER: Final = 200
#: Replays and minutes of a budget.
MAX_REPLAYS: Final = 1_000_000
MAX_MINUTES: Final = 525_600

Replays = Annotated[int, Meta(ge=1, le=MAX_REPLAYS,
                              extra={"says": f"must be a whole number from 1 to {MAX_REPLAYS}"})]  # fmt: skip
Minutes = Annotated[float, Meta(gt=0, le=MAX_MINUTES,
                                extra={"says": f"must be a number above 0, at most {MAX_MINUTES}"})]  # fmt: skip
Covered = Annotated[Literal["tag"], Meta(extra={"says": 'must be "tag"'})]
CoversLimit = Annotated[int, Meta(ge=1, le=1_000_000, extra={"says": "must be a whole number from 1"})]


class DecisionBody(Struct):
    """Who decides."""

    user: User | None = None


class ReasonedBody(DecisionBody):
    """Who decides, and why."""

    reason: Reason | None = None


class BudgetBody(Struct, forbid_unknown_fields=True):
    """How far a run may go before it pauses; at least one of them."""

    replays: Replays | None = None
    minutes: Minutes | None = None


class RunBody(ReasonedBody):
    """Who decides, why, and how far the run may go."""

    budget: BudgetBody | None = None


class SkipBody(ReasonedBody):
    """Who skips, why, on which preview, and whether what else becomes pending of the tag is skipped likewise."""

    covers: Covered | None = None
    covers_limit: CoversLimit | None = None
    #: The digest of the preview that was seen.
    digest: Digest | None = None


class ApproveBody(RunBody):
    """Who approves, why, on which preview, how far the run may go, and whether it is for the whole tag."""

    #: What else becomes pending of the tag, soon, is decided likewise.
    covers: Covered | None = None
    #: Units of the largest document that is decided likewise; else as many as this one has.
    covers_limit: CoversLimit | None = None

    #: The digest of the preview that was seen.
    digest: Digest | None = None


class DecidedBody(Struct, forbid_unknown_fields=True):
    """A pending reprocessing as it was shown."""

    id: Annotated[str, Meta(min_length=1, max_length=MAX_ID)]
    digest: Annotated[str, Meta(min_length=1, max_length=MAX_DIGEST)]


class DecideManyBody(ReasonedBody, kw_only=True):
    """Which pending reprocessings are approved, or skipped, together: each as it was shown, all for one reason."""

    action: Literal["approve", "skip"]
    reason: Annotated[Reason, Meta(min_length=1)]
    items: Annotated[list[DecidedBody], Meta(min_length=1, max_length=MAX_TOGETHER,
                     extra={"says": f"must be a list of 1 to {MAX_TOGETHER} reprocessings"})]  # fmt: skip


class UnitBody(Struct, forbid_unknown_fields=True, rename="camel"):
    """An instance on a branch."""

    instance_id: Annotated[str, Meta(min_length=1, max_length=MAX_ID)]
    branch: Annotated[str, Meta(min_length=1, max_length=MAX_ID)] = "master"


class LeaveOutBody(ReasonedBody, kw_only=True):
    """Who leaves which units out, and why."""

    units: Annotated[list[UnitBody], Meta(min_length=1, max_length=MAX_CHOSEN,
                     extra={"says": f"must be a list of 1 to {MAX_CHOSEN} units"})]  # fmt: skip


class SetStatusQuery(Struct):
    """Which status of which document is set."""

    id: Id
    status: Annotated[StatusText, Meta(min_length=1, examples=[str(Status.SKIPPED)])]
    user: User | None = None
    reason: Reason | None = None


class DecidedShape(Struct):
    """What became of one of several decisions."""

    id: str
    system: str
    #: `noted`: a second person must approve, too; `refused`: it is not decided; `unknown`: no answer came in time.
    outcome: Literal["decided", "noted", "refused", "unknown"]
    #: The HTTP status that the decision would have had by itself, and why it was refused.
    status: int
    message: Said


class DecidedManyShape(Struct):
    """How many were decided, and what became of each."""

    decided: int
    noted: int
    refused: int
    unknown: int
    items: list[DecidedShape]
