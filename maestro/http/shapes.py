"""The types of what clients send and get: queries and decisions are checked against them, the API described by them.

Fields that the platform adds to an event or a document pass through; the types name those that Maestro knows.
"""

from typing import Annotated, Any, Final, Literal

from msgspec import Meta, Struct

from maestro.cluster.placement import Unfit
from maestro.events import SYSTEM_ID
from maestro.http.comparing import Value
from maestro.messages import Said, TodoItem
from maestro.rules.status import Status
from maestro.rules.unit import UnitState

#: Characters of a user's name, of a document's id and of a status.
MAX_USER: Final = 200
MAX_ID: Final = 200
MAX_STATUS: Final = 64
#: Largest number in a query: what the store's counters reach.
MAX_NUMBER: Final = 2**63 - 1
#: Things in one page of a list; messages of the error queue shown at once, and chosen at once.
MAX_PAGE: Final = 1000
MAX_ERRORS: Final = 50
#: Messages of an error queue that are looked at.
MAX_LOOK: Final = 5000
MAX_CHOSEN: Final = 1000
#: Reprocessings decided by one request.
MAX_TOGETHER: Final = 200
#: Characters of a reason and of a digest; replays and minutes of a budget.
MAX_REASON: Final = 1000
MAX_DIGEST: Final = 64
MAX_REPLAYS: Final = 1_000_000
MAX_MINUTES: Final = 525_600
SECONDS: Final = "Seconds since the epoch."

User = Annotated[
    str,
    Meta(max_length=MAX_USER, description="Who decides. With access control: the credential's holder, or left out.",
         extra={"says": f"must be at most {MAX_USER} printable characters"}),
]  # fmt: skip
Reason = Annotated[
    str,
    Meta(max_length=MAX_REASON, description="Why: stands in the document's history and in the audit log.",
         extra={"says": f"must be at most {MAX_REASON} printable characters", "lines": True}),
]  # fmt: skip
Id = Annotated[str, Meta(min_length=1, max_length=MAX_ID, description="A reprocessing's id.",
                         extra={"says": f"must be at most {MAX_ID} printable characters"})]  # fmt: skip
StatusText = Annotated[str, Meta(max_length=MAX_STATUS, extra={"says": f"must be at most {MAX_STATUS} characters"})]
Replays = Annotated[int, Meta(ge=1, le=MAX_REPLAYS,
                              extra={"says": f"must be a whole number from 1 to {MAX_REPLAYS}"})]  # fmt: skip
Minutes = Annotated[float, Meta(gt=0, le=MAX_MINUTES,
                                extra={"says": f"must be a number above 0, at most {MAX_MINUTES}"})]  # fmt: skip
SystemId = Annotated[str, Meta(pattern=f"^{SYSTEM_ID.pattern}$", description="A system's id.")]
Number = Annotated[int, Meta(ge=0, le=MAX_NUMBER, description="An event's number.")]
After = Annotated[int, Meta(ge=0, le=MAX_NUMBER, description="Those numbered above this.",
                            extra={"says": f"must be a whole number from 0 to {MAX_NUMBER}"})]  # fmt: skip
Limit = Annotated[int, Meta(ge=1, le=MAX_PAGE, description="At most so many.",
                            extra={"says": f"must be a whole number from 1 to {MAX_PAGE}"})]  # fmt: skip


Covered = Annotated[Literal["tag"], Meta(extra={"says": 'must be "tag"'})]
CoversLimit = Annotated[int, Meta(ge=1, le=1_000_000, extra={"says": "must be a whole number from 1"})]

# --- what clients send -------------------------------------------------------------------------------------------


Digest = Annotated[str, Meta(max_length=MAX_DIGEST, extra={"says": f"must be at most {MAX_DIGEST} characters"})]


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


class ShownGroupBody(Struct, forbid_unknown_fields=True):
    """A group of the error queue as it was shown."""

    key: Annotated[str, Meta(min_length=1, max_length=MAX_ID)]
    count: Annotated[int, Meta(ge=1, le=MAX_LOOK, extra={"says": f"must be a whole number from 1 to {MAX_LOOK}"})]
    digest: Annotated[str, Meta(min_length=1, max_length=MAX_ID)]


class RedriveBody(DecisionBody):
    """Which messages of the error queue are judged again: those of `ids`, of `groups` as they were shown, or all."""

    ids: Annotated[list[Annotated[str, Meta(min_length=1)]], Meta(min_length=1, max_length=MAX_CHOSEN,
                   extra={"says": f"must be a list of 1 to {MAX_CHOSEN} message ids"})] | None = None  # fmt: skip
    groups: Annotated[list[ShownGroupBody], Meta(min_length=1, max_length=MAX_CHOSEN,
                      extra={"says": f"must be a list of 1 to {MAX_CHOSEN} groups"})] | None = None  # fmt: skip
    all: bool | None = None


class ResolveBody(DecisionBody):
    """What became of a commit in doubt, who says so, and why."""

    verdict: Annotated[str, Meta(max_length=MAX_STATUS, examples=["made", "make_again"],
                                 extra={"says": "must be made or make_again"})] = ""  # fmt: skip
    reason: Reason | None = None


class NoticeTestBody(DecisionBody):
    """By which way a test is sent; empty: by all."""

    way: Annotated[str, Meta(max_length=MAX_STATUS, examples=["email"],
                             extra={"says": "must be slack, teams, webhook or email"})] = ""  # fmt: skip


class UnitBody(Struct, forbid_unknown_fields=True, rename="camel"):
    """An instance on a branch."""

    instance_id: Annotated[str, Meta(min_length=1, max_length=MAX_ID)]
    branch: Annotated[str, Meta(min_length=1, max_length=MAX_ID)] = "master"


class LeaveOutBody(ReasonedBody, kw_only=True):
    """Who leaves which units out, and why."""

    units: Annotated[list[UnitBody], Meta(min_length=1, max_length=MAX_CHOSEN,
                     extra={"says": f"must be a list of 1 to {MAX_CHOSEN} units"})]  # fmt: skip


class FindQuery(Struct):
    """Which documents."""

    status: StatusText = ""
    after: Annotated[str, Meta(max_length=MAX_ID, description="Those behind this document.",
                               extra={"says": f"must be at most {MAX_ID} printable characters"})] = ""  # fmt: skip
    limit: Annotated[int, Meta(ge=0, le=MAX_PAGE, description="At most so many; 0: all.",
                               extra={"says": f"must be a whole number from 0 to {MAX_PAGE}"})] = 0  # fmt: skip


class UnitsQuery(Struct):
    """Which of a document's units and events."""

    after: Annotated[int, Meta(ge=0, le=MAX_NUMBER, description="Those from this position on.",
                               extra={"says": f"must be a whole number from 0 to {MAX_NUMBER}"})] = 0  # fmt: skip
    limit: Annotated[int, Meta(ge=0, le=MAX_PAGE, description="At most so many; 0: all.",
                               extra={"says": f"must be a whole number from 0 to {MAX_PAGE}"})] = 0  # fmt: skip


class TodoQuery(Struct):
    """Which part of what waits for a person."""

    #: Only this system's; empty: all systems'.
    system: Annotated[str, Meta(max_length=128, pattern=f"^({SYSTEM_ID.pattern})?$",
                                extra={"says": "is no system's id"})] = ""  # fmt: skip
    after: After = 0
    limit: Limit = 200


class RecordsQuery(Struct):
    """Which reprocessings of the history."""

    system: Annotated[str, Meta(max_length=128, pattern=f"^({SYSTEM_ID.pattern})?$",
                                extra={"says": "is no system's id"})] = ""  # fmt: skip
    status: StatusText = ""
    user: Annotated[str, Meta(max_length=MAX_USER, description="Part of the name of somebody who decided.",
                              extra={"says": f"must be at most {MAX_USER} printable characters"})] = ""  # fmt: skip
    text: Annotated[str, Meta(max_length=MAX_ID, description="Part of anything that it says.",
                              extra={"says": f"must be at most {MAX_ID} printable characters"})] = ""  # fmt: skip
    since: Annotated[str, Meta(max_length=40, description="Held at this moment or later: ISO 8601 with its zone.",
                               extra={"says": "must be a moment like 2026-11-28T00:00:00Z"})] = ""  # fmt: skip
    until: Annotated[str, Meta(max_length=40, description="Held before this moment.",
                            extra={"says": "must be a moment like 2026-11-28T00:00:00Z"})] = ""  # fmt: skip
    before: Annotated[str, Meta(max_length=MAX_ID + 32, description="Those behind the record of this cursor.",
                                extra={"says": "is no cursor of a record"})] = ""  # fmt: skip
    limit: Limit = 50


class PageQuery(Struct):
    """Which page of a log."""

    after: After = 0
    limit: Limit = 100


class FindUnitsQuery(PageQuery):
    """Which of a document's units."""

    process: Annotated[str, Meta(max_length=MAX_ID, description="The name of the origin event.",
                                 extra={"says": f"must be at most {MAX_ID} characters"})] = ""  # fmt: skip
    branch: Annotated[str, Meta(max_length=MAX_ID, extra={"says": f"must be at most {MAX_ID} characters"})] = ""
    period: Annotated[str, Meta(pattern=r"^([0-9]{4}(-[0-9]{2}(-[0-9]{2})?)?)?$", examples=["2026", "2026-11"],
                                description="How the timestamp of the origin event begins.",
                                extra={"says": "must be a year, a month or a day, like 2026-11"})] = ""  # fmt: skip
    state: Annotated[str, Meta(max_length=MAX_STATUS, description="A unit's state.",
                               extra={"says": f"must be at most {MAX_STATUS} characters"})] = ""  # fmt: skip
    text: Annotated[str, Meta(max_length=MAX_ID, description="Part of what the unit says: instance, branch, event.",
                              extra={"says": f"must be at most {MAX_ID} characters"})] = ""  # fmt: skip


class EvidenceQuery(PageQuery):
    """Which of a document's units are explained: a page, or those at the positions named."""

    positions: Annotated[str, Meta(pattern=r"^([0-9]{1,9}(,[0-9]{1,9}){0,49})?$", examples=["0,7,1200"],
                                   extra={"says": "must be up to 50 numbers with commas between"})] = ""  # fmt: skip


class ReportQuery(Struct):
    """In which language a report is."""

    language: Annotated[Literal["", "en", "pt-BR"], Meta(description="Empty: what `Accept-Language` asks for.",
                        extra={"says": "must be en or pt-BR"})] = ""  # fmt: skip


class StoreQuery(Struct):
    """Which documents of a system's store."""

    table: Annotated[str, Meta(max_length=64, description="A table; empty: the names of all.",
                               extra={"says": "must be at most 64 characters"})] = ""  # fmt: skip
    key: Annotated[str, Meta(max_length=MAX_ID, description="One document's key.",
                             extra={"says": f"must be at most {MAX_ID} characters"})] = ""  # fmt: skip
    where: Annotated[str, Meta(max_length=1000, extra={"says": "must be at most 1000 characters"},
                               description="A condition, or a JSON list of some: field=value.")] = ""  # fmt: skip
    after: Annotated[str, Meta(max_length=MAX_ID, description="Those whose keys are behind this one.",
                               extra={"says": f"must be at most {MAX_ID} characters"})] = ""  # fmt: skip
    limit: Limit = 100


class StaleQuery(PageQuery):
    """Which page of the list of units that are not known to be fresh, and which state of them."""

    state: str = ""
    #: With both values of each overwrite; then a page has at most 20 units.
    values: Annotated[Literal["true", "false"], Meta(extra={"says": 'must be "true" or "false"'})] = "false"


class AuditQuery(PageQuery):
    """Which page of the audit log."""

    #: What was decided, or what was refused.
    log: Annotated[Literal["decisions", "refused"],
                   Meta(extra={"says": 'must be "decisions" or "refused"'})] = "decisions"  # fmt: skip


class DeliveriesQuery(Struct):
    """Which page of which system's webhook deliveries."""

    systemId: SystemId  # noqa: N815 - the platform's name
    after: After = 0
    limit: Limit = 100


class SetStatusQuery(Struct):
    """Which status of which document is set."""

    id: Id
    status: Annotated[StatusText, Meta(min_length=1, examples=[str(Status.SKIPPED)])]
    user: User | None = None
    reason: Reason | None = None


class ErrorsQuery(Struct):
    """Which messages of the error queue: so many behind the oldest `after`, of one group or of all."""

    group: Annotated[str, Meta(max_length=MAX_ID, extra={"says": f"must be at most {MAX_ID} characters"})] = ""
    after: Annotated[int, Meta(ge=0, le=MAX_LOOK,
                               extra={"says": f"must be a whole number from 0 to {MAX_LOOK}"})] = 0  # fmt: skip
    limit: Annotated[int, Meta(ge=1, le=MAX_ERRORS,
                               extra={"says": f"must be a whole number from 1 to {MAX_ERRORS}"})] = 20  # fmt: skip


class QueueQuery(Struct):
    """Which queue is to be consumed."""

    queue: Annotated[str, Meta(max_length=MAX_ID, pattern=rf"^persist\.{SYSTEM_ID.pattern}\.queue$",
                               extra={"says": "must be persist.<systemId>.queue"})]  # fmt: skip


class EventBody(Struct):
    """An event of the platform; further fields pass through."""

    systemId: SystemId  # noqa: N815 - the platform's name
    instanceId: Annotated[str, Meta(min_length=1)]  # noqa: N815 - as above
    name: str = ""
    tag: str | None = None
    branch: str | None = "master"
    scope: Literal["", "execution", "reprocessing"] | None = "execution"
    timestamp: Any = None
    reprocessing: Any = None


class ErrorEventBody(Struct):
    """The error event of a replayed process; further fields pass through."""

    systemId: SystemId | Literal[""] | None = None  # noqa: N815 - the platform's name
    instanceId: str | None = None  # noqa: N815 - as above
    reprocessing: dict[str, Any] | None = None


# --- what they get -----------------------------------------------------------------------------------------------


class ErrorBody(Struct):
    """An error, as the platform's clients expect it."""

    #: The HTTP status, as text.
    status: Annotated[str, Meta(pattern="^[45][0-9][0-9]$")]
    message: Said


class MessageBody(Struct):
    """There is nothing to say."""

    message: Literal["ok"]


class OkBody(Struct):
    """All is well."""

    status: Literal["ok"]


class StallShape(Struct):
    """What a system waits for: nothing of it can be judged, committed or replayed until then."""

    sibling: str
    cause: Said
    since: str


class StalledSystem(StallShape):
    """A system that waits for a sibling."""

    system: str


class ReadyBody(OkBody):
    """All parts are in their place; systems that wait for a sibling are named to callers who may look at systems."""

    stalled: list[StalledSystem] = []


class NotReadyBody(Struct):
    """What keeps Maestro from working, part by part."""

    status: Literal["503"]
    message: Said
    problems: dict[str, Said] = {}


class HistoryShape(Struct):
    """One change of a document's status."""

    status: Status
    timestamp: str
    user: str
    #: The `timestamp` with its zone.
    at: str = ""
    cause: Said = ""
    reason: str = ""


class UnitShape(Struct, rename="camel"):
    """One instance, on one branch, to be replayed."""

    instance_id: str
    branch: str
    forking: bool
    state: UnitState
    round: int
    sends: int
    replay_instance_id: str
    cause: int
    sent_at: str | None = None
    done_at: str | None = None
    duration: float | None = None
    #: Why it cannot be replayed.
    problem: Said | None = None
    #: Who named it: `discovery`, `ledger` or `both`.
    named: str = "discovery"
    #: In a late reprocessing: the instances whose commits it missed.
    missed: list[str] = []


class FoundUnit(UnitShape, rename="camel"):
    """A unit, its place in the document, and what its origin event says."""

    position: int = 0
    #: The name of the origin event: the process.
    name: str = ""
    timestamp: str = ""
    #: The plain values of its payload, on one line.
    about: str = ""


class CountShape(Struct):
    """So many units have this value."""

    value: str
    count: int


class CountsShape(Struct):
    """Units by value; `others`: those of values that are not listed."""

    values: list[CountShape]
    others: int


class UnitGroups(Struct):
    """How many units there are of each process, branch, period and state; each without its own condition."""

    process: CountsShape
    branch: CountsShape
    period: CountsShape
    state: CountsShape


class FoundUnitsPage(Struct, rename="camel"):
    """The units that fit, in their order, and counts."""

    system_id: str
    #: Units of the document, and those that fit.
    total: int
    matched: int
    groups: UnitGroups
    units: list[FoundUnit]
    #: The `after` of the next page.
    next: int | None = None


class UnitName(Struct, rename="camel"):
    """An instance on a branch."""

    instance_id: str
    branch: str


class SetAsideShape(UnitName, rename="camel"):
    """A unit that cannot be replayed, and why."""

    problem: Said


class LeftOutShape(UnitName, rename="camel"):
    """A unit that is not replayed: who decided so, when and why; and what kept it from being replayed."""

    user: str
    timestamp: str
    reason: str
    problem: Said = ""
    #: The `timestamp` with its zone.
    at: str = ""


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


class ConditionShape(Struct):
    """A condition of a policy: what it wants, what was found, and whether it holds; null: that is not known."""

    setting: str
    wanted: str
    found: str | None
    holds: bool | None
    #: It in words.
    says: Said


class AppliedShape(Struct):
    """A policy that demanded something of a decision, in the wording that its digest names, and why it applied."""

    name: str
    digest: str
    effects: list[str]
    why: Said
    conditions: list[ConditionShape]


class DemandShape(Struct, rename="camel"):
    """What the policies demanded when they were asked last: `approve` (nobody is asked), `ask` or `two_approvers`."""

    approval: str
    #: A skip is refused with 409.
    skip_refused: bool
    at: str
    says: Said
    by: list[AppliedShape]


class PolicyShape(Struct):
    """A policy as it is configured."""

    name: str
    digest: str
    effects: list[str]
    #: What it looks at, by setting, and what it wants there. All must hold.
    conditions: dict[str, str]
    #: Where the origin event has the data's date.
    date_from: list[str]
    budget: dict[str, Any]


class PoliciesShape(Struct, rename="camel"):
    """What a system's decisions need: its policies, and the settings beside them."""

    policies: list[PolicyShape]
    #: `access.two_approvers` and `reprocessing.auto_approve` name the system.
    two_approvers: bool
    auto_approve: bool


class WeighedShape(Struct):
    """A policy held against a document: null where it applies as far as is known; and which effects follow."""

    name: str
    digest: str
    applies: bool | None
    effects: list[str]
    configured: list[str]
    conditions: list[ConditionShape]


class ExplainedShape(Struct, rename="camel"):
    """What the policies say of a document as it is now, and what was recorded when they were asked last."""

    id: str
    system_id: str
    status: Status
    #: It opens a branch: it is approved at once, whatever the policies say.
    forking: bool
    approval: str
    skip_refused: bool
    says: Said
    policies: list[WeighedShape]
    recorded: DemandShape | None
    two_approvers: bool
    auto_approve: bool


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


class TodoPage(Struct):
    """What waits for a person: a page of it, how much there is in all and of each kind, and who did not answer."""

    total: int
    counts: dict[str, int]
    items: list[TodoItem]
    next: int | None


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


class DecisionShape(Struct):
    """What was decided last, by whom, when and why."""

    status: Status
    user: str
    at: str
    reason: str


class RecordShape(Struct, rename="camel"):
    """A reprocessing as the history lists it; times are in UTC, with their zone."""

    cursor: str
    id: str
    system: str
    branch: str
    tag: str
    #: What its origin says: the event in words, and the plain values of its payload.
    event: str
    about: str
    instance_id: str
    late: bool
    status: Status
    since: str
    changed: str
    cause: Said
    decision: DecisionShape | None
    units: int
    replayed: int
    cascaded: int


class RecordsPage(Struct):
    """A page of the history, newest first; `next` is the `before` of the page behind it."""

    records: list[RecordShape]
    next: str | None
    #: Systems that did not answer: theirs are missing.
    unanswered: list[str]


class LockProgress(Struct):
    """How far the reprocessing with lock is."""

    replayed: int
    outstanding: int


class LockShape(Struct):
    """Why events may not proceed."""

    reprocessing: str
    owner: str
    reason: Said
    since: str
    progress: LockProgress


class RunningShape(Struct):
    """The reprocessing that runs."""

    id: str
    status: Status
    progress: ProgressShape
    cancelling: bool
    pausing: bool
    budget: BudgetShape | None
    stage: str | None


class CommitShape(Struct, rename="camel"):
    """A commit that is under way at Domain: whose, of which kind (event, held, replay), since when."""

    instance_id: str
    kind: str
    since: str


class SystemShape(Struct):
    """A system: state, lock, progress, queue depths and counters. Only these three when it does not answer."""

    id: str
    state: str
    message: Said = ""
    lock: LockShape | None = None
    stalled: StallShape | None = None
    pending: list[str] = []
    approved: list[str] = []
    running: RunningShape | None = None
    waiting: int = 0
    inbox: int = 0
    outbox: int = 0
    #: Commits that a person must resolve, and the one that has been under way longest.
    doubts: int = 0
    commit: CommitShape | None = None
    queues: dict[str, int] | None = None
    counters: dict[str, int] = {}
    epoch: int = 0
    #: What keeps the broker from its work, for all systems: out of reach, or an alarm of RabbitMQ's.
    broker: Said = ""
    #: In a cluster, the node that owns it; left out while none is known to.
    node: str = ""


class NodeShape(Struct, rename="camel"):
    """A node of the cluster."""

    name: str
    #: Where the other nodes reach its gateway.
    url: str
    version: str
    #: How much of the whole it takes, beside the others' capacities.
    capacity: float
    #: Its lease was not broken and not given up, as far as is known.
    holds_lease: bool
    #: It hands over what it owns, before it is stopped.
    draining: bool
    #: How many systems it owns, of those that the caller may touch.
    systems: int
    #: Whether it may claim systems; else why not.
    claims: bool
    why_not: Unfit | None
    #: It holds the message that says whose the events of the vhost are.
    holds_events: bool


class NodesShape(Struct):
    """The nodes of the cluster, as the node that answers saw them last."""

    #: Empty: there is none.
    cluster: str
    #: That there is no cluster, or why what is listed may be old.
    says: Said
    #: The node that answers.
    node: str
    nodes: list[NodeShape]
    #: Systems that no node owns, of those that the caller may touch.
    unowned: list[str]


class WaitingEvent(Struct, rename="camel"):
    """An event that waits."""

    number: int
    instance_id: str
    name: str
    branch: str
    tag: str
    since: str
    waiting_for: float
    #: `since` with its zone.
    at: str


class WaitingShape(Struct):
    """A page of the waiting events, oldest first."""

    total: int
    events: list[WaitingEvent]
    next: int | None


class JudgedShape(Struct):
    """What became of an event: committed (`commited`, spelled so), held, or waiting."""

    status: str
    #: The reprocessing it is held by.
    reprocessing: DocumentShape | None = None


class AuditShape(Struct):
    """One line of the audit log."""

    number: int
    at: Annotated[float, Meta(description=SECONDS)]
    who: str
    via: str
    what: str
    system: str
    target: str
    why: str
    origin: str
    outcome: Literal["done", "refused", "failed"]
    status: int
    message: str
    facts: dict[str, str]
    suppressed: int
    before: str
    hash: str


class AuditPage(Struct):
    """A page of the audit log, oldest first."""

    entries: list[AuditShape]
    next: int | None


class DeliveryShape(Struct):
    """A webhook on its way."""

    number: int
    #: Without its path, which may hold a secret.
    url: str
    #: The happening's id: the `id` of what is sent.
    happening: str
    type: str
    tries: int
    outcome: Literal["retrying", "delivered", "given up"]
    problem: Said
    begun: Annotated[float, Meta(description=SECONDS)]
    last: Annotated[float, Meta(description=SECONDS)]


class DeliveryPage(Struct):
    """A page of the webhook deliveries, oldest first."""

    deliveries: list[DeliveryShape]
    next: int | None


class WayShape(Struct, rename="camel"):
    """One way by which people are told what waits for them."""

    name: str
    #: Where it goes, without what is secret of that.
    shown: str
    #: Notices since the start: that arrived, and that were given up.
    delivered: int
    given_up: int
    #: Failed tries in a row, and why the last one failed; empty: it arrived.
    failed: int
    problem: Said
    last: Annotated[float, Meta(description=SECONDS)]


class WaysBody(Struct):
    """The ways that are configured."""

    ways: list[WayShape]


class TestedWay(Struct):
    """What became of a test by one way; without a problem it arrived."""

    name: str
    problem: Said


class TestedWays(Struct):
    """What became of a test."""

    ways: list[TestedWay]


class EventShape(WaitingEvent):
    """An event that waits, with its body."""

    event: dict[str, Any]


class StorePage(Struct):
    """Documents of a system's store by key, or how many each table has."""

    tables: dict[str, int]
    documents: dict[str, dict[str, Any]]
    #: What `after` is for the next page.
    next: str | None


class CopiedStore(Struct):
    """The name of the copy, in the folder of the stores."""

    file: str


class SkippedEvent(Struct, rename="camel"):
    """An event that was not committed, who decided so and why."""

    number: int
    id: str
    instance_id: str
    tag: str
    branch: str
    units: int
    skipped: HistoryShape
    reconsidered: int | None
    pending_event: dict[str, Any]


class SkippedPage(Struct):
    """A page of the skipped events, oldest first."""

    total: int
    skipped: list[SkippedEvent]
    next: int | None


class ValueShape(Value, rename="camel", frozen=True):
    """One value before and after a replay; of an overwrite: the value replaced, and the one that replaced it."""


class OverwrittenValue(ValueShape, frozen=True):
    """One value of an overwrite: `before` was written by `by`, unseen; `after` replaced it."""

    by: str


class OverwriteShape(Struct):
    """Both values of each row that was overwritten."""

    #: At most thirty; `more`: further ones, `same`: rows of which both wrote the same.
    values: list[OverwrittenValue]
    same: int
    more: int
    #: Why nothing, or not all, is known.
    problem: Said


class StaleUnit(Struct, rename="camel"):
    """A unit whose result is not known to be fresh: why, since when, and what it missed."""

    number: int
    instance_id: str
    branch: str
    #: The instance itself, or its last replay.
    computation: str
    #: `stale`, `unverified`, `not_remembered`, `overwrite`, `accepted`, `left_out` or `not_finished`.
    state: str
    timestamp: str
    #: The `timestamp` with its zone.
    at: str
    #: Instances whose commits it did not see.
    missed: list[str]
    cause: Said
    #: Who accepted it or left it out, and why.
    user: str
    reason: str
    #: The late reprocessing that is to replay it.
    reprocessing: str | None
    #: Of an overwrite, where its values are asked for.
    overwrite: OverwriteShape | None = None


class StalePage(Struct):
    """A page of them, oldest note first; `left`: how many left the list for newer ones."""

    total: int
    left: int
    stale: list[StaleUnit]
    next: int | None


class RowRead(Struct):
    """A row as a computation read it."""

    type: str
    id: str
    branch: str
    #: The instance that wrote the version; empty: not known.
    version: str
    #: The computation changes the row itself.
    wrote: bool


class EvidenceShape(Struct, rename="camel"):
    """Why a unit is in the document: who named it, and the rows that it read and that are changed."""

    instance_id: str
    branch: str
    named: str
    missed: list[str]
    computation: str
    #: The first twenty; `rows`: how many there are.
    read: list[RowRead]
    rows: int
    #: Rows that its computation created: a replay adds rows, it does not replace these.
    adds_rows: int
    #: Why nothing, or not all, is known.
    problem: Said


class EvidencePage(Struct):
    """A page of a document's units, each with its evidence."""

    total: int
    units: list[EvidenceShape]
    next: int | None


class UnitValueShape(ValueShape, frozen=True):
    """One value of a unit."""

    instance_id: str
    unit_branch: str


class OutcomeSummary(Struct, rename="camel"):
    """What all replays changed, as far as it is known."""

    #: In one line, for terminals.
    says: str
    #: Units of the document; those that the summary is about (the first 1000); of these, those replayed, compared, and
    #: not to be had. `pending`: still to be asked; ask again.
    units: int
    looked: int
    replayed: int
    compared: int
    failed: int
    pending: int
    #: Values changed; rows added, destroyed, and changed without having been read; results that stayed as they were.
    changed: int
    added: int
    destroyed: int
    unread: int
    unchanged: int
    largest: UnitValueShape | None
    #: Why something is not to be had.
    problem: Said


class UnitOutcome(Struct, rename="camel"):
    """What the replays of one unit changed."""

    instance_id: str
    branch: str
    state: str
    round: int
    #: The instance of its last replay; empty: there is none.
    computation: str
    changed: int
    added: int
    destroyed: int
    unread: int
    #: Rows written with the values they had.
    same: int
    #: The thirty largest changes.
    values: list[ValueShape]
    #: Why there is nothing to compare, or it is not to be had.
    problem: Said


class OutcomePage(Struct, rename="camel"):
    """What a reprocessing changed: a summary, the biggest changes of all, and a page of its units."""

    status: str
    summary: OutcomeSummary
    biggest: list[UnitValueShape]
    total: int
    units: list[UnitOutcome]
    next: int | None


class PastShape(Struct, rename="camel"):
    """The past values of a field, the one that is replaced among them."""

    count: int
    #: None: there are fewer than `enough`.
    median: float | None
    #: Of what a standard deviation would be, from the median absolute deviation.
    spread: float | None
    low: float | None
    high: float | None
    #: Spreads between the new value and the median.
    score: float | None
    #: Why there may be more of them; empty: these are all, or as many as are asked for.
    ends: Said


class UnusualValue(ValueShape, frozen=True):
    """A new number, and what its past says of it."""

    #: unusual, usual, constant (the past values were all the same), too_few, or pending (ask again).
    verdict: str
    #: Places by which a digit or the decimal point seems to have slipped: 1 for ten times; 0: none.
    slipped: int
    #: It is unusual, unlike a constant past, or slipped.
    stands_out: bool
    past: PastShape


class UnusualPage(Struct, rename="camel"):
    """The numbers that a held commit changes most, what stands out first."""

    #: More will be known: ask again.
    pending: bool
    #: Values that the commit changes.
    changed: int
    #: Of the values told, those that stand out.
    unusual: int
    #: Past values below which nothing is said, and spreads beyond which a value is unusual.
    enough: int
    limit: float
    values: list[UnusualValue]
    #: Why nothing, or not all, is known.
    problem: Said


class LabelShape(Struct):
    """What a field is called, its unit and its decimals; texts by language."""

    name: dict[str, str]
    unit: dict[str, str]
    decimals: int | None


class TypeLabelsShape(Struct):
    """What rows of a type are called, and their fields."""

    name: dict[str, str]
    fields: dict[str, LabelShape]


class LabelsShape(Struct):
    """The labels of a system's data, by type."""

    types: dict[str, TypeLabelsShape]


class EntitiesPage(Struct):
    """A page of what a commit would write."""

    total: int
    entities: list[Any]
    next: int | None


class ErrorMessageShape(Struct, rename="camel"):
    """A message of the error queue: why it failed and when, its headers, its size in bytes, and its body."""

    id: str
    reason: Said
    #: Empty: it came before that was noted.
    failed_at: str
    headers: dict[str, Any]
    size: int
    #: `body` is its beginning only.
    truncated: bool
    #: As JSON, or as text where it is none.
    body: Any


class ErrorsPage(Struct):
    """The oldest messages of the error queue, or of one group of it; `total`: how many there are of these."""

    total: int
    errors: list[ErrorMessageShape]


class ErrorGroupShape(Struct, rename="camel"):
    """Messages of the error queue that failed alike."""

    key: str
    #: Why the oldest of them failed.
    reason: Said
    count: int
    #: When the first and the last of them failed; empty: one of them came before that was noted.
    first: str
    last: str
    #: Names of their events, some of them.
    events: list[str]
    #: The instance of the oldest.
    instance_id: str
    #: Their commits are in doubt: they are not redriven as a group.
    doubt: bool
    #: Binds a redrive to these messages.
    digest: str


class ErrorGroupsPage(Struct, rename="camel"):
    """The messages of the error queue by why they failed; the group with the oldest message comes first."""

    #: Messages on the queue, and of these the oldest that were looked at.
    total: int
    looked_at: int
    #: Groups in all.
    count: int
    groups: list[ErrorGroupShape]


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


class SetAsideEventShape(Struct, rename="camel"):
    """The event that was set aside: its number, and its instance."""

    number: int
    instance_id: str


class RedrivenShape(Struct):
    """How many messages were given back, and the ids that were not found."""

    redriven: int
    missing: Any
