"""The gateway's open connections: bounded, so that nobody who opens many keeps others out.

Half of the files that the process may have open are for clients, the others for Maestro itself. When a client comes for
whom there is no place, the address with the most connections loses the oldest of those that wait for their client: no
request of it is under way, or its body does not come, or its answer is not read. While all have requests under way, who
comes last is turned away.
"""

import resource
from collections.abc import Iterator
from typing import Protocol

from maestro.access.throttle import address_key
from maestro.http.log_limits import Quiet


class Member(Protocol):
    """A connection, as far as its place matters."""

    @property
    def waits_for_client(self) -> bool:
        """Whether the client is to send or to read something next."""

    def cut(self) -> None:
        """End at once, whatever is under way."""


def most_open() -> int:
    """Return how many connections there may be: as the limit is now, for it can be changed while a process runs."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2


class Crowd:
    """All open connections, by the address of their client."""

    def __init__(self, quiet: Quiet) -> None:
        self._quiet = quiet
        self._address: dict[Member, str] = {}
        #: The connections of each address, oldest first.
        self._of: dict[str, dict[Member, None]] = {}

    def joined(self, connection: Member, peer: str | None) -> None:
        """A client has connected; where there is no place for it, one connection is cut."""
        address = self._address[connection] = address_key(peer)
        self._of.setdefault(address, {})[connection] = None
        count = len(self._address)
        if count <= most_open():
            return
        lost = next((one for one in self._waiting() if one is not connection), connection)
        self._quiet.warn("http.too_many_connections", self._address[lost], open=count, turned_away=lost is connection)
        self.left(lost)
        lost.cut()

    def left(self, connection: Member) -> None:
        """A connection is gone. Twice is no error."""
        address = self._address.pop(connection, None)
        if address is not None:
            del self._of[address][connection]
            if not self._of[address]:
                del self._of[address]

    def _waiting(self) -> Iterator[Member]:
        """Yield the connections that wait for their client: of the largest crowd first, the oldest first."""
        for members in sorted(self._of.values(), key=len, reverse=True):
            yield from (one for one in members if one.waits_for_client)
