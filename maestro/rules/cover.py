"""A decision about one document that is taken for others, too (`covering`)."""

from dataclasses import dataclass

from maestro.messages.decisions import UNLIMITED, Budget
from maestro.rules.commands import Decider


@dataclass(frozen=True, slots=True)
class Cover:
    """A decision that is taken for what else becomes pending of its tag (`covering`)."""

    #: The document that was decided so, its tag, and its held event's name.
    document_id: str
    tag: str
    name: str
    #: Approve, or skip.
    approves: bool
    #: Who decided; two where two approvers must.
    deciders: tuple[Decider, ...]
    #: Units of the largest document it is taken for.
    limit: int
    #: From when to when documents may become pending, in seconds since the epoch.
    since: float
    until: float
    budget: Budget = UNLIMITED

    @property
    def subject(self) -> tuple[str, str]:
        """What it covers."""
        return (self.tag, self.name)
