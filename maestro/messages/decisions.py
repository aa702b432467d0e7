"""What a person decides about one document. Each is answered by an `Answer`."""

from msgspec import Struct

from maestro.messages.item import Item


class Budget(Struct, frozen=True):
    """How far a run may go before it pauses, counted from its start or resumption; None: no limit."""

    replays: int | None = None
    minutes: float | None = None


UNLIMITED = Budget()


class Covers(Struct, frozen=True):
    """The decision is to be taken for what else becomes pending of its tag, soon, and up to a size."""

    #: How it was told who decides (`Principal.via`), and when their credential ends, in seconds since the epoch; None:
    #: it does not.
    via: str = "open"
    expires: float | None = None
    #: Units of the largest document it is taken for; None: as many as the document has that is decided.
    limit: int | None = None
    #: Id of the token of who decides; empty: none is needed, or it is no token of ours.
    token: str = ""


class Approve(Item, frozen=True):
    """Approve the pending reprocessing. Answers the document."""

    id: str
    user: str
    reason: str = ""
    #: Digest of the preview that was seen; empty: approve whatever there is.
    digest: str = ""
    budget: Budget = UNLIMITED
    #: Id of the token of who asks; empty: none is needed, or it is no token of ours.
    token: str = ""
    covers: Covers | None = None


class Skip(Item, frozen=True):
    """Skip the pending reprocessing: its commit is dropped. Answers the document."""

    id: str
    user: str
    reason: str = ""
    covers: Covers | None = None
    #: Digest of the preview that was seen; empty: skip whatever there is.
    digest: str = ""


class Retry(Item, frozen=True):
    """Approve a failed, aborted or cancelled reprocessing again. Answers the document."""

    id: str
    user: str
    reason: str = ""
    budget: Budget = UNLIMITED
    #: Id of the token of who asks; empty: none is needed, or it is no token of ours.
    token: str = ""


class Cancel(Item, frozen=True):
    """Cancel an approved or paused reprocessing, or a running one after its current replay. Answers the document."""

    id: str
    user: str
    reason: str = ""


class Pause(Item, frozen=True):
    """Pause a running reprocessing after its current replay. Answers the document."""

    id: str
    user: str
    reason: str = ""


class Resume(Item, frozen=True):
    """Go on with a paused reprocessing, as far as `budget` goes. Answers the document."""

    id: str
    user: str
    reason: str = ""
    budget: Budget = UNLIMITED
    #: Id of the token of who asks; empty: none is needed, or it is no token of ours.
    token: str = ""


class Recheck(Item, frozen=True):
    """Ask Discovery again about a pending reprocessing. Answers the document, with `added` and `removed` units."""

    id: str
    user: str


class Reconsider(Item, frozen=True):
    """Judge the event of a skipped reprocessing again. Answers what became of it, as `PersistSync` does."""

    id: str
    user: str
    reason: str = ""
    #: Id of the token of who asks; empty: none is needed, or it is no token of ours.
    token: str = ""


class LeaveOut(Item, frozen=True):
    """Leave outstanding units out of a paused, failed, aborted or cancelled reprocessing. Answers the document."""

    id: str
    user: str
    #: (instanceId, branch)
    units: tuple[tuple[str, str], ...]
    reason: str = ""


class SetStatus(Item, frozen=True):
    """Override a status by hand. Answers the document."""

    id: str
    status: str
    user: str
    reason: str = ""
    #: Id of the token of who asks; empty: none is needed, or it is no token of ours.
    token: str = ""


#: What a person decides about one document.
Decision = Approve | Skip | Retry | Cancel | Pause | Resume | Recheck | Reconsider | LeaveOut | SetStatus
