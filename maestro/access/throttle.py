"""Token buckets in bounded memory: how often somebody may do something."""

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from ipaddress import IPv6Address, ip_address
from typing import Final

#: Buckets kept; the one unused for longest goes first. A bucket that is full needs none.
KEPT: Final = 16_384


class Buckets:
    """One bucket per key: `burst` at once, `rate` more per second."""

    def __init__(
        self, rate: float, burst: float, kept: int = KEPT, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._rate = rate
        self._burst = burst
        self._kept = kept
        self._clock = clock
        self._levels: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()

    def take(self, key: Hashable, cost: float = 1.0) -> float:
        """Take `cost` out of the bucket and return 0, or return the seconds until there is enough and take nothing."""
        now = self._clock()
        level = self._level(key, now)
        if level < cost:
            return (cost - level) / self._rate
        self._put(key, level - cost, now)
        return 0.0

    def wait(self, key: Hashable, cost: float = 1.0) -> float:
        """Return the seconds until `take` would take `cost`; 0 when it would now. Takes nothing."""
        missing = cost - self._level(key, self._clock())
        return max(0.0, missing / self._rate)

    def give_back(self, key: Hashable, cost: float = 1.0) -> None:
        """Undo one `take`."""
        now = self._clock()
        self._put(key, self._level(key, now) + cost, now)

    def _level(self, key: Hashable, now: float) -> float:
        level, at = self._levels.get(key, (self._burst, now))
        return min(self._burst, level + (now - at) * self._rate)

    def _put(self, key: Hashable, level: float, now: float) -> None:
        if level >= self._burst:
            self._levels.pop(key, None)
            return
        self._levels[key] = (level, now)
        self._levels.move_to_end(key)
        if len(self._levels) > self._kept:
            self._levels.popitem(last=False)


def address_key(peer: str | None) -> str:
    """Return what stands for a client's address; an IPv6 client can have a whole /64."""
    try:
        address = ip_address(peer or "")
    except ValueError:
        return peer or ""
    return str(IPv6Address(int(address) >> 64 << 64)) if address.version == 6 else str(address)  # noqa: PLR2004 - IPv6
