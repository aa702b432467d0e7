"""Systems that are to leave a node and have not: why, when each is asked again, and which was silent for too long."""

from collections.abc import Container, Iterable
from enum import StrEnum
from math import inf
from typing import Final

#: Seconds until a system that was kept is asked again, and until what was not confirmed is.
_KEPT: Final = 5.0
_AGAIN: Final = 1.0


class Why(StrEnum):
    """What a node waits for before a system of its is another's."""

    #: The system is in a run, or locked: until that ends.
    IN_RUN = "in_run"
    #: It does not say whether it is in a run: not for ever.
    SILENT = "silent"
    #: Its process has not ended, or the tables of the cluster do not confirm that it is handed over.
    UNCONFIRMED = "unconfirmed"
    #: No other node claims systems.
    NO_NODE = "no_node"


class Waits:
    """See the module. Times are seconds of this node's clock."""

    def __init__(self, silent_within: float) -> None:
        """`silent_within`: seconds after which a system that does not answer is handed over all the same."""
        self._silent_within = silent_within
        self._why: dict[str, Why] = {}
        #: Since when each does not answer, and before when each that was kept is not asked.
        self._silent: dict[str, float] = {}
        self._kept: dict[str, float] = {}
        #: Those whose release was not confirmed, and when it is asked for again.
        self._unconfirmed: dict[str, float] = {}

    @property
    def unconfirmed(self) -> frozenset[str]:
        """Those that may be another node's by now."""
        return frozenset(self._unconfirmed)

    def why(self) -> dict[str, Why]:
        """Return what is known of each, by name."""
        return dict(sorted(self._why.items()))

    def keep(self, system: str, at: float, *, silent: bool) -> None:
        """It stays for now: it is in a run, or does not answer."""
        self._kept[system] = at + _KEPT
        self._why[system] = Why.SILENT if silent else Why.IN_RUN
        if silent:
            self._silent.setdefault(system, at)
        else:
            self._silent.pop(system, None)

    def ask_again(self, system: str, at: float) -> None:
        """Its release was not answered."""
        self._unconfirmed[system] = at + _AGAIN
        self._why[system] = Why.UNCONFIRMED

    def due(self, at: float) -> list[str]:
        """Return those whose release is asked for again."""
        return [system for system, when in self._unconfirmed.items() if at >= when]

    def kept(self, system: str, at: float) -> bool:
        """Whether it was kept a moment ago."""
        return at < self._kept.get(system, -inf)

    def too_long(self, system: str, at: float) -> bool:
        """Whether it did not answer for so long that it is waited for no longer."""
        return at - self._silent.get(system, inf) >= self._silent_within

    def asked(self, system: str) -> None:
        """Its release is asked for."""
        self._kept.pop(system, None)
        self._unconfirmed.pop(system, None)

    def forget(self, systems: Iterable[str]) -> None:
        """They are another node's, or stay here."""
        for system in systems:
            for each in (self._why, self._silent, self._kept, self._unconfirmed):
                each.pop(system, None)

    def forget_all_but(self, going: Container[str]) -> None:
        """Those that are to go are these by now."""
        self.forget([system for system in self._why if system not in going])
