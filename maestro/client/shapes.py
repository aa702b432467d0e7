"""What Maestro's answers say, as far as the client looks. Fields not named here stay in the raw answer."""

from typing import Any

from msgspec import Raw, Struct

from maestro.statuses import LIVE, RUNNING, Status


class _Shape(Struct, frozen=True, rename="camel"):
    """An answer, or a part of one."""


class Entry(_Shape, frozen=True):
    """One entry of a document's history; `timestamp` is UTC without a zone."""

    status: str
    timestamp: str = ""
    user: str = ""
    cause: str = ""
    reason: str = ""


class CopiedStore(_Shape, frozen=True):
    """A copy of a store, in the folder of the stores."""

    file: str


class StorePage(_Shape, frozen=True):
    """What a system's store holds: its tables, or documents by key."""

    tables: dict[str, int] = {}
    documents: dict[str, Raw] = {}
    next: str | None = None


class Approval(_Shape, frozen=True):
    """The first of two approvals."""

    user: str = ""
    timestamp: str = ""
    reason: str = ""
    #: What was asked for: approve, retry, resume or reconsider.
    decision: str = "approve"
    #: A second approval has decided.
    decided: bool = False


class Unit(_Shape, frozen=True):
    """One instance on a branch that is replayed."""

    instance_id: str
    branch: str = "master"
    forking: bool = False
    state: str = ""
    round: int = 1
    sends: int = 0
    replay_instance_id: str = ""
    #: Position of the unit whose replay brought it in; -1 for the first ones.
    cause: int = -1
    sent_at: str | None = None
    done_at: str | None = None
    #: Seconds.
    duration: float | None = None
    #: Who named it: discovery, ledger or both; in a late reprocessing, whose commits it missed.
    named: str = "discovery"
    missed: tuple[str, ...] = ()


class NotReplayed(_Shape, frozen=True):
    """A unit that cannot be replayed, or is left out: why, and who decided so."""

    instance_id: str
    branch: str = "master"
    problem: str = ""
    user: str = ""
    timestamp: str = ""
    reason: str = ""


class Progress(_Shape, frozen=True):
    """How far a run is."""

    replayed: int = 0
    outstanding: int = 0
    units: int = 0
    cascaded: int = 0


class Budget(_Shape, frozen=True):
    """What a run may use before it pauses, and what it used."""

    replays: int | None = None
    minutes: float | None = None
    replayed: int = 0


class Estimate(_Shape, frozen=True):
    """How long what is left will take, in seconds, and what that is derived from."""

    seconds: float
    basis: str = ""


class Grown(_Shape, frozen=True):
    """A run of the past: the units that were shown at its decision, and the replays that it made."""

    shown: int = 0
    made: int = 0


class Likely(_Shape, frozen=True):
    """How many replays there will be in all: usually, at least, at most; by how many past runs of which event name."""

    units: int
    least: int
    most: int
    runs: int
    name: str = ""
    #: The past run that grew most.
    surprise: Grown = Grown()
    #: How long they will take, in seconds; None: not known.
    seconds: float | None = None


class Event(_Shape, frozen=True):
    """A persist event, or an origin event."""

    # Whatever the platform put there: the origin event is not Maestro's.
    name: Any = None
    payload: Any = None
    instance_id: Any = None
    timestamp: Any = None


class Condition(_Shape, frozen=True):
    """A condition of a policy: what it wants, what was found, and whether it holds; None: that is not known."""

    setting: str
    wanted: str = ""
    found: str | None = None
    holds: bool | None = None
    #: It in words.
    says: str = ""


class AppliedPolicy(_Shape, frozen=True):
    """A policy that demanded something of a decision, and why."""

    name: str
    digest: str = ""
    effects: tuple[str, ...] = ()
    why: str = ""
    conditions: tuple[Condition, ...] = ()


class Demand(_Shape, frozen=True):
    """What the policies demanded when they were asked last: approve (nobody is asked), ask or two_approvers."""

    approval: str
    skip_refused: bool = False
    at: str = ""
    says: str = ""
    by: tuple[AppliedPolicy, ...] = ()


class Policy(_Shape, frozen=True):
    """A policy as it is configured."""

    name: str
    digest: str = ""
    effects: tuple[str, ...] = ()
    conditions: dict[str, str] = {}


class Policies(_Shape, frozen=True):
    """A system's policies, and the settings beside them."""

    policies: tuple[Policy, ...] = ()
    two_approvers: bool = False
    auto_approve: bool = False


class WeighedPolicy(_Shape, frozen=True):
    """A policy held against a document: whether it applies (None: as far as is known), and which effects follow."""

    name: str
    digest: str = ""
    applies: bool | None = None
    effects: tuple[str, ...] = ()
    configured: tuple[str, ...] = ()
    conditions: tuple[Condition, ...] = ()


class Explained(_Shape, frozen=True):
    """What the policies say of a document as it is now, and what was recorded when they were asked last."""

    id: str
    system_id: str
    status: str
    approval: str
    skip_refused: bool = False
    says: str = ""
    forking: bool = False
    policies: tuple[WeighedPolicy, ...] = ()
    recorded: Demand | None = None
    two_approvers: bool = False
    auto_approve: bool = False


class Document(_Shape, frozen=True):
    """A reprocessing. Of one with very many units the stream tells neither these nor the digest."""

    id: str
    system_id: str
    status: str
    branch: str | None = "master"
    tag: str | None = None
    forking: bool = False
    history: tuple[Entry, ...] = ()
    units: tuple[Unit, ...] | None = None
    reimpacted: tuple[Unit, ...] | None = None
    set_aside: tuple[NotReplayed, ...] | None = None
    left_out: tuple[NotReplayed, ...] | None = None
    not_finished: tuple[Unit, ...] = ()
    progress: Progress = Progress()
    cancelling: bool = False
    pausing: bool = False
    budget: Budget | None = None
    digest: str | None = None
    reconsidered: int | None = None
    #: Where two different users must approve: who did already.
    first_approval: Approval | None = None
    held_committed: bool = False
    #: Rows that the held commit creates, changes or destroys; None: not known.
    rows: int | None = None
    #: What the policies demanded when they were asked last; None: there were none.
    policies: Demand | None = None
    late: bool = False
    #: The instance whose replay named the held one as impacted.
    held_named_by: str | None = None
    estimate: Estimate | None = None
    #: While it is pending: what past runs say that it will become.
    likely: Likely | None = None
    pending_event: Event = Event()
    origin: Event | None = None
    #: What a re-check changed.
    added: tuple[Unit, ...] = ()
    removed: tuple[Unit, ...] = ()

    @property
    def live(self) -> bool:
        """Not ended."""
        return self.status in LIVE

    @property
    def running(self) -> bool:
        """Neither in line nor paused: a replay may be under way."""
        return self.status in RUNNING


class Lock(_Shape, frozen=True):
    """Why the platform may not proceed."""

    reprocessing: str = ""
    reason: str = ""
    since: str = ""


class Running(_Shape, frozen=True):
    """The reprocessing that runs or is paused."""

    id: str
    status: str = ""
    progress: Progress = Progress()
    pausing: bool = False
    cancelling: bool = False


class Stall(_Shape, frozen=True):
    """What a system waits for."""

    sibling: str
    cause: str = ""
    since: str = ""


class System(_Shape, frozen=True):
    """A system; one that does not answer has the state `unavailable` and a `message`."""

    id: str
    state: str = ""
    message: str = ""
    lock: Lock | None = None
    stalled: Stall | None = None
    #: Commits in doubt that a person must resolve.
    doubts: int = 0
    pending: tuple[str, ...] = ()
    approved: tuple[str, ...] = ()
    running: Running | None = None
    waiting: int = 0
    inbox: int = 0
    #: Ready messages of each queue (-1: it is missing); None: the broker is out of reach.
    queues: dict[str, int] | None = None
    #: What keeps the broker from its work, for all systems; empty when nothing does.
    broker: str = ""
    #: In a cluster, the node that owns it; empty while none is known to.
    node: str = ""

    @property
    def failed(self) -> int | None:
        """Events on the error queue; None: not known."""
        number = (self.queues or {}).get(f"persist.{self.id}.queue.error", -1)
        return None if number < 0 else number


class Waiting(_Shape, frozen=True):
    """An event that waits; `waiting_for` in seconds."""

    number: int
    instance_id: str = ""
    name: str = ""
    branch: str = ""
    tag: str = ""
    since: str = ""
    waiting_for: float = 0.0


class WaitingPage(_Shape, frozen=True):
    """A page of the events that wait, oldest first."""

    total: int
    events: tuple[Waiting, ...] = ()
    next: int | None = None


class Skipped(_Shape, frozen=True):
    """A commit that was skipped."""

    number: int
    id: str
    instance_id: str = ""
    branch: str | None = "master"
    units: int = 0
    skipped: Entry = Entry(Status.SKIPPED)
    reconsidered: int | None = None


class SkippedPage(_Shape, frozen=True):
    """A page of what was skipped, oldest first."""

    total: int
    skipped: tuple[Skipped, ...] = ()
    next: int | None = None


class Value(_Shape, frozen=True):
    """One value before and after a replay."""

    type: str
    id: str
    field: str
    change: str
    branch: str = ""
    about: str = ""
    before: Any = None
    after: Any = None
    difference: float | None = None
    percent: float | None = None
    #: Of which unit, where it is told apart from it.
    instance_id: str = ""
    unit_branch: str = ""
    #: Of an overwrite: who wrote what was replaced.
    by: str = ""


class Overwrite(_Shape, frozen=True):
    """Both values of what was overwritten, and why nothing, or not all, is known."""

    values: tuple[Value, ...] = ()
    same: int = 0
    more: int = 0
    problem: str = ""


class Stale(_Shape, frozen=True):
    """A unit whose result is not known to be fresh."""

    number: int
    instance_id: str
    branch: str = "master"
    state: str = ""
    timestamp: str = ""
    missed: tuple[str, ...] = ()
    cause: str = ""
    user: str = ""
    reason: str = ""
    reprocessing: str | None = None
    #: Where its values were asked for.
    overwrite: Overwrite | None = None


class StalePage(_Shape, frozen=True):
    """A page of them, oldest note first."""

    total: int
    left: int = 0
    stale: tuple[Stale, ...] = ()
    next: int | None = None


class TodoItem(_Shape, frozen=True):
    """One thing that waits for a person; `since` is in UTC with its zone, empty when it is not known."""

    kind: str
    system: str
    since: str = ""
    says: str = ""
    locked: bool = False
    waiting: int = 0
    reprocessing: str = ""
    event: str = ""
    about: str = ""
    instance_id: str = ""
    branch: str = ""
    key: str = ""
    cause: str = ""
    count: int = 0
    units: int = 0
    #: Of what is pending: binds a decision to what was shown.
    digest: str = ""


class TodoPage(_Shape, frozen=True):
    """What waits for a person, the most urgent first; `counts`: how much of each kind."""

    total: int
    counts: dict[str, int] = {}
    items: tuple[TodoItem, ...] = ()
    next: int | None = None


class DecidedOne(_Shape, frozen=True):
    """What became of one of several decisions: decided, noted, refused or unknown; `message` says why not."""

    id: str
    system: str = ""
    outcome: str = ""
    status: int = 0
    message: str = ""


class DecidedMany(_Shape, frozen=True):
    """How many were decided, noted, refused and not answered; and each."""

    decided: int
    noted: int = 0
    refused: int = 0
    unknown: int = 0
    items: tuple[DecidedOne, ...] = ()


class Decided(_Shape, frozen=True):
    """What was decided last, by whom, when (UTC with its zone) and why."""

    status: str
    user: str = ""
    at: str = ""
    reason: str = ""


class Record(_Shape, frozen=True):
    """A reprocessing as the history lists it; times are in UTC with their zone."""

    cursor: str
    id: str
    system: str = ""
    branch: str = ""
    event: str = ""
    about: str = ""
    instance_id: str = ""
    status: str = ""
    since: str = ""
    changed: str = ""
    cause: str = ""
    decision: Decided | None = None
    units: int = 0
    replayed: int = 0


class RecordsPage(_Shape, frozen=True):
    """A page of the history, newest first."""

    records: tuple[Raw, ...] = ()
    next: str | None = None
    unanswered: tuple[str, ...] = ()


class EntitiesPage(_Shape, frozen=True):
    """A page of what a commit would write."""

    total: int
    entities: tuple[dict[str, Any], ...] = ()
    next: int | None = None


class Past(_Shape, frozen=True):
    """The past values of a field; None: too few to measure by."""

    count: int = 0
    median: float | None = None
    spread: float | None = None
    low: float | None = None
    high: float | None = None
    score: float | None = None
    ends: str = ""


class UnusualValue(Value, frozen=True):
    """A new number of a held commit, and what its past says of it."""

    verdict: str = ""
    slipped: int = 0
    stands_out: bool = False
    past: Past = Past()


class UnusualPage(_Shape, frozen=True):
    """The numbers that a held commit changes most, what stands out first."""

    pending: bool = False
    changed: int = 0
    unusual: int = 0
    enough: int = 0
    limit: float = 0.0
    values: tuple[UnusualValue, ...] = ()
    problem: str = ""


class Label(_Shape, frozen=True):
    """What a field is called, its unit and its decimals; texts by language."""

    name: dict[str, str] = {}
    unit: dict[str, str] = {}
    decimals: int | None = None


class TypeLabels(_Shape, frozen=True):
    """What rows of a type are called, and their fields."""

    name: dict[str, str] = {}
    fields: dict[str, Label] = {}


class Labels(_Shape, frozen=True):
    """The labels of a system's data, by type."""

    types: dict[str, TypeLabels] = {}


class OutcomeSummary(_Shape, frozen=True):
    """What all replays changed, as far as it is known; `says` it in one line."""

    says: str = ""
    units: int = 0
    looked: int = 0
    replayed: int = 0
    compared: int = 0
    failed: int = 0
    pending: int = 0
    changed: int = 0
    added: int = 0
    destroyed: int = 0
    unread: int = 0
    unchanged: int = 0
    largest: Value | None = None
    problem: str = ""


class UnitOutcome(_Shape, frozen=True):
    """What the replays of one unit changed."""

    instance_id: str
    branch: str
    state: str = ""
    changed: int = 0
    added: int = 0
    destroyed: int = 0
    unread: int = 0
    values: tuple[Value, ...] = ()
    problem: str = ""


class OutcomePage(_Shape, frozen=True):
    """What a reprocessing changed: a summary, the biggest changes, a page of its units."""

    summary: OutcomeSummary
    total: int
    status: str = ""
    biggest: tuple[Value, ...] = ()
    units: tuple[UnitOutcome, ...] = ()
    next: int | None = None


class ErrorMessage(_Shape, frozen=True):
    """A message on an error queue; `size` in bytes, `body` JSON or text."""

    id: str
    reason: str = ""
    failed_at: str = ""
    headers: dict[str, str] = {}
    size: int = 0
    truncated: bool = False
    body: Any = None


class ErrorPage(_Shape, frozen=True):
    """The oldest messages of an error queue."""

    total: int
    errors: tuple[ErrorMessage, ...] = ()


class FoundUnit(Unit, frozen=True):
    """A unit, its place in the document, and what its origin event says."""

    position: int = 0
    name: str = ""
    timestamp: str = ""
    about: str = ""


class ValueCount(_Shape, frozen=True):
    """So many units have this value."""

    value: str
    count: int


class ValueCounts(_Shape, frozen=True):
    """Units by value; `others`: those of values that are not listed."""

    values: tuple[ValueCount, ...] = ()
    others: int = 0


class FoundUnitsPage(_Shape, frozen=True):
    """A page of the `matched` units that fit, of `total`; `groups`: counts by process, branch, period and state."""

    total: int
    matched: int
    groups: dict[str, ValueCounts] = {}
    units: tuple[FoundUnit, ...] = ()
    next: int | None = None


class ErrorGroup(_Shape, frozen=True):
    """Messages of an error queue that failed alike; `first` and `last`: when, empty: not known of all.

    `digest` binds a redrive to these messages; `doubt`: their commits are in doubt, and no group redrives them.
    """

    key: str
    reason: str = ""
    count: int = 0
    first: str = ""
    last: str = ""
    events: tuple[str, ...] = ()
    instance_id: str = ""
    doubt: bool = False
    digest: str = ""


class ErrorGroupsPage(_Shape, frozen=True):
    """A page of the groups of an error queue: `count` groups of the oldest `looked_at` of its `total` messages."""

    total: int
    looked_at: int = 0
    count: int = 0
    groups: tuple[ErrorGroup, ...] = ()


class Doubt(_Shape, frozen=True):
    """A commit in doubt; `state`: in hand, open or resolved."""

    key: str
    use: str = ""
    instance_id: str = ""
    delivery: str = ""
    reprocessing: str = ""
    since: str = ""
    cause: str = ""
    state: str = ""
    verdict: str = ""
    user: str = ""
    at: str = ""
    reason: str = ""


class Doubts(_Shape, frozen=True):
    """The commits in doubt, oldest first, and the newest that were resolved."""

    total: int
    doubts: tuple[Doubt, ...] = ()
    resolved: tuple[Doubt, ...] = ()


class SetAside(_Shape, frozen=True):
    """The event of a stalled system that was put on its error queue."""

    number: int
    instance_id: str = ""


class Redriven(_Shape, frozen=True):
    """How many messages were given back to be judged again, and which were not found."""

    redriven: int
    missing: tuple[str, ...] = ()


class Reconsidered(_Shape, frozen=True):
    """What became of a skipped event that was judged again."""

    status: str
    position: int | None = None
    reprocessing: Document | None = None


class Health(_Shape, frozen=True):
    """Alive, or ready."""

    status: str


class Seen(_Shape, frozen=True):
    """What a watcher of a system sees: the system, and the document that is at stake."""

    system: System
    #: A `Document`, or null.
    document: Raw = Raw(b"null")


class Node(_Shape, frozen=True):
    """A node of the cluster."""

    name: str
    url: str = ""
    version: str = ""
    capacity: float = 0.0
    #: Its lease was not broken and not given up, as far as is known.
    holds_lease: bool = False
    draining: bool = False
    #: How many systems it owns, of those that the caller may touch.
    systems: int = 0
    #: Whether it may claim systems; else why not.
    claims: bool = False
    why_not: str | None = None
    #: It holds the message that says whose the events of the vhost are.
    holds_events: bool = False


class Nodes(_Shape, frozen=True):
    """The nodes of the cluster, as the node that answers (`node`) saw them last."""

    #: Empty: there is none.
    cluster: str = ""
    #: That there is no cluster, or why what is listed may be old.
    says: str = ""
    node: str = ""
    nodes: tuple[Node, ...] = ()
    #: Systems that no node owns.
    unowned: tuple[str, ...] = ()


class Way(_Shape, frozen=True):
    """One way by which people are told what waits for them."""

    name: str
    shown: str = ""
    delivered: int = 0
    given_up: int = 0
    failed: int = 0
    #: Why the last try, or the test, did not arrive; empty: it did, or there was none.
    problem: str = ""
    #: When the last try was, in seconds since the epoch; 0: there was none.
    last: float = 0.0


class Ways(_Shape, frozen=True):
    """The ways that are configured; what became of a test by each."""

    ways: tuple[Way, ...] = ()
