"""For how long what was lost with each connection is waited for: by a clock that stands still while nothing can come.

    loss 1 ──consumed 10 s── loss 2 ──nothing is consumed for 60 s── consumed …
                                                                     loss 1 is waited for 20 s more, loss 2 for 30 s

So an outage of the broker costs no order, and a connection that is lost again and again holds nothing up for ever.
"""

from collections import deque
from math import inf


class Bounds:
    """The losses that are waited for, each for `within` seconds. The caller has the clock, and says what it shows."""

    def __init__(self, within: float) -> None:
        self._within = within
        #: Seconds in which something was consumed, since the first loss that is waited for; and since when it is.
        self._waited = 0.0
        self._since = inf
        #: Each loss, and the waited seconds after which it is waited for no longer.
        self._losses: deque[tuple[int, float]] = deque()

    def add(self, loss: int) -> None:
        """Wait for what was lost with this loss as well. Nothing is consumed at this moment."""
        until = self._waited + self._within
        if self._losses and self._losses[-1][1] == until:  # nothing was consumed between the two
            self._losses.pop()
        self._losses.append((loss, until))

    def run(self, now: float) -> float:
        """Something is consumed from now on, if it was not; return for how long the oldest loss is waited for."""
        if self._since == inf:
            self._since = now
        return max(0.0, self._losses[0][1] - self._waited - (now - self._since)) if self._losses else 0.0

    def stand(self, now: float) -> None:
        """Nothing is consumed from now on."""
        if self._since < inf:
            self._waited += now - self._since
            self._since = inf

    def pop(self) -> int:
        """Wait for the oldest loss no longer, and return it; 0: there is none."""
        return self._losses.popleft()[0] if self._losses else 0
