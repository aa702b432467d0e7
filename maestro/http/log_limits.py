"""Bounds the log lines that clients can cause: past a rate they are counted, and the count is logged."""

import asyncio
from collections import Counter
from typing import Any, Final

from maestro import logs
from maestro.access.throttle import Buckets, address_key

#: Lines a second, and at once, that one address can cause, and all together.
PER_ADDRESS, PER_ADDRESS_BURST = 1.0, 50
IN_ALL, IN_ALL_BURST = 20.0, 500
#: Seconds after which lines that were left out are told.
TOLD_AFTER: Final = 10.0
#: Characters of a value of a client's that a line shows: longer than all that is valid.
SHOWN: Final = 1000


class Quiet:
    """The gateway's log lines about what clients did wrong."""

    def __init__(self) -> None:
        self._address = Buckets(PER_ADDRESS, PER_ADDRESS_BURST)
        self._all = Buckets(IN_ALL, IN_ALL_BURST)
        self._left_out: Counter[str] = Counter()

    def allows(self, event: str, peer: str | None) -> bool:
        """Whether a line about a client may be written; else it is counted."""
        if not self._address.take(address_key(peer)) and not self._all.take(""):
            return True
        if not self._left_out:
            asyncio.get_running_loop().call_later(TOLD_AFTER, self._tell)
        self._left_out[event] += 1
        return False

    def warn(self, event: str, peer: str | None, **facts: Any) -> None:
        """Write a warning about a client, if one may be written."""
        if self.allows(event, peer):
            logs.get(part="http").warning(event, peer=peer, **facts)

    def _tell(self) -> None:
        left_out, self._left_out = self._left_out, Counter()
        events = dict(left_out.most_common(20))
        logs.get(part="http").warning("http.lines_left_out", count=left_out.total(), events=events)


def cut(value: Any) -> Any:
    """Return a value as a log line shows it."""
    return f"{value[:SHOWN]}…" if isinstance(value, str) and len(value) > SHOWN else value
