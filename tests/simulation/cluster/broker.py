"""The broker of a simulated cluster: a queue per system, in order, with one consumer at a time at most."""

from collections import deque
from typing import TYPE_CHECKING

from tests.simulation.engine import Engine

if TYPE_CHECKING:
    from tests.simulation.cluster.process import Process
    from tests.simulation.cluster.resting import Resting

PREFETCH = 3


class Queue:
    """A system's persist queue."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.ready = deque[str]()
        self.consumer: Process | Resting | None = None
        self.unacked: dict[int, str] = {}
        self._refs = 0

    def publish(self, event: str) -> None:
        self.ready.append(event)
        self._deliver()

    def attach(self, process: "Process | Resting") -> bool:
        """Consume, if nobody does; return whether that is so."""
        if self.consumer is not None:
            return self.consumer is process
        self.consumer = process
        self._deliver()
        return True

    def detach(self, process: "Process | Resting") -> None:
        """The consumer is gone: what it did not acknowledge is delivered again, before all others."""
        if self.consumer is process:
            self.consumer = None
            self.ready.extendleft(reversed(self.unacked.values()))
            self.unacked.clear()

    def ack(self, process: "Process | Resting", ref: int) -> None:
        """An acknowledgement arrives; one of a consumer that is gone counts for nothing."""
        if self.consumer is process and self.unacked.pop(ref, None) is not None:
            self._deliver()

    def _deliver(self) -> None:
        while self.consumer is not None and self.ready and len(self.unacked) < PREFETCH:
            self._refs += 1
            event = self.unacked[self._refs] = self.ready.popleft()
            # In order: what is delivered together takes equally long.
            self._engine.after(0.02, self.consumer.arrives, event, self._refs)
