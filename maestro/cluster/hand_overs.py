"""The systems of a node that are not to stay there: which is released next, a few at a time."""

from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet
from itertools import islice
from math import inf
from typing import Final

from maestro.cluster.waits import Waits

#: Seconds between two hand-overs, and how many are under way at most.
_HAND_OVER_EVERY: Final = 0.25
_HAND_OVERS: Final = 4
#: How many of systems at rest are under way at most.
_HAND_OVERS_AT_REST: Final = 32
#: How many systems are looked at with each fact, whether they are at rest: a system call each.
_LOOKS: Final = 64


AtRest = Callable[[str], bool]


class HandOvers:
    """See the module.

    Args:
        at_rest: whether a system has no process; it need not be so any more when it is released.
        waits: those that were to go and have not.
    """

    def __init__(self, at_rest: AtRest, waits: Waits) -> None:
        self._at_rest = at_rest
        self._waits = waits
        #: Systems that are not to stay, in the order in which they are looked at, without those whose release was asked
        #: for; None: not known since a change.
        self._to_go: dict[str, None] | None = None
        #: The systems whose release is under way, or not answered, and which were at rest when it was asked for.
        self._resting: set[str] = set()
        self._next = -inf

    def changed(self) -> None:
        """Which systems are to stay is not known any more."""
        self._to_go = None

    def own(self, systems: Iterable[str], goes: Callable[[str], bool]) -> None:
        """These may have to go as well."""
        if self._to_go is not None:
            self._to_go |= dict.fromkeys(filter(goes, systems))

    def keep(self, system: str, goes: Callable[[str], bool]) -> None:
        """It stays for now."""
        self._resting.discard(system)
        self.own((system,), goes)

    def over(self, system: str) -> None:
        """It is another node's."""
        self._resting.discard(system)
        if self._to_go is not None:
            self._to_go.pop(system, None)

    def forget(self) -> None:
        """Nothing is this node's any more."""
        self._to_go = None
        self._resting.clear()

    def due(self, at: float, releasing: AbstractSet[str], going: Callable[[], Iterable[str]] | None) -> list[str]:
        """Return the systems whose release is to be asked for now; `releasing`: those of which it was, unanswered.

        `going` finds all that are not to stay, in the order in which they are looked at; None: there is no other node.
        """
        found = [system for system in self._waits.due(at) if system not in releasing]
        releasing = releasing | set(found)
        if going is not None:
            found += self._first(at, releasing, going)
        for system in found:
            self._waits.asked(system)
        return found

    def _first(self, at: float, releasing: AbstractSet[str], going: Callable[[], Iterable[str]]) -> list[str]:
        if self._to_go is None:
            asked = releasing | self._waits.unconfirmed
            self._to_go = {system: None for system in going() if system not in asked}
            self._waits.forget_all_but(self._to_go.keys() | asked)
        to_go, found = self._to_go, list[str]()
        one_awake = at >= self._next and len(releasing - self._resting) < _HAND_OVERS
        for system in list(islice(to_go, _LOOKS)):
            more_at_rest = len(self._resting) < _HAND_OVERS_AT_REST
            if not (one_awake or more_at_rest):
                break
            kept = self._waits.kept(system, at)
            at_rest = not kept and self._at_rest(system)
            if at_rest and more_at_rest:
                self._resting.add(system)
                found.append(system)
                del to_go[system]
            elif one_awake and not (kept or at_rest):
                one_awake, self._next = False, at + _HAND_OVER_EVERY
                found.append(system)
                del to_go[system]
            elif not at_rest:
                to_go[system] = to_go.pop(system)  # it is looked at again after all others
        return found
