"""One persist event as a system's actor knows it: its number, its verdict, and how far the verdict is carried out."""

from enum import StrEnum

from msgspec import Struct, field

from maestro.rules.impact import Impacted
from maestro.rules.ledger import Footprint


class Verdict(StrEnum):
    """What was decided about a persist event. Stored before the effect it orders is begun."""

    COMMIT = "commit"
    PENDING = "pending"
    WAITING = "waiting"
    ERROR = "error"


class Sight(StrEnum):
    """What is still to be done so that Discovery sees a commit that is made (semantics: Visible).

    Stored with the commit, so that none is forgotten.

    Each member's value is what the store writes.
    """

    NOTHING = ""
    #: API core must call the instance `finished` before Discovery is asked the next question.
    LOOK = "look"
    #: The question before the commit may have been answered with too little: it is put again.
    QUESTION = "question"


class Delivery(Struct):
    """A persist event, numbered at admission. Its body is kept by the store while it may be needed again."""

    key: str
    number: int
    instance_id: str
    name: str
    branch: str
    tag: str
    #: Seconds since the epoch.
    admitted_at: float
    verdict: Verdict | None = None
    #: Why the verdict is `error`.
    reason: str = ""
    #: The verdict's effect is complete: nothing is left to do but to recognise a redelivery.
    done: bool = False
    #: It waited, or waits: its body is kept until it is done.
    waited: bool = False
    #: A copy of it is on the wait queue, confirmed.
    parked: bool = False
    #: A replay's result: its own commit belongs to the run of a reprocessing.
    replay: bool = False
    #: Of the verdict `commit`: the last call is known not to have begun.
    not_begun: bool = False
    #: Domain's outcome says that the commit was made, while its answer was awaited.
    stored: bool = False
    #: Another commit was under way beside its own, and may have replaced rows of it: that none has it proves nothing.
    beside: bool = False
    #: Its commit was called again though a former call may have made it, for that changes nothing: rows and outcomes
    #: may be of the former call, and the last one under way all the same.
    repeated: bool = False
    #: Its commit was in doubt, or may have been under way while a run beside it made one: it may have missed that (not
    #: stored: after a restart its rows are not known either).
    spanned: bool = False
    #: Of the verdict `error`: key of the doubt that its commit is in.
    doubt: str = ""
    #: What its commit still needs, once it is done.
    sight: Sight = Sight.NOTHING
    #: A status text of its instance may still be on its way to API core: see `Document.text_late`.
    text_late: bool = False
    #: What its commit writes is known, and changes and destroys nothing: Discovery can name nobody, so it waits for no
    #: look (not stored: found again when it is judged).
    harmless: bool = False
    #: Tries of API core that had failed when Discovery was asked; None: not known in this life (not stored).
    failures: int | None = None
    #: The reprocessing it says to be a result of; empty: its scope is `execution`.
    reprocessing: str = ""
    #: When it was done, in seconds since the epoch; stored for sync persists only.
    done_at: float = 0.0
    #: Its body is nowhere until it is delivered again: so after a restart, of a commit that was decided (not stored).
    bodiless: bool = False
    #: Deliveries to settle once the verdict is carried out (ingress's references; not stored).
    refs: list[int] = field(default_factory=list)
    #: Somebody waits for the answer of a sync persist (not stored).
    tickets: list[int] = field(default_factory=list)
    #: It came by sync persist, so its caller is told of a failure (not stored: a restart has no caller left).
    has_caller: bool = False
    #: The caller of its sync persist was told how it ended (not stored: an answer may get lost with the process).
    heard: bool = False
    #: The gateway's calls that asked for it (not stored).
    calls: list[str] = field(default_factory=list)
    #: It came back from an error queue, after events with greater numbers may have been committed.
    redriven: bool = False
    #: Which rows its commit changes, once they were asked for (not stored: they are asked for again).
    footprint: Footprint | None = None
    #: Units that the ledger alone names, where it only reports (not stored).
    reported: tuple[Impacted, ...] = ()

    @property
    def keeps_body(self) -> bool:
        """Whether the store must keep the event's body: it waited, failed, or is a replay's result, and is not done."""
        return not self.done and (self.waited or self.replay or self.verdict is Verdict.ERROR)
