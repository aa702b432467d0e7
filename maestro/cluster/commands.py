"""What a node has to do: the output of `Membership`.

A `Question` is put to the store. It is answered by exactly one fact that carries it, `Unanswered` if by nothing else;
the keeper gives none of them longer than the store's time-out.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Join:
    """Begin a lease, if nobody holds the one of this name: `Joined`, `JoinRefused`."""


@dataclass(frozen=True, slots=True)
class Beat:
    """Renew the lease: `BeatAnswered`, `BeatRefused`. Given up after `Terms.answer_within`."""

    incarnation: int
    #: Higher than that of any beat before.
    number: int
    #: When it was ordered, on this node's clock: it was not sent before that.
    sent: float


@dataclass(frozen=True, slots=True)
class Look:
    """Read who is there, and which systems have no owner: `NodesSeen`."""

    incarnation: int
    #: Read as well which systems are this node's.
    mine: bool = False


@dataclass(frozen=True, slots=True)
class BreakLease:
    """End the lease of another node, if it has not beaten since: `Broken`. Its connections are ended before."""

    node: str
    incarnation: int
    beat: int


@dataclass(frozen=True, slots=True)
class Claim:
    """Make these systems this node's, as far as nobody has them: `Claimed`."""

    incarnation: int
    systems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Release:
    """Hand this system over: end its process in good order, then give it up in the store: `Released`, or `Kept`.

    Once the process has ended nothing starts another one, unless `Serve` says so.
    """

    incarnation: int
    system: str
    #: The number of the claim by which it is this node's: what comes late must not undo a later one.
    claim: int
    #: For too long it did not say whether it is in a run: it is handed over, unless it says so now.
    though_silent: bool = False


@dataclass(frozen=True, slots=True)
class Leave:
    """Give up the lease and all that is owned by it; nothing of it goes on by then: `Left`."""

    incarnation: int


Question = Join | Beat | Look | BreakLease | Claim | Release | Leave


@dataclass(frozen=True, slots=True)
class Serve:
    """Have a process for each of these systems, which this node owns by now."""

    incarnation: int
    systems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Believe:
    """Effects, acknowledgements and lock checks of this node go on until then, on this node's clock."""

    until: float


@dataclass(frozen=True, slots=True)
class EndEverything:
    """End the processes of all systems. `Ended` follows once none is left."""


Command = Question | Serve | Believe | EndEverything
