"""Which questions a system's shell has seen, so that a repeated one is not put to the service again.

Pure. Correlation ids are unique in a run. Answers are kept while they fit; the ids longer.
"""

from collections import OrderedDict
from typing import Final

from maestro.messages import Answer

_IDS: Final = 8192
_BYTES: Final = 4 * 1024 * 1024


class AnswerLog:
    """The last questions' ids and, as far as they fit, their answers."""

    def __init__(self, ids: int = _IDS, max_bytes: int = _BYTES) -> None:
        self._ids = ids
        self._max_bytes = max_bytes
        self._bytes = 0
        self._known: OrderedDict[int, None] = OrderedDict()
        self._answers: OrderedDict[int, Answer] = OrderedDict()

    def is_new(self, correlation: int) -> bool:
        """Note the id; True the first time."""
        if correlation in self._known:
            return False
        self._known[correlation] = None
        if len(self._known) > self._ids:
            self._known.popitem(last=False)
        return True

    def keep(self, correlation: int, answer: Answer) -> None:
        """Keep an answer for those who ask again, dropping the oldest that no longer fit."""
        if correlation in self._answers:
            return
        self._answers[correlation] = answer
        self._bytes += _size(answer)
        while self._bytes > self._max_bytes:
            _, oldest = self._answers.popitem(last=False)
            self._bytes -= _size(oldest)

    def find(self, correlation: int) -> Answer | None:
        """Return the kept answer."""
        return self._answers.get(correlation)


def _size(answer: Answer) -> int:
    return len(answer.body) + len(answer.message) + 100
