"""What was out on delivery over a connection that was lost, until all of it has come again.

A quorum queue whose consumer was connected to a node of the broker that died, or stands still, is consumed again over
another node before the broker takes the lost one for gone. Until then what was out is not back in its queue, and what
comes is younger. So that is held back, and what comes again is handed over in the order in which it was out:

    out: a b c      comes: d          d is held back
                    comes: a b        a, b
                    comes: c e        c, d, e

What the lost connection had been given without a word of it here comes again as well, behind what was known to be out,
and is flagged as redelivered: it goes before what is held back. After a second loss it may have been given to either
connection: it goes behind the known one that it came behind. One that comes before all known ones of its connection
cannot be told apart, and counts as one of the first. A message is known by its id and its bytes, two that are the same
in both for two.

No I/O and no clock: the caller says when it has waited for long enough.
"""

from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from hashlib import blake2b

from maestro.broker.base import Delivery


def mark_of(delivery: Delivery) -> bytes:
    """Return what a message is known by when it comes again."""
    found = blake2b(delivery.message_id.encode(errors="surrogatepass"), digest_size=16)
    found.update(b"\0")
    found.update(delivery.body)
    return found.digest()


class _Place:
    """One message that was out, in its line; and its delivery, once it has come again."""

    __slots__ = ("delivery", "mark", "younger")

    def __init__(self, mark: bytes, *, younger: bool = False) -> None:
        self.mark = mark
        self.younger = younger
        self.delivery: Delivery | None = None


class Returning:
    """The line of what is to come again, and what is held back meanwhile.

    Args:
        out: the marks of what was out and not settled, in the order in which it was handed over.
        younger: the marks of what was held back for it when its connection was lost as well: it comes again, too.
    """

    def __init__(self, out: Iterable[bytes], younger: Iterable[bytes] = ()) -> None:
        self._line = deque(map(_Place, out))
        self._held_before = tuple(_Place(mark, younger=True) for mark in younger)
        self._missing: dict[bytes, deque[_Place]] = defaultdict(deque)
        for place in (*self._line, *self._held_before):
            self._missing[place.mark].append(place)
        #: What was not known to be out: of before the loss as well, of before a later loss, and younger.
        self._again: list[Delivery] = []
        self._later: list[Delivery] = []
        self._younger: list[Delivery] = []
        #: The last known one that has come was held back before.
        self._behind_younger = False
        #: The first in line has come again: what follows it is on its way.
        self.coming = not self._line

    @property
    def missing(self) -> int:
        """How many have not come again."""
        return sum(place.delivery is None for place in (*self._line, *self._held_before))

    @property
    def complete(self) -> bool:
        """Whether all of it has come again."""
        return not self.missing

    @property
    def held(self) -> Sequence[Delivery]:
        """What is held back, in the order in which it is to be handed over."""
        return _came(self._line) + self._again + _came(self._held_before) + self._later + self._younger

    def next(self, out: Iterable[bytes] = ()) -> "Returning":
        """Return what is to come again now that the connection is lost, over which `out` was handed over."""
        line = [*out, *(place.mark for place in self._line), *map(mark_of, self._again)]
        younger = [*(place.mark for place in self._held_before), *map(mark_of, self._later + self._younger)]
        return Returning(line, younger)

    def take(self, delivery: Delivery) -> list[Delivery]:
        """Return what is to be handed over now that this has come, in that order."""
        mark = mark_of(delivery)
        if self._missing.get(mark):
            place = self._missing[mark].popleft()
            place.delivery, self._behind_younger = delivery, place.younger
            return self._next_in_line()
        if not delivery.redelivered:
            self._younger.append(delivery)
            return self.give_up() if self.complete else []
        if self._behind_younger:
            self._later.append(delivery)
            return []
        if not self._line:
            return [delivery]
        self._again.append(delivery)
        return []

    def give_up(self) -> list[Delivery]:
        """Wait for nothing any more; return what was held back, in the order in which it is to be handed over."""
        held = list(self.held)
        self._line.clear()
        self._missing.clear()
        self._again, self._held_before, self._later, self._younger, self.coming = [], (), [], [], True
        return held

    def _next_in_line(self) -> list[Delivery]:
        found: list[Delivery] = []
        while self._line and (delivery := self._line[0].delivery) is not None:
            found.append(delivery)
            self._line.popleft()
        self.coming = self.coming or bool(found)
        if not self._line:
            found += self._again
            self._again = []
        return found


def _came(places: Iterable[_Place]) -> list[Delivery]:
    return [place.delivery for place in places if place.delivery is not None]
