"""A system: its state, its lock, what runs, and what its store holds."""

from typing import Annotated, Any

from msgspec import Meta, Struct

from maestro.http.shapes.documents import BudgetShape, ProgressShape
from maestro.http.shapes.shared import MAX_ID, Limit
from maestro.messages.answers import Said
from maestro.rules.status import Status


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


class StallShape(Struct):
    """What a system waits for: nothing of it can be judged, committed or replayed until then."""

    sibling: str
    cause: Said
    since: str


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


class StorePage(Struct):
    """Documents of a system's store by key, or how many each table has."""

    tables: dict[str, int]
    documents: dict[str, dict[str, Any]]
    #: What `after` is for the next page.
    next: str | None


class CopiedStore(Struct):
    """The name of the copy, in the folder of the stores."""

    file: str
