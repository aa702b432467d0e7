"""How long to wait before something that ended is started again. Pure."""

from typing import Final

#: What lived this long, in seconds, is restarted at once again.
PROVEN: Final = 60.0


class Backoff:
    """The first restart is at once; then the pause doubles, from `first` to `longest` seconds."""

    def __init__(self, first: float = 0.1, longest: float = 5.0) -> None:
        self._first = first
        self._longest = longest
        self._pause: float | None = None

    def after(self, lived: float) -> float:
        """Return the pause before the next start of what has just ended after `lived` seconds."""
        if self._pause is None or lived >= PROVEN:
            self._pause = 0.0
        else:
            self._pause = min(max(self._pause * 2, self._first), self._longest)
        return self._pause
