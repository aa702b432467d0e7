"""Lists over all systems: what waits for a person, and the history; what became of several decisions."""

from msgspec import Raw, Struct


class TodoItem(Struct, frozen=True, rename="camel"):
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


class TodoPage(Struct, frozen=True, rename="camel"):
    """What waits for a person, the most urgent first; `counts`: how much of each kind."""

    total: int
    counts: dict[str, int] = {}
    items: tuple[TodoItem, ...] = ()
    next: int | None = None


class DecidedOne(Struct, frozen=True, rename="camel"):
    """What became of one of several decisions: decided, noted, refused or unknown; `message` says why not."""

    id: str
    system: str = ""
    outcome: str = ""
    status: int = 0
    message: str = ""


class DecidedMany(Struct, frozen=True, rename="camel"):
    """How many were decided, noted, refused and not answered; and each."""

    decided: int
    noted: int = 0
    refused: int = 0
    unknown: int = 0
    items: tuple[DecidedOne, ...] = ()


class Decided(Struct, frozen=True, rename="camel"):
    """What was decided last, by whom, when (UTC with its zone) and why."""

    status: str
    user: str = ""
    at: str = ""
    reason: str = ""


class Record(Struct, frozen=True, rename="camel"):
    """A reprocessing as the history lists it; times are in UTC with their zone."""

    cursor: str
    id: str
    system: str = ""
    branch: str = ""
    event: str = ""
    about: str = ""
    instance_id: str = ""
    #: It replays what is stale already: nothing is held.
    late: bool = False
    status: str = ""
    since: str = ""
    changed: str = ""
    cause: str = ""
    decision: Decided | None = None
    units: int = 0
    replayed: int = 0


class RecordsPage(Struct, frozen=True, rename="camel"):
    """A page of the history, newest first."""

    records: tuple[Raw, ...] = ()
    next: str | None = None
    unanswered: tuple[str, ...] = ()
