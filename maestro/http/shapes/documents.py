"""A reprocessing's document, and how it is asked for."""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from maestro.http.shapes.policies import DemandShape
from maestro.http.shapes.shared import MAX_ID, MAX_PAGE, PageQuery, StatusText
from maestro.http.shapes.units import LeftOutShape, SetAsideShape, UnitName, UnitShape
from maestro.messages.answers import Said
from maestro.rules.status import Status


class FindQuery(Struct):
    """Which documents."""

    status: StatusText = ""
    after: Annotated[str, Meta(max_length=MAX_ID, description="Those behind this document.",
                               extra={"says": f"must be at most {MAX_ID} printable characters"})] = ""  # fmt: skip
    limit: Annotated[int, Meta(ge=0, le=MAX_PAGE, description="At most so many; 0: all.",
                               extra={"says": f"must be a whole number from 0 to {MAX_PAGE}"})] = 0  # fmt: skip


class ReportQuery(Struct):
    """In which language a report is."""

    language: Annotated[Literal["", "en", "pt-BR"], Meta(description="Empty: what `Accept-Language` asks for.",
                        extra={"says": "must be en or pt-BR"})] = ""  # fmt: skip


class HistoryShape(Struct):
    """One change of a document's status."""

    status: Status
    timestamp: str
    user: str
    #: The `timestamp` with its zone.
    at: str = ""
    cause: Said = ""
    reason: str = ""


class ProgressShape(Struct):
    """How far a run is."""

    replayed: int
    outstanding: int
    units: int
    cascaded: int


class BudgetShape(Struct):
    """What a run may use before it pauses, and the replays used of it."""

    replays: int | None
    minutes: float | None
    replayed: int


class ApprovalShape(Struct):
    """Who approved first, what (`approve`, `retry`, `resume`, `reconsider`), when and why."""

    user: str
    timestamp: str
    reason: str
    decision: str = "approve"
    #: A second approval has decided.
    decided: bool = False
    #: The `timestamp` with its zone.
    at: str = ""


class EstimateShape(Struct):
    """How long what is left will take."""

    seconds: float
    basis: Said


class GrownShape(Struct):
    """A run of the past: the units that were shown at its decision, and the replays that it made."""

    shown: int
    made: int


class LikelyShape(Struct):
    """How many replays there will be in all: usually, at least, at most; by how many past runs of which event name."""

    units: int
    least: int
    most: int
    runs: int
    name: str
    #: The past run that grew most.
    surprise: GrownShape
    #: How long they will take; null without enough past replays to tell by.
    seconds: float | None


class UnitsPage(Struct):
    """Which of a document's units are shown, how many there are, and of how many processes and branches they are."""

    after: int
    total: int
    next: int | None
    processes: int
    branches: int


class DocumentShape(Struct, rename="camel"):
    """A reprocessing: what is held, what is replayed, and what became of it."""

    id: str
    system_id: str
    tag: str
    branch: str
    forking: bool
    status: Status
    pending_event: dict[str, Any]
    origin: dict[str, Any] | None
    events: list[dict[str, Any]]
    history: list[HistoryShape]
    units: list[UnitShape]
    reimpacted: list[UnitName]
    set_aside: list[SetAsideShape]
    left_out: list[LeftOutShape]
    progress: ProgressShape
    cancelling: bool
    pausing: bool
    budget: BudgetShape | None
    digest: str | None
    held_committed: bool
    #: Units that were named before their own commits: they are judged once these are made.
    not_finished: list[UnitName] = []
    #: The instance whose replay named the held one as impacted: it is not replayed within its own run.
    held_named_by: str | None = None
    #: The number under which its skipped event was taken in again.
    reconsidered: int | None = None
    #: The first of two approvals, where the policy asks for two.
    first_approval: ApprovalShape | None = None
    #: Rows that the held commit creates, changes or destroys; null: not known.
    rows: int | None = None
    #: What the policies demanded when they were asked last; null: there were none.
    policies: DemandShape | None = None
    #: It replays what is stale already: nothing is held, and `pendingEvent` is a stub.
    late: bool = False
    #: How long what is left will take.
    estimate: EstimateShape | None = None
    #: While it is pending: what past runs say that it will become.
    likely: LikelyShape | None = None
    #: Where a page of its units was asked for: which.
    page: UnitsPage | None = None


class EntitiesQuery(PageQuery):
    """Which page of what a commit would write."""

    #: With what the held instance had read of each row.
    replaced: Annotated[Literal["true", "false"], Meta(extra={"says": 'must be "true" or "false"'})] = "false"


class EntitiesPage(Struct):
    """A page of what a commit would write."""

    total: int
    entities: list[Any]
    next: int | None
    #: Where asked for, of each row in turn what the held instance had read; null: not known.
    replaced: list[Any] | None = None
