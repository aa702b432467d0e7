"""What is wrong with a process' links, for readiness: one line of the log each, however often it happens."""

import time
from typing import Final

import structlog

#: Seconds that a trouble is told of after it was seen last. The end that dials comes again sooner.
SHOWN: Final = 30.0


class Trouble:
    """The last trouble."""

    def __init__(self) -> None:
        self._text = ""
        self._seen = float("-inf")

    @property
    def text(self) -> str:
        """What is wrong; empty: nothing is, or was for a while."""
        return self._text if time.monotonic() - self._seen < SHOWN else ""

    def note(self, text: str) -> None:
        """Take note; what is told of already makes no other line."""
        if text != self.text:
            structlog.get_logger().error("a link ended for what it carried", cause=text)
        self._text, self._seen = text, time.monotonic()
