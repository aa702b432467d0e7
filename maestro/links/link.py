"""A reliable link between two actors over messages that get lost, doubled and reordered.

Pure: no I/O and no clock; the time is passed in, in seconds of any one monotonic clock. What is posted arrives
exactly once and in order while both ends live. Each end has an epoch, new with each life of its process:

    post ──> outbox ──> Frames in flight ──> on_frame ──> items
                              ^ resent until      │
                              └──── acknowledged <┘ by a Frame that goes back, else by a FrameAck

A few frames may be in flight (`WINDOW`), a moment apart (`PACE`): what gathers meanwhile makes the next one. An
acknowledgement is a message as dear as the frame itself, so it waits a moment (`ACK_WITHIN`) for others, or for a
frame to travel with, unless the sender says that it waits for it (`Frame.awaited`).

Ingress and cascade open their links: they send `Hello` to the system, again with each resend until something of
the system's epoch comes back, and the system answers to the sender. A new epoch resets the link: frames of the old
one are ignored from then on, and the owner gets back all that was not acknowledged.
"""

from collections import deque
from collections.abc import Callable
from itertools import islice
from typing import Final, Generic, TypeVar

from msgspec import Struct

T = TypeVar("T")

#: Frames in flight in one direction.
WINDOW: Final = 8
#: Seconds between two frames while others are in flight.
PACE: Final = 0.002
#: Seconds that an acknowledgement waits which nobody waits for: long enough for the acknowledgements of events, which
#: a system gathers, to take it along; at most a quarter of `resend_after`.
ACK_WITHIN: Final = 0.5
#: The pause between two resends grows up to this many times `resend_after`.
_MAX_BACKOFF: Final = 8


class Hello(Struct, frozen=True):
    """Opens a link: who speaks ("ingress" or "cascade") and the epoch of its life. Repeating it does no harm."""

    role: str
    epoch: int


class Frame(Struct, frozen=True):
    """One batch, from the end of epoch `sender` to the end of epoch `receiver`. `seq` counts from 1."""

    sender: int
    receiver: int
    seq: int
    items: tuple[object, ...]
    #: The sender has every frame up to this one of the receiver's.
    ack: int = 0
    #: The sender can send no more before this one is acknowledged, or should not.
    awaited: bool = False


class FrameAck(Struct, frozen=True):
    """The end of epoch `sender` has every frame up to `seq` of the end of epoch `receiver`."""

    sender: int
    receiver: int
    seq: int


class OutboxFull(RuntimeError):  # noqa: N818 - the state has a name of its own
    """More was posted than the link holds: its owner did not keep to its credit."""


class Link(Generic[T]):
    """One end of a link.

    Args:
        own_epoch: this end's epoch.
        peer_epoch: the other end's.
        size: bytes an item takes in a message, roughly.
        max_items: items per frame.
        max_bytes: bytes per frame; a larger item travels alone.
        resend_after: seconds without an acknowledgement after which a frame is sent again; doubles up to 8 times that.
        capacity: items held that are not acknowledged.
    """

    def __init__(
        self,
        own_epoch: int,
        peer_epoch: int,
        *,
        size: Callable[[T], int],
        max_items: int = 64,
        max_bytes: int = 1_000_000,
        resend_after: float = 2.0,
        capacity: int = 1024,
    ) -> None:
        self.own_epoch: Final = own_epoch
        self._peer_epoch = peer_epoch
        self._size = size
        self._max_items = max_items
        self._max_bytes = max_bytes
        self._resend_after = resend_after
        self._capacity = capacity
        self._outbox: deque[T] = deque()
        self._flights: deque[_Flight] = deque()
        self._flying_items = self._flying_bytes = 0
        self._sent = 0
        self._launched = float("-inf")
        self._received = 0
        #: Frames that came ahead of one that is still missing.
        self._early: dict[int, Frame] = {}
        #: When the acknowledgement of what was received is due; None: nothing is owed.
        self._ack_due: float | None = None

    @property
    def peer_epoch(self) -> int:
        """The other end's epoch."""
        return self._peer_epoch

    @property
    def held(self) -> int:
        """Items posted and not acknowledged."""
        return len(self._outbox) + self._flying_items

    @property
    def waiting(self) -> int:
        """Items posted and not in a frame yet."""
        return len(self._outbox)

    def post(self, item: T) -> None:
        """Queue an item; `launch` sends it.

        Raises:
            OutboxFull: `capacity` items are held already.
        """
        if self.held >= self._capacity:
            raise OutboxFull(f"the link holds {self._capacity} items that are not acknowledged")
        self._outbox.append(item)

    def may_launch(self, now: float) -> bool:
        """Whether `launch` would return a frame."""
        return bool(self._outbox) and self._has_room() and now >= self._launch_at()

    def launch(self, now: float, *, awaited: bool = False) -> Frame | None:
        """Return the next frame to send, if there is one to be sent now; its acknowledgement may be `awaited`."""
        if not self.may_launch(now):
            return None
        items, size = self._take()
        self._sent += 1
        self._launched = now
        self._flying_items += len(items)
        self._flying_bytes += size
        full = len(self._flights) + 1 >= WINDOW or 2 * self._flying_bytes > self._max_bytes
        awaited = awaited or full or bool(self._outbox)
        frame = Frame(self.own_epoch, self._peer_epoch, self._sent, items, self._received, awaited)
        self._flights.append(_Flight(frame, size, first=now, due=now + self._resend_after, tries=1))
        self._ack_due = None
        return frame

    def resend(self, now: float) -> Frame | None:
        """Return the oldest frame in flight if it is due again: the others wait for what becomes of it."""
        if not self._flights or now < self._flights[0].due:
            return None
        again = self._flights[0] = self._flights[0].again(now, self._resend_after)
        return again.frame

    def owes_ack(self, now: float) -> bool:
        """Whether an acknowledgement is due, by itself or with a frame."""
        return self._ack_due is not None and now >= self._ack_due

    def acknowledge(self, now: float) -> FrameAck | None:
        """Return the acknowledgement to send now, if one is due."""
        if not self.owes_ack(now):
            return None
        self._ack_due = None
        return FrameAck(self.own_epoch, self._peer_epoch, self._received)

    def due(self, *, launching: bool = True) -> float | None:
        """Return when one of the above is worth calling next, short of a post or a message; None: not before those.

        `launching`: whether the owner means to launch what waits.
        """
        times = [self._flights[0].due] if self._flights else []
        if self._ack_due is not None:
            times.append(self._ack_due)
        if launching and self._outbox and self._has_room():
            times.append(self._launch_at())
        return min(times, default=None)

    def on_frame(self, frame: Frame, now: float) -> tuple[T, ...]:
        """Take a frame: return what is new, in order. Frames of other epochs bring nothing.

        The caller takes the items before it calls `acknowledge`, or `launch`, which acknowledges as well.
        """
        if (frame.sender, frame.receiver) != (self._peer_epoch, self.own_epoch):
            return ()
        self._settle(frame.ack)
        if not self._received < frame.seq <= self._received + WINDOW:
            self._ack_due = now  # the sender does not know that it came
            return ()
        self._early[frame.seq] = frame
        items: list[T] = []
        while (following := self._early.pop(self._received + 1, None)) is not None:
            items.extend(following.items)  # type: ignore[arg-type]  # both ends agree on T
            self._received += 1
            wait = 0.0 if following.awaited else min(ACK_WITHIN, self._resend_after / 4)
            self._ack_due = now + wait if self._ack_due is None else min(self._ack_due, now + wait)
        return tuple(items)

    def on_ack(self, ack: FrameAck) -> bool:
        """Take an acknowledgement; True when it settles a frame in flight."""
        if (ack.sender, ack.receiver) != (self._peer_epoch, self.own_epoch):
            return False
        return self._settle(ack.seq)

    @property
    def flying(self) -> bool:
        """Whether a frame is in flight."""
        return bool(self._flights)

    def silent_for(self, now: float) -> float:
        """Return for how many seconds the oldest frame in flight has been waiting for its acknowledgement."""
        return max(0.0, now - self._flights[0].first) if self._flights else 0.0

    def reset(self, peer_epoch: int) -> list[T]:
        """Begin anew with a peer of another epoch; return what was not acknowledged, oldest first.

        Whether the old peer took the frames in flight is unknown. With the peer's present epoch nothing happens.
        """
        if peer_epoch == self._peer_epoch:
            return []
        unsettled: list[T] = [item for flight in self._flights for item in flight.frame.items]  # type: ignore[misc]
        unsettled += self._outbox
        self._outbox.clear()
        self._flights.clear()
        self._flying_items = self._flying_bytes = 0
        self._early.clear()
        self._sent = self._received = 0
        self._launched = float("-inf")
        self._ack_due = None
        self._peer_epoch = peer_epoch
        return unsettled

    def _settle(self, seq: int) -> bool:
        before = len(self._flights)
        while self._flights and self._flights[0].frame.seq <= seq:
            flight = self._flights.popleft()
            self._flying_items -= len(flight.frame.items)
            self._flying_bytes -= flight.size
        return len(self._flights) < before

    def _has_room(self) -> bool:
        """Whether one more frame may fly: the last one that may is awaited."""
        return not self._flights or not self._flights[-1].frame.awaited

    def _launch_at(self) -> float:
        return self._launched + PACE if self._flights else float("-inf")

    def _take(self) -> tuple[tuple[T, ...], int]:
        """Take the items of one frame off the outbox; return them and their bytes."""
        total = count = 0
        for item in islice(self._outbox, self._max_items):
            size = self._size(item)
            if count and total + size > self._max_bytes:
                break
            total += size
            count += 1
        return tuple([self._outbox.popleft() for _ in range(count)]), total


class _Flight(Struct, frozen=True):
    """A frame in flight: its bytes, when it was sent first, when it is due again, how often it was sent."""

    frame: Frame
    size: int
    first: float
    due: float
    tries: int

    def again(self, now: float, resend_after: float) -> "_Flight":
        """Return the flight as it is after one more send."""
        pause = resend_after * min(2**self.tries, _MAX_BACKOFF)
        return _Flight(self.frame, self.size, self.first, now + pause, self.tries + 1)
