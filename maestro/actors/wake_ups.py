"""Passivated systems that somebody waits for: they are to be woken, and how long that takes is measured."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from maestro.telemetry.definitions import WAKE_SECONDS, WAKE_UPS
from maestro.telemetry.metrics import MetricsRegistry


class WakeUps:
    """The systems that are wanted awake."""

    def __init__(self, registry: MetricsRegistry) -> None:
        self._registry = registry
        #: Since when (monotonic), and how many wait for it.
        self._wanted: dict[str, tuple[float, int]] = {}

    def __bool__(self) -> bool:
        return bool(self._wanted)

    @property
    def wanted(self) -> tuple[str, ...]:
        """Their ids."""
        return tuple(self._wanted)

    @contextmanager
    def waited_for(self, system_id: str) -> Iterator[None]:
        """Want a system awake for as long as somebody waits for it."""
        since, waiting = self._wanted.get(system_id, (time.monotonic(), 0))
        self._wanted[system_id] = since, waiting + 1
        try:
            yield
        finally:
            if system_id in self._wanted:
                since, waiting = self._wanted.pop(system_id)
                if waiting > 1:
                    self._wanted[system_id] = since, waiting - 1

    def awake(self, system_id: str) -> None:
        """A system is awake."""
        since, _ = self._wanted.pop(system_id, (0.0, 0))
        if since:
            self._registry.count(WAKE_UPS)
            self._registry.observe(WAKE_SECONDS, time.monotonic() - since)
