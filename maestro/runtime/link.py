"""A reliable link between two actors over messages that get lost, doubled and reordered.

Pure: no I/O and no clock; the time is passed in, in seconds of any one monotonic clock. What is posted arrives
exactly once and in order while both ends live. Stop and wait: at most one frame is in flight per direction, and
what gathers meanwhile makes the next one. Each end has an epoch, new with each life of its process:

    post ──> outbox ──> one Frame in flight ──> on_frame ──> items
                              ^ resent until       │
                              └──── FrameAck <─────┘

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
        self._flight: _Flight | None = None
        self._sent = 0
        self._received = 0

    @property
    def peer_epoch(self) -> int:
        """The other end's epoch."""
        return self._peer_epoch

    @property
    def held(self) -> int:
        """Items posted and not acknowledged."""
        return len(self._outbox) + (len(self._flight.frame.items) if self._flight else 0)

    @property
    def waiting(self) -> int:
        """Items posted and not in a frame yet."""
        return len(self._outbox)

    def post(self, item: T) -> None:
        """Queue an item; `poll` sends it.

        Raises:
            OutboxFull: `capacity` items are held already.
        """
        if self.held >= self._capacity:
            raise OutboxFull(f"the link holds {self._capacity} items that are not acknowledged")
        self._outbox.append(item)

    def poll(self, now: float) -> Frame | None:
        """Return the frame to send now, if any: the next one, or the one in flight when it is due again."""
        if self._flight is None:
            return self._launch(now)
        if now < self._flight.due:
            return None
        self._flight = self._flight.again(now, self._resend_after)
        return self._flight.frame

    def due(self) -> float | None:
        """Return when `poll` is worth calling next, short of a post or an acknowledgement; None: not before those."""
        if self._flight is not None:
            return self._flight.due
        return float("-inf") if self._outbox else None

    def on_frame(self, frame: Frame) -> tuple[tuple[T, ...], FrameAck | None]:
        """Take a frame: return what it brings that is new, and the acknowledgement to send back.

        The caller sends the acknowledgement only when it has taken the items. Frames of other epochs bring nothing.
        """
        if (frame.sender, frame.receiver) != (self._peer_epoch, self.own_epoch) or frame.seq > self._received + 1:
            return (), None
        fresh = frame.seq == self._received + 1
        if fresh:
            self._received = frame.seq
        items: tuple[T, ...] = frame.items if fresh else ()  # type: ignore[assignment]  # both ends agree on T
        return items, FrameAck(self.own_epoch, self._peer_epoch, self._received)

    def on_ack(self, ack: FrameAck) -> bool:
        """Take an acknowledgement; True when it settles the frame in flight."""
        if (ack.sender, ack.receiver) != (self._peer_epoch, self.own_epoch):
            return False
        if self._flight is None or ack.seq < self._flight.frame.seq:
            return False
        self._flight = None
        return True

    def silent_for(self, now: float) -> float:
        """Return for how many seconds the frame in flight has been waiting for its acknowledgement; 0 without one."""
        return max(0.0, now - self._flight.first) if self._flight else 0.0

    def reset(self, peer_epoch: int) -> list[T]:
        """Begin anew with a peer of another epoch; return what was not acknowledged, oldest first.

        Whether the old peer took the frame in flight is unknown. With the peer's present epoch nothing happens.
        """
        if peer_epoch == self._peer_epoch:
            return []
        flying: tuple[T, ...] = self._flight.frame.items if self._flight else ()  # type: ignore[assignment]
        unsettled = [*flying, *self._outbox]
        self._outbox.clear()
        self._flight = None
        self._sent = self._received = 0
        self._peer_epoch = peer_epoch
        return unsettled

    def _launch(self, now: float) -> Frame | None:
        items = self._take()
        if not items:
            return None
        self._sent += 1
        frame = Frame(self.own_epoch, self._peer_epoch, self._sent, items)
        self._flight = _Flight(frame, first=now, due=now + self._resend_after, tries=1)
        return frame

    def _take(self) -> tuple[T, ...]:
        total = count = 0
        for item in islice(self._outbox, self._max_items):
            total += self._size(item)
            if count and total > self._max_bytes:
                break
            count += 1
        return tuple(self._outbox.popleft() for _ in range(count))


class _Flight(Struct, frozen=True):
    """The frame in flight: when it was sent first, when it is due again, how often it was sent."""

    frame: Frame
    first: float
    due: float
    tries: int

    def again(self, now: float, resend_after: float) -> "_Flight":
        """Return the flight as it is after one more send."""
        pause = resend_after * min(2**self.tries, _MAX_BACKOFF)
        return _Flight(self.frame, self.first, now + pause, self.tries + 1)
