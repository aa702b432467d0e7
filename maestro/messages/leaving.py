"""A system's process takes its leave of ingress and the gateway."""

from maestro.messages.item import Item


class LeaveAsked(Item, frozen=True):
    """The system is at rest and would end: may it, or is something for it on its way? Answered by `LeaveAnswered`."""

    number: int = 0


class LeaveAnswered(Item, frozen=True):
    """Whether it may: nothing is on its way to it then, and nothing more will be in this session."""

    granted: bool
    #: That of the question.
    number: int = 0
