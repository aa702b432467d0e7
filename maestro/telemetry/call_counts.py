"""Counts the calls to siblings by outcome."""

from maestro.telemetry.definitions import RETRIES, TRIES
from maestro.telemetry.metrics import MetricsRegistry


class CallCounts:
    """A `maestro.platform.observer.CallObserver` over a process's registry."""

    def __init__(self, registry: MetricsRegistry) -> None:
        self._registry = registry

    def tried(self, service: str, outcome: str) -> None:
        """Count a try."""
        self._registry.count(TRIES, service, outcome)

    def retried(self, service: str, outcome: str) -> None:
        """Count a try after the first."""
        self._registry.count(RETRIES, service, outcome)
