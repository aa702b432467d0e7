"""Counts the calls to siblings by outcome."""

from maestro.telemetry.definitions import RETRIES, TRIES
from maestro.telemetry.metrics import Measures


class CallCounts:
    """A `maestro.platform.observer.CallObserver` over a process's measures."""

    def __init__(self, measures: Measures) -> None:
        self._measures = measures

    def tried(self, service: str, outcome: str) -> None:
        """Count a try."""
        self._measures.count(TRIES, service, outcome)

    def retried(self, service: str, outcome: str) -> None:
        """Count a try after the first."""
        self._measures.count(RETRIES, service, outcome)
