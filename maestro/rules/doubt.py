"""What is known of a commit that did not simply succeed, and of one that nobody can prove (semantics: The commit).

A `Case` lives in memory while its commit is to be made or to be proved. A `Doubt` is stored: no proof was possible,
and a person has the word.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from msgspec import Struct

from maestro.rules.impact import UnitKey
from maestro.rules.unit import Unit

#: How the reason of such a failure begins.
IN_DOUBT: Final = "commit in doubt: "


class Use(StrEnum):
    """Whose data is committed."""

    EVENT = "event"
    HELD = "held"
    REPLAY = "replay"


class CommitEnd(StrEnum):
    """How one call of a commit ended (semantics: The commit)."""

    #: Domain said `ok`.
    MADE = "made"
    #: Nothing was sent: Domain, or who knows its address, is out of reach.
    NOT_BEGUN = "not begun"
    #: Nothing was sent: API core says that the system has no domain.
    NO_DOMAIN = "no domain"
    #: Domain itself answered, and the answer is no: it may have stored the data and failed then.
    REFUSED = "refused"
    #: Nothing is carried out at that address, or not such a request (404, 405, 413).
    NO_ROUTE = "no route"
    #: It was sent, and Domain itself did not answer.
    LOST = "lost"


class Finding(StrEnum):
    """What a look for proof of a commit brought."""

    #: Rows carry the instance: they are of one transaction, so all of its data is there.
    ROWS = "rows"
    #: It would create rows, and none carries the instance.
    NO_ROWS = "no rows"
    #: It creates nothing: making it again changes no data.
    HARMLESS = "harmless"
    #: It creates nothing, and none of its rows carries the instance.
    HARMLESS_NO_ROWS = "harmless, no rows"
    #: The map is no answer yet.
    NO_MAP = "no map"
    #: It would create rows, and there may be no map.
    UNPROVABLE = "unprovable"
    #: Domain answers, but not what the commit would write.
    UNKNOWN = "unknown"
    #: Domain does not answer.
    SILENT = "silent"


class CaseState(StrEnum):
    """What a case waits for."""

    #: Nothing of it is under way at Domain: the next call is due when the wake-up is.
    TO_CALL = "to call"
    #: A call is under way.
    CALLED = "called"
    #: A call was begun and not answered with `ok`: proof is looked for.
    DOUBT = "doubt"


class Word(StrEnum):
    """What a person says of a commit in doubt."""

    MADE = "made"
    MAKE_AGAIN = "make_again"


@dataclass(slots=True)
class Case:
    """One commit that has no `ok` yet though it was called, or was begun in a former life. Not stored."""

    use: Use
    #: Key of the event's delivery, or id of the document.
    key: str
    instance_id: str
    state: CaseState
    #: Of the call or question that is under way; 0: none is.
    token: int = 0
    #: When it came to be in doubt, in seconds since the epoch.
    since: float = 0.0
    cause: str = ""
    #: Calls of this life.
    calls: int = 1
    #: Calls of this life that Domain did not carry out.
    tries: int = 0
    #: The last call met no route: its address was looked up again for the next.
    looked_up: bool = False
    #: When nothing could be sent for the first time since it last could; 0: it could.
    unsent_since: float = 0.0
    #: Pauses made in a row, each longer than the one before.
    pauses: int = 0
    #: Domain itself answered, or an outcome says so.
    ended: bool = False
    #: A former call may have made it, though it is called again: repeating it changes nothing.
    perhaps: bool = False
    #: Seconds for which Domain has answered other questions without a break, and when it last did.
    settled: float = 0.0
    heard_at: float = 0.0
    #: Since when there is no answer about its rows though Domain answers; 0: there is, or none was asked for.
    unknown_since: float = 0.0

    @property
    def what(self) -> str:
        """Its name among the cases and the stalls of its system."""
        return f"commit {self.use} {self.key}"


class Doubt(Struct):
    """A commit that was begun, and nothing proves whether it was made."""

    key: str
    use: Use
    instance_id: str
    #: The event's delivery (of a replay: its result's), and the document; empty: there is none.
    delivery: str
    document: str
    #: Seconds since the epoch.
    since: float
    cause: str
    #: What a person said, who, when and why; empty: nobody did.
    verdict: str = ""
    user: str = ""
    at: float = 0.0
    reason: str = ""
    #: Of a replay's commit: its unit, whether that is forking, and the ledger's last entry when it was sent.
    unit: UnitKey = ("", "")
    forking: bool = False
    logged: int = 0
    #: The ledger's last entry when it was left: later ones are of later commits; -1: it is not known.
    last: int = -1
    #: Nothing of it was under way at Domain any more; of one that was given up by hand perhaps it was.
    ended: bool = True
    #: Another commit was, or may have been, made beside it or since.
    overtaken: bool = False
    #: Of a held commit that was to be made again: it was called again, and is proved not to be made.
    called_again: bool = False

    @property
    def reason_given(self) -> str:
        """Why its event, or its reprocessing, failed."""
        return f"{IN_DOUBT}{self.cause}"

    def is_of(self, delivery: str, document: str) -> bool:
        """Whether it is the commit of that delivery, or the held one of that document."""
        if self.use is Use.HELD:
            return self.document == document
        return bool(delivery) and self.delivery == delivery

    def is_about(self, unit: Unit) -> bool:
        """Whether it is the commit of the result that the unit has in its current round."""
        return bool(self.delivery) and self.delivery == unit.result_key

    @property
    def open(self) -> bool:
        """Whether nobody has resolved it."""
        return not self.verdict
