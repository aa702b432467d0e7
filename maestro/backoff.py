"""How long to wait before the next try: a pause that doubles from the first to the longest. Pure; in seconds."""


def pause(failures: int, first: float, longest: float) -> float:
    """Return the pause after so many failures in a row, counted from 0: `first`, then twice as long each time."""
    return min(first * 2.0 ** min(failures, 60), longest)


class Backoff:
    """The pauses of one loop of tries."""

    def __init__(self, first: float, longest: float) -> None:
        self._first = first
        self._longest = longest
        self._failures = 0

    def next(self) -> float:
        """Return the pause after one more failure."""
        seconds = pause(self._failures, self._first, self._longest)
        self._failures += 1
        return seconds

    def reset(self) -> None:
        """Begin again with the first pause: a try succeeded."""
        self._failures = 0
