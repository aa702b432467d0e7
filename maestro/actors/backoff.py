"""How long to wait before something that ended is started again. Pure."""

from typing import Final

from maestro.backoff import Backoff

#: What lived this long, in seconds, is restarted at once again.
PROVEN: Final = 60.0


class RestartBackoff:
    """The first restart is at once; then the pause doubles, from `first` to `longest` seconds."""

    def __init__(self, first: float = 0.1, longest: float = 5.0) -> None:
        self._pauses = Backoff(first, longest)
        self._started = False

    def after(self, lived: float) -> float:
        """Return the pause before the next start of what has just ended after `lived` seconds."""
        if self._started and lived < PROVEN:
            return self._pauses.next()
        self._started = True
        self._pauses.reset()
        return 0.0
