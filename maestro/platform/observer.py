"""An observer of how calls to siblings end: the clients count calls without knowing who counts."""

from collections.abc import Callable
from contextvars import ContextVar
from typing import Final, Protocol

from maestro.platform.errors import SiblingError


def _nobody(_problem: SiblingError) -> None:
    """Do nothing."""


#: Told by a task's calls of each try that had no answer in time, at the end of that time; who asks sets it.
UNANSWERED: Final[ContextVar[Callable[[SiblingError], None]]] = ContextVar("unanswered", default=_nobody)


class CallObserver(Protocol):
    """Told of each try of a call. It is called on the hot path: it must not wait, nor raise."""

    def tried(self, service: str, outcome: str) -> None:
        """A try ended: "ok", "refused" or "unreachable"."""

    def retried(self, service: str, outcome: str) -> None:
        """A try after the first ended, told beside `tried`."""


class Unobserved(CallObserver):
    """Nobody wants to know."""

    def tried(self, service: str, outcome: str) -> None:
        """Do nothing."""

    def retried(self, service: str, outcome: str) -> None:
        """Do nothing."""
