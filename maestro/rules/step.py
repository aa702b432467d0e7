"""What one fact leads to: the records to save and the commands to carry out once they are saved."""

from msgspec import Struct, field

from maestro.rules.commands import Command, Needs
from maestro.rules.cover import Cover
from maestro.rules.delivery import Delivery
from maestro.rules.document import Document
from maestro.rules.doubt import Doubt
from maestro.rules.growth import Run
from maestro.rules.impact import UnitKey
from maestro.rules.ledger_book import Book, Entry, Oldest, Owed, Stale
from maestro.rules.pace import Pace
from maestro.rules.state import OutboxMessage
from maestro.rules.unit import Unit


class SaveDelivery(Struct, frozen=True):
    """Save the delivery as it is when the step is stored."""

    delivery: Delivery


class ForgetDelivery(Struct, frozen=True):
    """Remove a delivery."""

    number: int


class SaveSight(Struct, frozen=True):
    """Save what a commit that is made still needs: nothing else of its delivery or document has changed."""

    owner: Delivery | Document


class SaveDocument(Struct, frozen=True):
    """Save the document's header."""

    document: Document


class SaveUnit(Struct, frozen=True):
    """Save one unit of a document."""

    document: Document
    unit: Unit


class DropUnit(Struct, frozen=True):
    """Remove the unit at a position that a document has no more."""

    document: Document
    position: int


class SavePreview(Struct, frozen=True):
    """Remember what a document's units were before they changed; the oldest remembered one is replaced."""

    document: Document
    #: The document's revision that these units belong to.
    revision: int
    digest: str
    units: tuple[UnitKey, ...]


class DropPreviews(Struct, frozen=True):
    """Forget the previews of a document: it is decided."""

    document: Document


class SavePace(Struct, frozen=True):
    """Save how long the replays of one event name take."""

    name: str
    pace: Pace


class SaveGrowth(Struct, frozen=True):
    """Save how much the runs of one event name grew."""

    name: str
    runs: tuple[Run, ...]


class SaveDoubt(Struct, frozen=True):
    """Save a commit that nothing proves."""

    doubt: Doubt


class ForgetDoubt(Struct, frozen=True):
    """Remove a doubt that was resolved long ago."""

    key: str


class SaveCommits(Struct, frozen=True):
    """Save what is remembered of all commits: how long the longest took, and since when each is known."""

    longest: float
    remembers_from: float


class SaveCover(Struct, frozen=True):
    """Save that a decision covers its tag."""

    cover: Cover


class DropCover(Struct, frozen=True):
    """Forget that a decision covers its tag."""

    cover: Cover


class SaveOutboxMessage(Struct, frozen=True):
    """Add a message to the outbox."""

    message: OutboxMessage


class DropOutboxMessage(Struct, frozen=True):
    """Take a message out of the outbox: it is delivered, or must not be any more."""

    number: int


class SaveBook(Struct, frozen=True):
    """Save the ledger's extent."""

    book: Book


class SaveOwed(Struct, frozen=True):
    """Save that something is owed to an entry of the ledger."""

    owed: Owed


class SaveEntry(Struct, frozen=True):
    """Save an entry of the ledger; nothing is owed to it any more."""

    entry: Entry


class DropEntry(Struct, frozen=True):
    """Remove an entry of the ledger, with its rows."""

    oldest: Oldest


class SaveStale(Struct, frozen=True):
    """Save that a unit is not known to be fresh."""

    stale: Stale


class DropStale(Struct, frozen=True):
    """Take a unit off that list."""

    unit: UnitKey


Save = (
    SaveDelivery
    | SaveSight
    | ForgetDelivery
    | SaveDocument
    | SaveUnit
    | DropUnit
    | SavePreview
    | DropPreviews
    | SavePace
    | SaveGrowth
    | SaveCover
    | DropCover
    | SaveOutboxMessage
    | SaveDoubt
    | ForgetDoubt
    | SaveCommits
    | DropOutboxMessage
    | SaveBook
    | SaveOwed
    | SaveEntry
    | DropEntry
    | SaveStale
    | DropStale
)


class Step(Struct):
    """The outcome of a fact. All saves are one transaction; no command begins before what it `needs`."""

    saves: list[Save] = field(default_factory=list)
    commands: list[Command] = field(default_factory=list)

    def do(self, command: Command) -> None:
        """Order a command."""
        self.commands.append(command)

    def save(self, *saves: Save) -> None:
        """Save records with this step."""
        self.saves.extend(saves)

    def save_decided(self, delivery: Delivery) -> None:
        """Save an event if it has a verdict. Without one it is not known after a crash: it is delivered again."""
        if delivery.verdict is not None:
            self.save(SaveDelivery(delivery))

    @property
    def needs(self) -> Needs:
        """The strictest need of the step's commands."""
        return max((command.needs for command in self.commands), default=Needs.NOTHING)
