"""Virtual time: a heap of things to happen, one seeded source of chance, and the history of what happened."""

import heapq
from collections.abc import Callable
from random import Random
from typing import Any

Note = tuple[Any, ...]


class Violation(AssertionError):  # noqa: N818 - a finding, not an error of the simulator
    """A rule was broken; the message says which and how."""


class Engine:
    """The clock, the dice and the diary of one simulated world."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.random = Random(seed)
        self.now = 0.0
        #: (when, what, details…), as it happened.
        self.history: list[Note] = []
        self._heap: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._count = 0

    def after(self, delay: float, act: Callable[..., None], *args: Any) -> None:
        """Have `act(*args)` happen in `delay` seconds."""
        self._count += 1
        heapq.heappush(self._heap, (self.now + delay, self._count, act, args))

    def at(self, when: float, act: Callable[..., None], *args: Any) -> None:
        """Have `act(*args)` happen at `when`; what is due at the same moment happens in the order it was asked for."""
        self._count += 1
        heapq.heappush(self._heap, (when, self._count, act, args))

    def soon(self, at_most: float) -> float:
        """Return a delay, mostly short, at most `at_most` seconds."""
        return at_most * self.random.random() ** 3

    def chance(self, probability: float) -> bool:
        """Throw the dice."""
        return self.random.random() < probability

    def note(self, *what: Any) -> None:
        """Write into the history."""
        self.history.append((self.now, *what))

    def run(self, until: float) -> None:
        """Let everything due until then happen."""
        heap = self._heap
        while heap and heap[0][0] <= until:
            self.now, _, act, args = heapq.heappop(heap)
            act(*args)
        self.now = max(self.now, until)

    @property
    def idle(self) -> bool:
        """Nothing is left to happen."""
        return not self._heap
