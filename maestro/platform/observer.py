"""An observer of how calls to siblings end: the clients count calls without knowing who counts."""

from typing import Protocol


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
