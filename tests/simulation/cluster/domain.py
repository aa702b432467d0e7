"""Domain of a simulated cluster: its calls go on whatever becomes of the caller, and are not idempotent."""

from collections import Counter
from collections.abc import Callable

from tests.simulation.engine import Engine, Violation


class Domain:
    """What was made, and what is under way."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.made = Counter[str]()
        self.under_way = Counter[str]()

    def begin(self, event: str, answer: Callable[[], None]) -> None:
        """A call is put; `answer` is its answer."""
        self.under_way[event] += 1
        self._engine.after(self._engine.soon(3.0), self._make, event, answer)

    def _make(self, event: str, answer: Callable[[], None]) -> None:
        self.under_way[event] -= 1
        self.made[event] += 1
        if self.made[event] > 1:
            raise Violation(f"{event} is made twice")
        self._engine.after(self._engine.soon(0.1), answer)
