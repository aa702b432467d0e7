"""What happened: the input of `Membership`."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from maestro.cluster.commands import Beat, BreakLease, Claim, Join, Leave, Look, Question, Release
from maestro.cluster.node import Node

# --- answers to questions; each carries its own ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Joined:
    """The lease has begun. It is not believed before its first beat."""

    question: Join
    incarnation: int


@dataclass(frozen=True, slots=True)
class JoinRefused:
    """A former life of this node, or another one of its name, still holds that lease."""

    question: Join


@dataclass(frozen=True, slots=True)
class BeatAnswered:
    """The lease is renewed."""

    question: Beat


@dataclass(frozen=True, slots=True)
class BeatRefused:
    """The lease is broken."""

    question: Beat


@dataclass(frozen=True, slots=True)
class NodesSeen:
    """All nodes, and the systems that nobody owns."""

    question: Look
    nodes: tuple[Node, ...]
    free: frozenset[str]
    #: The systems that are this node's, each with the number of its claim, if that was asked.
    mine: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Broken:
    """The lease of another node was broken by this one; not `done`: it has beaten since, or somebody was quicker."""

    question: BreakLease
    done: bool


@dataclass(frozen=True, slots=True)
class Claimed:
    """These of the systems are this node's by now; the others have another owner."""

    question: Claim
    #: Each with the number of its claim.
    systems: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Released:
    """The system is handed over."""

    question: Release


@dataclass(frozen=True, slots=True)
class Kept:
    """The system is in a run, or else not at rest: its process goes on, and it is still this node's."""

    question: Release
    #: It does not say whether it is.
    silent: bool = False


@dataclass(frozen=True, slots=True)
class Left:
    """The lease is given up."""

    question: Leave


@dataclass(frozen=True, slots=True)
class Unanswered:
    """The store did not answer: whether it was done is not known."""

    question: Question


Answer = (
    Joined | JoinRefused | BeatAnswered | BeatRefused | NodesSeen | Broken
    | Claimed | Released | Kept | Left | Unanswered
)  # fmt: skip

# --- what else happens -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Tick:
    """Time goes by. Wanted at least twice in `Terms.beat_every`."""


@dataclass(frozen=True, slots=True)
class SystemsFound:
    """The platform has these systems; the store may not know them yet."""

    systems: frozenset[str]


@dataclass(frozen=True, slots=True)
class Ended:
    """Nothing that this node owned goes on: what `EndEverything` asked for, or the end of an orderly stop."""


@dataclass(frozen=True, slots=True)
class StopAsked:
    """This node is to stop in good order: its systems end, then it leaves."""


Fact = Answer | Tick | SystemsFound | Ended | StopAsked
