"""What a command is, and what must be stored before one begins; and the clock's. `commands` offers them all."""

from enum import IntEnum, StrEnum
from typing import ClassVar

from msgspec import Struct


class Needs(IntEnum):
    """How safe the step that orders a command must be before the command begins."""

    #: A question to a sibling: asking twice does no harm.
    NOTHING = 0
    #: Survives the death of every process.
    STORED = 1
    #: Synced to disk: somebody will forget the event, or tell a person.
    SYNCED = 2


class Command(Struct, frozen=True):
    """Base of all commands."""

    needs: ClassVar[Needs] = Needs.STORED


class Topic(StrEnum):
    """What a wake-up is for: each topic has one handler (`machine`)."""

    #: Stale units were gathered for a while.
    LATE = "late"
    #: What is owed to the ledger has been fetched for a while: an event may be asked whether it has to wait for it.
    #: Or a look for the ledger's oldest entries failed a while ago.
    OWED = "owed"
    #: To look whether an instance is finished; to try again to set it so; to put a doubtful question again.
    LOOK = "look"
    SET = "set"
    QUESTION = "question"
    #: To put a question again that a sibling out of reach did not answer.
    OUTAGE = "outage"
    #: Copies of waiting events were kept from the wait queue for as long as they may be.
    GIVE_BACK_COPIES = "give_back_copies"
    #: A commit that is to be called again, or proved; the key is its case's.
    COMMIT = "commit"
    #: A stall has lasted so long that the system is not open any more.
    STALL = "stall"


class WakeAt(Command, frozen=True):
    """Say `Woken` with the same topic and key at `at` (seconds since the epoch).

    A later order with the same topic and key replaces this one. Wake-ups are not stored: its rule orders it
    again after a restart.
    """

    needs: ClassVar[Needs] = Needs.NOTHING
    topic: Topic
    key: str
    at: float


# --- to those who watch --------------------------------------------------------------------------------------


class Alarm(StrEnum):
    """What somebody must look at, though nothing waits for it."""

    #: A run that nobody approved left units out.
    LEFT_OUT = "left_out"
    #: A replay impacts the very instance whose commit its run was for.
    HELD_NAMED = "held_named"
    #: The ledger alone holds many events: what it is told of reads may be wrong.
    LEDGER_HOLDS = "ledger_holds"
    #: What late runs replay becomes stale by late runs, again and again.
    LATE_AGAIN = "late_again"
    #: One instance persists again and again.
    PERSISTS_OFTEN = "persists_often"
    #: API core refuses to call a committed instance finished: Discovery may never name it.
    UNVERIFIED = "unverified"
    #: A commit was made that Discovery, asked again, would have had held.
    MISSED = "missed"


class RaiseAlarm(Command, frozen=True):
    """Say it in the log, and count it."""

    alarm: Alarm
    instance_id: str
    text: str
