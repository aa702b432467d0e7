"""What siblings and queues say, and what became of messages to them: part of `facts`, which offers them all.

Whether a committed instance is visible, whether a sibling is there, and how far the outbox has come.
"""

from msgspec import Struct

from maestro.events import ReplayRef
from maestro.rules.impact import Impacted, Origin
from maestro.rules.ledger import Footprint, Reader, Reads
from maestro.rules.ledger_book import MissedCommit, Oldest, Replaced


class CanaryAsked(Struct, frozen=True):
    """A sibling was asked what it answered before, and did answer, or not; or nothing such is `known`."""

    what: str
    token: int
    answered: bool
    known: bool = True


class Unanswered(Struct, frozen=True):
    """A try of what the judging slot or a run asks had no answer in time; it is tried further."""

    #: Who asks: `outage.JUDGING`, or the document's id; and the token of its question.
    what: str
    token: int
    sibling: str
    cause: str
    #: When it was asked (seconds since the epoch).
    since: float


class Looked(Struct, frozen=True):
    """API core said what it calls an instance; None: it knows none of that id."""

    key: str
    token: int
    status: str | None
    #: Tries of API core that have failed in this life.
    failures: int = 0


class LookFailed(Struct, frozen=True):
    """API core did not answer."""

    key: str
    token: int
    cause: str
    #: When it was asked (seconds since the epoch); 0: not known.
    since: float = 0.0


class FinishedSet(Struct, frozen=True):
    """API core calls the instance finished now, for Maestro said so."""

    key: str
    token: int
    failures: int = 0


class FinishedRefused(Struct, frozen=True):
    """API core answered, and did not take the status."""

    key: str
    token: int
    cause: str


class AskedAgain(Struct, frozen=True):
    """Discovery answered about a commit already made, and API core after it."""

    key: str
    token: int
    units: tuple[Impacted, ...]


class AskAgainFailed(Struct, frozen=True):
    """The question about a commit already made could not be put."""

    key: str
    token: int
    cause: str


class SetAside(Struct, frozen=True):
    """Somebody wants the event that a stalled system has in hand on its error queue."""

    user: str
    ticket: int
    reason: str = ""


class OutboxMessageBegun(Struct, frozen=True):
    """A call that delivers a message begins."""

    number: int


class OutboxMessageUnanswered(Struct, frozen=True):
    """A call that delivers a message had no answer: what it says may arrive, now or later."""

    number: int


class OutboxMessageRefused(Struct, frozen=True):
    """A call that delivers a message was answered no, or could not be made: another one may do better."""

    number: int


class OutboxMessageDone(Struct, frozen=True):
    """A message is delivered, or given up."""

    number: int


class InstanceEnded(Struct, frozen=True):
    """The platform says that a process instance ended (an *outcome*): done, or, with a `cause`, in an error."""

    instance_id: str
    #: Name of the event that says so: an operation may be started by it.
    name: str
    version: str
    branch: str
    #: Set when the instance is a replay.
    replay: ReplayRef | None
    #: Domain itself says that it stored the instance's data.
    stored: bool = False
    cause: str = ""
    #: What ingress calls it; it is acknowledged once what it led to is stored.
    ref: int | None = None


class Notified(Struct, frozen=True):
    """A notification was sent, refused or given up: the outcome changes nothing."""

    id: str
    token: int


class UnitRefused(Struct, frozen=True):
    """The Event Manager has no subscriber for a replay: it will never run."""

    id: str
    token: int
    cause: str


class QueuesUpdated(Struct, frozen=True):
    """The unit queues were filled, grown or emptied as asked; `problem` is set when the broker refused for good."""

    id: str
    token: int
    problem: str


class FootprintFound(Struct, frozen=True):
    """Domain said which rows the commit of the event being judged would change; None: it did not say."""

    token: int
    footprint: Footprint | None


class OwedFetched(Struct, frozen=True):
    """What was owed to an entry of the ledger is there; with a `problem` not all of it can be had."""

    number: int
    footprint: Footprint | None = None
    reads: Reads | None = None
    #: Later commits of rows that were read, which the computation did not see; those of rows that it wrote itself.
    missed: tuple[MissedCommit, ...] = ()
    overwritten: tuple[MissedCommit, ...] = ()
    replaces: Replaced | None = None
    #: Who read what the commit changed, and came between the question whom it impacts and the commit.
    overlooked: tuple[Reader, ...] = ()
    #: Without `reads`: the commits since the computation began, which it may have missed; None: they are not known.
    candidates: tuple[MissedCommit, ...] | None = None
    problem: str = ""


class LateOriginsFetched(Struct, frozen=True):
    """Origins of stale units are there, and the id of a document for them; a `problem`: they cannot be had now."""

    token: int
    document_id: str = ""
    origins: tuple[Origin, ...] = ()
    problem: str = ""


class OldestEntriesFound(Struct, frozen=True):
    """The oldest entries of the ledger, which take at least as many rows as there are too many.

    A `problem`: the store could not be asked.
    """

    entries: tuple[Oldest, ...] = ()
    problem: str = ""


class FollowingKnown(Struct, frozen=True):
    """API core said whether the end of a replay's instance starts another operation, or may, when it did not say."""

    id: str
    send: str
    instance_id: str
    follows: bool
