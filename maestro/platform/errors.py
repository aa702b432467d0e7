"""How a call to a sibling can fail: there is no usable answer, or the answer is no.

The siblings say no (with 400) for their own passing troubles, too, so both are tried again, unless the answer is
`final`. A sibling that does not answer as `contracts` say is never taken for one that says "none".
"""

from typing import ClassVar


class SiblingError(Exception):
    """A call to a sibling did not do what was asked."""

    #: Asking again at once would not change the answer.
    final: ClassVar[bool] = False

    def __init__(self, service: str, call: str, cause: str) -> None:
        super().__init__(service, call, cause)
        #: Which sibling: apicore, discovery, domain, event_manager or process_memory.
        self.service = service
        #: Which of its calls, named as the client's method.
        self.call = call
        #: What happened, for people.
        self.cause = cause

    def __str__(self) -> str:
        return f"{self.service}.{self.call}: {self.cause}"


class SiblingUnreachable(SiblingError):  # noqa: N818 - the name says what the sibling is
    """No usable answer: no connection, time-out, 5xx, 408, 429, half an answer, or one of another shape.

    Another shape counts here because it may be a proxy's page in place of the sibling's answer. What was asked
    may have been done all the same. Raised only after the last try.
    """


class NeverAsked(SiblingUnreachable):
    """There was no connection: nothing of the request has left this process."""


class SiblingRefused(SiblingError):  # noqa: N818 - the name says what the sibling did
    """The sibling answered, and the answer is no. Raised after the last try, for the trouble may have been passing."""


class FinalRefusal(SiblingRefused):
    """The sibling answered no to what was asked, not for a trouble of its own. Not tried again."""

    final = True


class NoSubscribers(FinalRefusal):
    """The Event Manager knows nobody who wants the event."""


class SiblingLocked(FinalRefusal):
    """The Event Manager takes no event of the system while a reprocessing holds the lock; afterwards it does."""


class WrongShapeError(ValueError):
    """Raised by a decoder: the answer is not what the contract says. Becomes `SiblingUnreachable`."""


class RefusalError(ValueError):
    """Raised by a decoder: a well-formed answer that says no. Becomes `FinalRefusal`."""
