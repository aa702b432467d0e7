"""All that a system's actor knows, and the questions the rules ask of it."""

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from enum import StrEnum

from maestro.rules.cover import Cover
from maestro.rules.delivery import Delivery, Verdict
from maestro.rules.document import Document
from maestro.rules.doubt import Case, Doubt
from maestro.rules.facts import Retried
from maestro.rules.growth import Growth
from maestro.rules.ledger_book import Book, LatePolicy, MissedQuestion, Scope
from maestro.rules.pace import Paces
from maestro.rules.policies import Policy
from maestro.rules.stalls import Stall, Trouble
from maestro.rules.status import IN_PROGRESS, Status
from maestro.rules.visible import Look, Looks


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules' few numbers (see the settings of the same names)."""

    replay_attempts: int = 2
    max_replays_per_instance: int = 3
    auto_approve: bool = False
    two_approvers: bool = False
    dedup_window: int = 4096
    require_reason: bool = False
    #: Deliveries that the broker hands over before one is settled.
    prefetch: int = 256
    #: Seconds for which copies of waiting events are kept from the wait queue while the system is blocked.
    hold_copies: float = 600.0
    #: Seconds, infinite for never; tries and pauses as for any call (semantics: The commit).
    commit_settle: float = 60.0
    commit_repeatable: bool = False
    commit_tries: int = 5
    commit_backoff: float = 2.0
    #: See that each committed instance becomes `finished` in API core; else the platform is trusted with it.
    ensure_finished: bool = True
    #: Seconds that a run waits for a sibling that is out of reach.
    outage_limit: float = 1800.0
    ledger_scope: Scope = Scope.OFF
    ledger_rows: int = 1_000_000
    #: What the ledger alone names holds nothing: it is listed as stale once the commit is made.
    ledger_reports: bool = False
    late_policy: LatePolicy = LatePolicy.ASK
    late_after: float = 10.0
    tag_window: float = 600.0
    #: The policies that are for this system.
    policies: tuple[Policy, ...] = ()

    @property
    def looks_at_rows(self) -> bool:
        """Whether a policy asks how many rows a held commit changes."""
        return any(policy.looks_at_rows for policy in self.policies)


class OutboxKind(StrEnum):
    """What a message tells a sibling."""

    STATUS = "status"
    ERROR_EVENT = "error_event"


@dataclass(frozen=True, slots=True)
class OutboxMessage:
    """A message to a sibling that decides nothing, kept in a retried outbox (semantics: retried outbox)."""

    number: int
    kind: OutboxKind
    instance_id: str
    #: The instance's status text, or why the event failed.
    text: str
    #: Number of the delivery an error event speaks of; 0: none.
    about: int = 0


class JudgingStage(StrEnum):
    """What the event in the judging slot waits for. Not stored."""

    IMPACT = "impact"
    ORIGINS = "origins"
    COMMIT = "commit"
    #: A commit, made meanwhile, is not known to be visible: the question is put again once it is.
    LOOKS = "looks"
    #: Another commit is in doubt, or cannot be begun: the question is put again after that.
    DOUBT = "doubt"
    #: A sibling did not answer past the tries: whose fault it is, is found out.
    TROUBLE = "trouble"


@dataclass(slots=True)
class Counters:
    """What happened since the start of the actor."""

    commit: int = 0
    pending: int = 0
    waiting: int = 0
    error: int = 0
    duplicate: int = 0
    superseded: int = 0
    replayed: int = 0
    cascaded: int = 0


@dataclass(frozen=True, slots=True)
class Failure:
    """The last event that failed: when (seconds since the epoch), whose (empty: it could not be read), and why."""

    at: float
    instance_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Lock:
    """Why `proceed` is refused: whose reprocessing runs, since when, and how far it is."""

    reprocessing_id: str
    owner: str
    since: float
    replayed: int
    outstanding: int
    paused: bool = False


@dataclass(frozen=True, slots=True)
class CommitUnderWay:
    """A commit that is called and not answered: whose, of which kind, and since when (seconds since the epoch)."""

    instance_id: str
    kind: str
    since: float


@dataclass(slots=True)
class System:
    """The state of one system."""

    id: str
    rules: Rules = field(default_factory=Rules)
    #: When the fact at hand happened, in seconds since the epoch.
    now: float = 0.0
    next_number: int = 1
    #: Every known event by its key: those not done, and the last `dedup_window` done ones.
    deliveries: dict[str, Delivery] = field(default_factory=dict)
    #: The latest delivery of each fingerprint, by its key.
    fingerprints: dict[str, str] = field(default_factory=dict)
    #: The delivery that the last arrival belongs to.
    last_arrived: Delivery | None = None
    #: Waiting events by number: the order they are drained in.
    waiting: OrderedDict[int, Delivery] = field(default_factory=OrderedDict)
    #: Admitted while open, not judged yet.
    inbox: deque[Delivery] = field(default_factory=deque)
    #: Commits decided and not known to be made: after a restart they come before all else.
    unfinished: deque[Delivery] = field(default_factory=deque)
    #: The event being judged, what it waits for, and the token of the answer.
    judged: Delivery | None = None
    judging_stage: JudgingStage | None = None
    judging_token: int = 0
    #: Documents by id, oldest first; ended ones without their units.
    documents: dict[str, Document] = field(default_factory=dict)
    #: The documents that are not ended, by id, oldest first. Kept, for every fact asks for them.
    live: dict[str, Document] = field(default_factory=dict)
    #: Ended documents whose end the Event Manager is still to be told of.
    owed: dict[str, Document] = field(default_factory=dict)
    #: Documents whose run ended with an accepted result that may still count (`kept`).
    keeping: dict[str, Document] = field(default_factory=dict)
    #: Decisions that cover their tag, by tag and event name: the latest of each; some may be over.
    covers: dict[tuple[str, str], Cover] = field(default_factory=dict)
    outbox: dict[int, OutboxMessage] = field(default_factory=dict)
    next_outbox_message: int = 1
    #: Messages of the outbox that a call was begun for, in this life or, maybe, in a former one.
    outbox_begun: set[int] = field(default_factory=set)
    #: Status texts that were dropped while a call was under way, by number, and whose commit they may outlast.
    texts_under_way: dict[int, Delivery | Document] = field(default_factory=dict)
    #: When the last call of a status text ended without an answer, by instance, for as long as it may still come.
    late_texts: dict[str, float] = field(default_factory=dict)
    #: What is owed to commits, by who owes it: the key of a delivery or the id of a document.
    looks: dict[str, Look] = field(default_factory=dict)
    #: Questions about commits that are made, by their keys (see `asking_again`). Not stored.
    questions: dict[str, Look | MissedQuestion] = field(default_factory=dict)
    #: How long instances took to become visible.
    visible: Looks = field(default_factory=Looks)
    next_line: int = 1
    #: Done deliveries, oldest first.
    finished: deque[str] = field(default_factory=deque)
    #: It was blocked, or stalled for long, after the last fact: who asks for what waits was told so (not stored).
    closed: bool = False
    #: Instances of commits that were forgotten last: an outcome may be of one of these. Not stored.
    forgotten: dict[str, None] = field(default_factory=dict)
    #: Deliveries with a copy on the wait queue.
    parked: int = 0
    #: What waits does so only because too much came beside a run without lock (not stored: after a restart it drains).
    overflowing: bool = False
    #: Since when the system is blocked while the wait queue is consumed, in seconds since the epoch; 0: it is not so.
    held_since: float = 0.0
    #: The wait queue is being consumed; it may hold messages that are not known.
    feeding: bool = False
    wait_queue_unknown: bool = True
    #: The process is ending: what is in hand is finished, nothing further is judged.
    closing: bool = False
    last_token: int = 0
    paces: Paces = field(default_factory=Paces)
    growth: Growth = field(default_factory=Growth)
    counters: Counters = field(default_factory=Counters)
    ledger: Book = field(default_factory=Book)
    #: What the system waits for, by what is held up. Not stored: after a restart the same questions find it again.
    stalls: dict[str, Stall] = field(default_factory=dict)
    #: Commits that have no `ok` yet though they were called, or begun in a former life, by `Case.what`. Not stored.
    cases: dict[str, Case] = field(default_factory=dict)
    #: Calls of commits that are not answered yet, by token: noted by who calls. Not stored.
    commits_under_way: dict[int, CommitUnderWay] = field(default_factory=dict)
    #: Commits that nothing proves, by key; the resolved ones too: their events may come back from the error queue.
    doubts: dict[str, Doubt] = field(default_factory=dict)
    #: Commits that were in doubt in this life, by how that ended.
    doubts_ended: dict[str, int] = field(default_factory=dict)
    #: Retries that wait for a proof, by the token of the question. Not stored.
    retries: dict[int, Retried] = field(default_factory=dict)
    #: Seconds that the longest commit took.
    longest_commit: float = 0.0
    #: Every commit since this moment (seconds since the epoch) is remembered; 0: every one.
    remembers_from: float = 0.0
    #: Questions that failed past their tries, by who asked: `judging`, or the id of a running document. Not stored.
    troubles: dict[str, Trouble] = field(default_factory=dict)
    #: When the wake-up is due that closes a stalled system; 0: none is ordered.
    closes_at: float = 0.0
    #: The last event of this life that failed; None: none did.
    last_failure: Failure | None = None
    #: When each instance persisted lately, in seconds since the epoch; the least recent instance first. Not stored.
    persisted: OrderedDict[str, list[float]] = field(default_factory=OrderedDict)

    def failed(self, instance_id: str, reason: str, at: float) -> None:
        """Count an event that failed, and keep why."""
        self.counters.error += 1
        self.last_failure = Failure(at, instance_id, reason)

    def stall(self, what: str, sibling: str, cause: str, since: float = 0.0) -> None:
        """Note that `what` waits for a sibling, from now on or `since`; the moment it began stays that of the first."""
        known = self.stalls.get(what)
        self.stalls[what] = Stall(sibling, cause, known.since if known else min(since or self.now, self.now))

    def stalled(self) -> Stall | None:
        """Return the oldest stall (semantics: Stalled)."""
        return min(self.stalls.values(), key=lambda stall: stall.since, default=None) if self.stalls else None

    @property
    def held_up(self) -> bool:
        """Whether it is stalled for so long that it counts as not open. A run's own trouble holds up the run alone."""
        return bool(self.stalls) and any(
            self.now >= stall.closes_at for what, stall in self.stalls.items() if what not in self.documents
        )

    def token(self) -> int:
        """Return a token no command of this life has carried yet."""
        self.last_token += 1
        return self.last_token

    def pending(self, *, late: bool = False) -> Document | None:
        """Return the oldest document of its kind, ordinary or `late`, that waits for a decision."""
        waiting = (doc for doc in self.live.values() if doc.status is Status.PENDING and doc.late is late)
        return next(waiting, None)

    def running(self) -> Document | None:
        """Return the document whose run goes on, or is paused with its lock; else a paused one without lock.

        One with lock and one without may be in progress at once: then the one without lock rests (semantics: Fork).
        """
        if not self.live:  # mostly; asked a dozen times with each fact
            return None
        going = [doc for doc in self.live.values() if doc.status in IN_PROGRESS]
        if len(going) < 2:  # noqa: PLR2004 - nearly always
            return going[0] if going else None
        return min(going, key=lambda doc: (doc.forking, doc.status is Status.PAUSED))

    def next_in_line(self) -> Document | None:
        """Return the approved document to start next, if none is in its way: a paused one is in the way of forks."""
        in_the_way = self.running()
        if in_the_way is not None and not (in_the_way.forking and in_the_way.resting):
            return None
        approved = [
            doc
            for doc in self.live.values()
            if doc.status is Status.APPROVED and (in_the_way is None or not doc.forking)
        ]
        return min(approved, key=lambda doc: doc.line, default=None)

    def add_document(self, doc: Document) -> None:
        """Take a new or loaded document into the books."""
        self.documents[doc.id] = doc
        self.next_line = max(self.next_line, doc.line + 1)
        self.next_number = max(self.next_number, doc.number + 1)  # it may be an imported one
        self.file(doc)

    def file(self, doc: Document) -> None:
        """Keep the indices true after a change of the document's status, announcement or kept result."""
        for index, belongs in ((self.live, doc.live), (self.owed, bool(doc.announce)), (self.keeping, doc.kept)):
            if belongs:
                index[doc.id] = doc
            else:
                index.pop(doc.id, None)

    @property
    def blocked(self) -> bool:
        """Semantics: one is pending, or one with lock is approved or running."""
        for doc in self.live.values():  # noqa: SIM110 - asked some times with each fact: half of what `any` takes
            if doc.blocks:
                return True
        return False

    @property
    def committing(self) -> bool:
        """Whether an event's commit is decided and not known to be made."""
        return self.judging_stage is JudgingStage.COMMIT or bool(self.unfinished)

    def has_committed(self, instance_id: str) -> bool:
        """Whether an event of the instance, or a held one, is committed, is being, or may be."""
        events = (one for one in self.deliveries.values() if one.instance_id == instance_id and not one.replay)
        held = (doc for doc in self.documents.values() if doc.held_instance == instance_id)
        return (
            instance_id in self.forgotten
            or any(one.verdict is Verdict.COMMIT for one in events)
            or any(doc.held_committed or doc.held_begun for doc in held)
        )

    @property
    def keeps_ledger(self) -> bool:
        """Whether commits are taken in, so that the ledger has something to say."""
        return self.rules.ledger_scope is Scope.ALL or (self.rules.ledger_scope is Scope.REPLAYS and self.ledger.begun)

    @property
    def open_doubts(self) -> list[Doubt]:
        """The commits that a person must resolve, oldest first."""
        return [doubt for doubt in self.doubts.values() if doubt.open]

    @property
    def open(self) -> bool:
        """Semantics: not blocked, not stalled for long, and no persist event waits.

        What is parked for the sake of a run without lock does not count.
        """
        return (not self.waiting or self.overflowing) and not self.blocked and not self.held_up

    @property
    def locked_by(self) -> Document | None:
        """The document because of which `proceed` is refused."""
        doc = self.running()
        return doc if doc is not None and doc.locks else None

    def lock(self) -> Lock | None:
        """Return the lock, if there is one."""
        doc = self.locked_by
        if doc is None:
            return None
        approved = doc.last_move(Status.APPROVED)
        return Lock(
            doc.id,
            approved.user if approved else "",
            _locked_since(doc),
            doc.replayed,
            len(doc.outstanding) + (doc.current is not None),
            paused=doc.status is Status.PAUSED,
        )


def _locked_since(doc: Document) -> float:
    """Return when the run took its lock: a pause, and going on after it, change nothing about that."""
    since = doc.history[-1].at
    for entry in reversed(doc.history):
        if entry.status not in IN_PROGRESS:
            break
        since = entry.at
    return since
