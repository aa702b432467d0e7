"""What is held for one system: the deliveries that its actor has not settled, and the session that they go over.

A delivery is held from its arrival until it is settled. Each session is handed all that is held, in the order it came,
because the actor of a new session may know nothing of it. Copies of waiting events are handed over only while the wait
queue is fed, and nothing at all while the broker's events are not known to be ours.

No I/O: the caller consumes, acknowledges and gives back.
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from itertools import count

from maestro.broker.base import Delivery
from maestro.broker.topology import ERROR_HEADER, ERROR_ID_HEADER, OUTCOMES, SystemQueues
from maestro.ingress.outcomes import ended
from maestro.links.codec import LIMIT
from maestro.links.session import Session
from maestro.links.sizes import OVERHEAD
from maestro.messages.ingress import Arrived, Source

#: A larger body is not handed over: no frame carries it.
LARGEST = LIMIT - 4 * OVERHEAD


def unfit(delivery: Delivery) -> str:
    """Say why a delivery cannot be handed over; empty: it can."""
    if not delivery.problem and len(delivery.body) > LARGEST:
        return f"body: is larger than {LARGEST} bytes"
    return delivery.problem


class HeldDeliveries:
    """One system's deliveries by reference, and its session. References name them within one life of ingress."""

    def __init__(self, queues: SystemQueues, wanted: Callable[[], None] = lambda: None) -> None:
        self._queues = queues
        #: Told when something is held that no session takes.
        self._wanted = wanted
        self._refs = count(1)
        self._held: dict[int, Delivery] = {}
        self._session: Session | None = None
        #: References of what was handed over before, to this life of the system's actor or another.
        self._handed: set[int] = set()
        #: What is still to come of before an adoption: copies of the wait queue, and what was handed out before.
        self._adopting: set[Source] = set()
        #: References of what is of before it, once it has come.
        self._foreign: set[int] = set()
        self._adopted: Callable[[], None] = lambda: None
        #: Something of the system was settled here that it does not know of.
        self._behind = False
        #: Deliveries whose event is being put on another queue: given back, it would be on both.
        self.moving: set[int] = set()
        #: The wait queue is fed.
        self.feeding = False
        #: Set while the broker's events are known to be ours: nothing is handed over otherwise.
        self.owned = asyncio.Event()
        self.owned.set()
        #: It had a session in this life of ingress; and it has taken its leave since.
        self.known = self.left = False

    def __len__(self) -> int:
        return len(self._held)

    # --- the session -------------------------------------------------------------------------------------------

    @property
    def attached(self) -> bool:
        """Whether there is a session."""
        return self._session is not None

    @property
    def needed(self) -> bool:
        """Whether the system's actor is needed, and has no session: it may be passivated."""
        return (bool(self._held) or self._behind) and self._session is None and self.owned.is_set()

    @property
    def hears(self) -> bool:
        """Whether outcomes may be of use to the system: to one at rest they are not."""
        return self.known and not self.left

    def attach(self, session: Session) -> None:
        """A session with the system's actor: hand over all that is held."""
        self._session, self.known, self.left, self._behind = session, True, False, False
        self._hand_over_all()

    def detach(self) -> None:
        """The session is over."""
        self._session = None
        if self.needed:
            self._wanted()

    def own(self, *, ours: bool) -> None:
        """Say whether the broker's events are ours. What came while that was not known is handed over then."""
        if not ours:
            self.owned.clear()
        elif not self.owned.is_set():
            self.owned.set()
            self._hand_over_all()

    def feed(self, *, on: bool) -> None:
        """Start or stop handing over copies of waiting events. Those that are held are handed over again."""
        self.feeding = on
        for ref, delivery in sorted(self._held.items()) if on else ():
            if self.waits(delivery) and ref not in self.moving:
                self._hand_over(ref, delivery)

    def post(self, item: object) -> None:
        """Say something to the system's actor, if it has a session."""
        if self._session is not None:
            self._session.post(item)

    # --- what came ---------------------------------------------------------------------------------------------

    def take(self, delivery: Delivery) -> int:
        """Hold a delivery of a queue of the system, hand it over unless it is unfit, and return its reference."""
        ref = next(self._refs)
        self._held[ref] = delivery
        # What the system said of its error queue is not true any more once an unfit delivery is there.
        self._behind = self._behind or bool(unfit(delivery))
        if self._adopting and self._is_foreign(delivery):
            self._foreign.add(ref)
        self._hand_over(ref, delivery)
        if self._session is None:
            self._wanted()
        return ref

    def take_outcome(self, delivery: Delivery) -> None:
        """Hold an outcome that is about this system, or may be. No actor is woken for it."""
        ref = next(self._refs)
        self._held[ref] = delivery
        self._hand_over(ref, delivery)

    def source(self, delivery: Delivery) -> Source:
        """Say which queue it came from."""
        return Source.WAIT if self.waits(delivery) else Source.PERSIST

    def waits(self, delivery: Delivery) -> bool:
        """Whether it is the copy of a waiting event."""
        return delivery.queue == self._queues.wait

    def _hand_over_all(self) -> None:
        for ref, delivery in sorted(self._held.items()):
            self._hand_over(ref, delivery)
        if self.needed:
            self._wanted()

    def _hand_over(self, ref: int, delivery: Delivery) -> None:
        if self._session is None or not self.owned.is_set() or unfit(delivery):
            return
        if self.waits(delivery) and not self.feeding:
            return  # once the feed goes on
        if delivery.queue == OUTCOMES:
            found = ended(delivery.body, ref)
            assert found is not None, "it was read before"
            self._session.post(found[1], lazy=True)
            return
        source, redriven = self.source(delivery), ERROR_HEADER in delivery.headers
        mark = delivery.message_id if source is Source.WAIT else str(delivery.headers.get(ERROR_ID_HEADER, ""))
        redelivered = delivery.redelivered or ref in self._handed
        self._handed.add(ref)
        foreign, at = ref in self._foreign, time.time()
        self._session.post(
            Arrived(ref, source, delivery.body, redelivered, redriven=redriven, foreign=foreign, at=at, mark=mark)
        )

    # --- before an adoption ------------------------------------------------------------------------------------

    def adopt(self, adopted: Callable[[], None]) -> None:
        """Mark what waited or was handed out before these events were adopted; say once all of it has come."""
        self._adopting = {Source.PERSIST, Source.WAIT}
        self._adopted = adopted

    def none_left(self, source: Source) -> None:
        """Nothing of before the adoption is left on a queue."""
        if source in self._adopting:
            self._adopting.discard(source)
            if not self._adopting:
                self._adopted()

    def _is_foreign(self, delivery: Delivery) -> bool:
        """Whether it is of before the adoption. What was handed out comes back first, marked as redelivered."""
        source = self.source(delivery)
        if source not in self._adopting or ERROR_HEADER in delivery.headers:
            return False
        if source is Source.PERSIST and not delivery.redelivered:
            self.none_left(Source.PERSIST)
            return False
        return True

    # --- what goes ---------------------------------------------------------------------------------------------

    def pop(self, ref: int) -> Delivery | None:
        """Hold a delivery no longer, and return it; None: it is not held, or became void."""
        self._handed.discard(ref)
        self._foreign.discard(ref)
        return self._held.pop(ref, None)

    def pop_all(self) -> list[Delivery]:
        """Hold nothing any more, end the session, and return what was held, in the order it came."""
        held, self._held, self._session = sorted(self._held.items()), {}, None
        return [delivery for _, delivery in held]

    def pop_waiting(self) -> list[Delivery]:
        """Hold no copies of waiting events but those that are being moved; return the others."""
        refs = [ref for ref, delivery in self._held.items() if self.waits(delivery) and ref not in self.moving]
        return [delivery for ref in refs if (delivery := self.pop(ref)) is not None]

    def void(self, queue: str) -> None:
        """Forget the deliveries of a queue, which became void: the broker will deliver them again."""
        self._held = {ref: delivery for ref, delivery in self._held.items() if delivery.queue != queue}
        self._handed &= self._held.keys()
        self._foreign &= self._held.keys()

    def first(self, refs: Iterable[int]) -> Delivery | None:
        """Return the first of these deliveries that is held."""
        return next((self._held[ref] for ref in refs if ref in self._held), None)

    @property
    def any_waits(self) -> bool:
        """Whether the copy of a waiting event is held."""
        return any(map(self.waits, self._held.values()))

    @property
    def any_waiting_moves(self) -> bool:
        """Whether the event of such a copy is being put on another queue."""
        return any(ref in self.moving for ref, delivery in self._held.items() if self.waits(delivery))
