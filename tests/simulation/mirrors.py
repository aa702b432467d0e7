"""The model of the queues that mirror documents, and of the cascade actor: in order, or lost in a crash."""

from collections import deque
from collections.abc import Callable

from tests.simulation.engine import Engine


class Mirrors:
    """One system's line of approved documents, its unit queues and its queue of failed documents."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.line: list[str] = []
        self.failed: list[str] = []
        self.events: deque[tuple[str, int]] = deque()
        self.control: deque[str] = deque()
        self._free = 0.0
        self._life = 0

    def crash(self) -> None:
        """What was ordered and not done is lost."""
        self._life += 1

    def order(self, act: Callable[..., None], *args: object, done: Callable[[], None] | None = None) -> None:
        """Do one thing after all that was ordered before."""
        self._free = max(self._free, self.engine.now + self.engine.soon(0.3))
        self.engine.at(self._free, self._obey, self._life, act, args, done)

    def _obey(
        self, life: int, act: Callable[..., None], args: tuple[object, ...], done: Callable[[], None] | None
    ) -> None:
        if life == self._life:
            act(*args)
            if done is not None:
                done()

    def enqueue(self, id_: str) -> None:
        """In line, once."""
        if id_ not in self.line:
            self.line.append(id_)

    def dequeue(self, id_: str, failed: bool) -> None:  # noqa: FBT001 - as the command has it
        """Out of the line."""
        self.line = [other for other in self.line if other != id_]
        if failed:
            self.failed.append(id_)

    def fill(self, id_: str, positions: list[int], in_flight: list[int]) -> None:
        """Empty both unit queues and fill them."""
        self.clear()
        self.grow(id_, positions)
        self.control.extend(id_ for _ in in_flight)

    def grow(self, id_: str, positions: list[int]) -> None:
        """Add units to both queues."""
        self.events.extend((id_, position) for position in positions)
        self.control.extend(id_ for _ in positions)

    def take_unit(self, id_: str, position: int) -> None:
        """Take a unit, and whatever stands before it, off the events queue."""
        if (id_, position) in self.events:
            while self.events.popleft() != (id_, position):
                pass

    def take_control(self) -> None:
        """Take one message off the control queue."""
        if self.control:
            self.control.popleft()

    def clear(self) -> None:
        """Empty both unit queues."""
        self.events.clear()
        self.control.clear()

    def clean_up(self, id_: str, failed: bool, empty: bool) -> None:  # noqa: FBT001 - as the command has it
        """The end of a run."""
        if empty:
            self.clear()
        if failed:
            self.failed.append(id_)

    @property
    def empty(self) -> bool:
        """Both unit queues and the line are empty."""
        return not (self.events or self.control or self.line)
