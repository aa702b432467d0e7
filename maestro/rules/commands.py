"""What is to be done: the outputs of the machine. Imperative, frozen.

Each says what must be stored before it may begin (`needs`): that is the rule "a verdict is stored before the
effect it orders is begun" and "what is acked is synced to disk", in one place.
"""

from typing import ClassVar

from msgspec import Struct

from maestro.messages.answers import Code
from maestro.rules.command import Alarm as Alarm
from maestro.rules.command import Command as Command
from maestro.rules.command import Needs as Needs
from maestro.rules.command import RaiseAlarm as RaiseAlarm
from maestro.rules.command import Topic as Topic
from maestro.rules.command import WakeAt as WakeAt
from maestro.rules.commands_of_siblings import AskAgain as AskAgain
from maestro.rules.commands_of_siblings import AskCanary as AskCanary
from maestro.rules.commands_of_siblings import AskFootprint as AskFootprint
from maestro.rules.commands_of_siblings import Look as Look
from maestro.rules.commands_of_siblings import SetFinished as SetFinished
from maestro.rules.impact import Impacted

#: Members of a JSON object.
Fields = tuple[tuple[str, str | int | list[dict[str, str]]], ...]


# --- who may decide ------------------------------------------------------------------------------------------


class Decider(Struct, frozen=True):
    """Somebody who decided so that it covers its tag: who, why, how that was told, and how long it holds."""

    user: str
    reason: str
    via: str
    #: Seconds since the epoch at which the credential ends; None: it does not.
    expires: float | None
    #: Id of the token they decided with; empty: it was none of ours.
    token: str = ""


class CheckDeciders(Command, frozen=True):
    """Find out whether all of them may still decide about this system. Answered by `DecidersChecked`."""

    needs: ClassVar[Needs] = Needs.NOTHING
    id: str
    token: int
    deciders: tuple[Decider, ...]


# --- to the ingress actor -----------------------------------------------------------------------------------


class AckDelivery(Command, frozen=True):
    """Acknowledge a delivery."""

    needs: ClassVar[Needs] = Needs.SYNCED
    ref: int


class AckOutcome(Command, frozen=True):
    """Acknowledge an outcome: at once when nothing came of it, else when that is synced."""

    ref: int
    synced: bool

    @property
    def needs(self) -> Needs:  # type: ignore[override]
        """Like an event's acknowledgement, when it changed something."""
        return Needs.SYNCED if self.synced else Needs.NOTHING


class ParkEvent(Command, frozen=True):
    """Put an event on the wait queue, then acknowledge the deliveries it came by. Answered by `Parked`."""

    needs: ClassVar[Needs] = Needs.SYNCED
    key: str
    refs: tuple[int, ...]


class DeadLetterEvent(Command, frozen=True):
    """Put an event on its error queue, then acknowledge its deliveries. Answered by `DeadLettered`."""

    needs: ClassVar[Needs] = Needs.SYNCED
    key: str
    number: int
    reason: str
    refs: tuple[int, ...]
    #: Key of the doubt whose commit this is; empty: none.
    doubt: str = ""


class FeedWaitQueue(Command, frozen=True):
    """Have the wait queue consumed, or left alone."""

    on: bool


class SweepPersist(Command, frozen=True):
    """Answer `PersistSwept` once all that stands in the persist queue at this moment was delivered."""

    needs: ClassVar[Needs] = Needs.NOTHING
    id: str
    send: str


# --- to the caller --------------------------------------------------------------------------------------------


class Reply(Command, frozen=True):
    """Answer a question: with a document (`document_id`), a JSON object made of `fields`, or a message.

    With a document, `fields` are added to it; with a refusal, to what says why.
    """

    needs: ClassVar[Needs] = Needs.SYNCED
    ticket: int
    code: Code
    message: str = ""
    document_id: str = ""
    fields: Fields = ()


# --- to the siblings: judging --------------------------------------------------------------------------------


class AskImpact(Command, frozen=True):
    """Ask Discovery what an event's data impacts. Answered by `ImpactFound` or `JudgingFailed`."""

    needs: ClassVar[Needs] = Needs.NOTHING
    token: int
    instance_id: str


class FetchOrigins(Command, frozen=True):
    """Fetch all a document needs. Answered by `OriginsFetched` or `JudgingFailed`."""

    needs: ClassVar[Needs] = Needs.NOTHING
    token: int
    key: str
    instance_id: str
    units: tuple[Impacted, ...]


class Commit(Command, frozen=True):
    """Domain persist of the event being judged: one call. Answered by `Committed` or `CommitFailed`."""

    token: int
    instance_id: str
    #: It is stored, and perhaps synced, that nothing of it was begun.
    again: bool = False

    @property
    def needs(self) -> Needs:  # type: ignore[override]
        """Synced when a loss of power would bring back that it was not begun: it would be made twice."""
        return Needs.SYNCED if self.again else Needs.STORED


class AskProof(Command, frozen=True):
    """Look whether an instance's data is in the domain. Answered by `ProofFound`."""

    needs: ClassVar[Needs] = Needs.NOTHING
    token: int
    instance_id: str
    #: Say, too, when the instance began.
    began: bool


# --- to the siblings: a preview --------------------------------------------------------------------------------


class AskRecheck(Command, frozen=True):
    """Ask Discovery again what a pending document's event impacts. Answered by `RecheckFound` or `RecheckFailed`."""

    needs: ClassVar[Needs] = Needs.NOTHING
    id: str
    token: int
    instance_id: str


class FetchRecheckOrigins(Command, frozen=True):
    """Fetch the origins of units not met before. Answered by `RecheckOriginsFetched` or `RecheckFailed`."""

    needs: ClassVar[Needs] = Needs.NOTHING
    id: str
    token: int
    units: tuple[Impacted, ...]


class FetchOwed(Command, frozen=True):
    """Fetch what is owed to the ledger's entry of that number. Answered by `OwedFetched`."""

    needs: ClassVar[Needs] = Needs.NOTHING
    number: int


class FetchLateOrigins(Command, frozen=True):
    """Fetch the origins of stale units for a late reprocessing. Answered by `LateOriginsFetched`."""

    needs: ClassVar[Needs] = Needs.NOTHING
    token: int
    units: tuple[Impacted, ...]


class FindOldestEntries(Command, frozen=True):
    """Find the oldest entries of the ledger that take at least `rows` rows. Answered by `OldestEntriesFound`."""

    needs: ClassVar[Needs] = Needs.NOTHING
    rows: int


# --- to the siblings: a run ----------------------------------------------------------------------------------


class Notify(Command, frozen=True):
    """Tell the Event Manager of a start or an end (`starting`, `finished`, `droping`). Answered by `Notified`."""

    needs: ClassVar[Needs] = Needs.SYNCED
    id: str
    token: int
    kind: str


class CommitHeld(Command, frozen=True):
    """Domain persist of the held event: one call. Answered by `HeldCommitted` or `CommitFailed`."""

    needs: ClassVar[Needs] = Needs.SYNCED
    id: str
    token: int
    instance_id: str


class AskStartImpact(Command, frozen=True):
    """Ask Discovery once more what the held instance impacts. Answered by `StartImpactFound` or `RunFailed`.

    The lock is stored first: nothing else of the system is committed between the answer and the held commit.
    """

    needs: ClassVar[Needs] = Needs.SYNCED
    id: str
    token: int
    instance_id: str


class SendReplay(Command, frozen=True):
    """Send the document's current unit to the Event Manager. Answered by `ReplaySent` or `RunFailed`."""

    id: str
    token: int


class AwaitResult(Command, frozen=True):
    """Say `ReplayTimedOut` when the time for the unit's result, counted from `since`, is over.

    That the unit was sent is stored first: a crash while the result is awaited sends nothing again.
    """

    id: str
    send: str
    since: float


class AskReplayImpact(Command, frozen=True):
    """Ask Discovery what a replay's result impacts. Answered by `ReplayImpactFound` or `RunFailed`.

    That there is a result is stored first: it may be quicker than the answer to the send, whose end is not stored yet.
    """

    id: str
    token: int
    instance_id: str


class AskFollowing(Command, frozen=True):
    """Ask API core whether an event that ends a replay's instance starts an operation. Answered by `FollowingKnown`."""

    needs: ClassVar[Needs] = Needs.NOTHING
    id: str
    send: str
    instance_id: str
    name: str
    version: str


class FetchReplayOrigins(Command, frozen=True):
    """Fetch the origins of units that a run comes to know. Answered by `ReplayOriginsFetched` or `RunFailed`."""

    needs: ClassVar[Needs] = Needs.NOTHING
    id: str
    token: int
    units: tuple[Impacted, ...]


class CommitReplay(Command, frozen=True):
    """Domain persist of a replay's result: one call. Answered by `ReplayCommitted` or `CommitFailed`.

    Once Domain has it, Discovery no longer names what it impacts: the document's growth must outlast a loss of power.
    """

    id: str
    token: int
    instance_id: str
    #: Something came of it that may not be synced yet, or it is stored that it was not begun.
    grown: bool

    @property
    def needs(self) -> Needs:  # type: ignore[override]
        """Synced with the growth; without any, a loss of power loses nothing that asking again would not find."""
        return Needs.SYNCED if self.grown else Needs.STORED


# --- to the cascade actor: the queues that mirror the document -------------------------------------------------


class FillQueues(Command, frozen=True):
    """Empty both unit queues and fill them with what is not done. Answered by `QueuesUpdated`.

    The first effect of a run: the lock that covers it must outlast a loss of power.
    """

    needs: ClassVar[Needs] = Needs.SYNCED
    id: str
    token: int


class GrowQueues(Command, frozen=True):
    """Add units (by position) to both queues. Answered by `QueuesUpdated`."""

    id: str
    token: int
    positions: tuple[int, ...]


class EmptyQueues(Command, frozen=True):
    """Empty both unit queues: the run they mirror rests."""

    id: str


class CleanUpQueues(Command, frozen=True):
    """Empty both unit queues; a failed document goes to the error queue. Answered by `QueuesUpdated`.

    Without `empty` they are left alone: the units on them are another run's, and this one rests.
    """

    needs: ClassVar[Needs] = Needs.SYNCED
    id: str
    token: int
    failed: bool
    empty: bool = True


class TakeUnit(Command, frozen=True):
    """Take the unit just sent off the events queue: its send is stored."""

    id: str
    position: int


class TakeControl(Command, frozen=True):
    """Take one message off the control queue: a replay is persisted."""

    id: str


class Enqueue(Command, frozen=True):
    """Put an approved document in line on the reprocessing queue (once). One that is not synced may never have been."""

    needs: ClassVar[Needs] = Needs.SYNCED
    id: str


class Dequeue(Command, frozen=True):
    """Take a document off the reprocessing queue, after `Enqueue`. `failed`: it goes to the error queue.

    With a token it is answered by `QueuesUpdated`.
    """

    needs: ClassVar[Needs] = Needs.SYNCED
    id: str
    failed: bool = False
    token: int = 0
