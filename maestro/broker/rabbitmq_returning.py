"""What was out on delivery over a connection that was lost, until all of it has come again.

A quorum queue whose consumer was connected to a node of the broker that died, or stands still, is consumed again over
another node before the broker takes the lost one for gone. Until then what was out is not back in its queue, and what
comes is younger. So that is held back, and what comes again is handed over in the order in which it was out:

    out: a b c      comes: d          d is held back
                    comes: a b        a, b
                    comes: c e        c, d, e

What the lost connection had been given without a word of it here comes again as well, behind what was known to be out,
and is flagged as redelivered: it goes before what is held back. After a second loss it may have been given to either
connection: it goes behind the known one that it came behind. One that comes before all known ones was not given to the
first connection, which has its known ones back first: it goes behind all that was. That is so until something known of
the first connection has come back, over whichever connection; from then on it cannot be told apart, and counts as one
of the first. A message is known by its id and its bytes, two that are the same in both for two.

No I/O and no clock: the caller says when it has waited for long enough for what was lost with a connection.
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
    """One message that was out, in its line; and its delivery, once it has come again.

    `loss` is the number of the loss with which it was lost, or was last.
    """

    __slots__ = ("delivery", "loss", "mark", "younger")

    def __init__(self, mark: bytes, loss: int, *, younger: bool = False) -> None:
        self.mark = mark
        self.loss = loss
        self.younger = younger
        self.delivery: Delivery | None = None

    def lost_again(self, loss: int) -> "_Place":
        """Return its place after a further loss: one that had come was lost with this one."""
        return _Place(self.mark, self.loss if self.delivery is None else loss, younger=self.younger)


class Returning:
    """The line of what is to come again, and what is held back meanwhile. Without arguments nothing is waited for.

    Args:
        line: what was out and not settled, in the order in which it was handed over.
        younger: what was held back for it when its connection was lost as well: it comes again, too.
        loss: the number of the last loss.
        begun: something of the line had come again before that loss.
    """

    def __init__(
        self, line: Iterable[_Place] = (), younger: Iterable[_Place] = (), *, loss: int = 0, begun: bool = False
    ) -> None:
        self._line = deque(line)
        self._held_before = tuple(younger)
        self.loss = loss
        self._missing: dict[bytes, deque[_Place]] = defaultdict(deque)
        for place in (*self._line, *self._held_before):
            self._missing[place.mark].append(place)
        #: What was not known to be out: of before the loss as well, of before a later loss, and younger.
        self._again: list[Delivery] = []
        self._later: list[Delivery] = []
        self._younger: list[Delivery] = []
        #: Something of the line has come again, over this connection or one that was lost since.
        self._begun = begun
        #: What is not known goes behind what was held back before: the last known one that came was of that, or none
        #: has come that could be of before the first loss.
        self._behind_younger = bool(self._line) and not begun
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
        loss = self.loss + 1
        line = [_Place(mark, loss) for mark in out]
        line += (place.lost_again(loss) for place in self._line)
        line += (_Place(mark_of(delivery), loss) for delivery in self._again)
        younger = [place.lost_again(loss) for place in self._held_before]
        younger += (_Place(mark_of(delivery), loss, younger=True) for delivery in self._later + self._younger)
        return Returning(line, younger, loss=loss, begun=self._begun)

    def take(self, delivery: Delivery) -> list[Delivery]:
        """Return what is to be handed over now that this has come, in that order."""
        mark = mark_of(delivery)
        if self._missing.get(mark):
            place = self._missing[mark].popleft()
            place.delivery, self._behind_younger = delivery, place.younger
            self._begun = self._begun or not place.younger
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

    def give_up_on(self, loss: int) -> tuple[int, list[Delivery]]:
        """Wait no longer for what was lost with that loss, or before; return how many these are.

        Returned as well is what is to be handed over without them.
        """
        missing = (place for place in (*self._line, *self._held_before) if place.delivery is None)
        given_up = {place for place in missing if place.loss <= loss}
        for place in given_up:
            self._missing[place.mark].remove(place)
        self._line = deque(place for place in self._line if place not in given_up)
        self._held_before = tuple(place for place in self._held_before if place not in given_up)
        found = self._next_in_line()
        self.coming = self.coming or not self._line
        return len(given_up), found + (self.give_up() if self.complete else [])

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
