"""One end of a link at work: the pure `Link`, a clock, and the outlet that carries its frames."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final

from maestro.links.link import Frame, FrameAck, Link
from maestro.links.service import Address, Outlet
from maestro.messages import (
    Arrived,
    DeadLetter,
    DeadLetterDocument,
    EnqueueReprocessing,
    EnqueueUnits,
    ErrorsPeeked,
    Park,
)
from maestro.settings.model import ActorSettings
from maestro.telemetry.definitions import LINK_FRAMES, LINK_RESENDS
from maestro.telemetry.metrics import MetricsRegistry

#: Items held for a peer that does not acknowledge. Far above what credit (prefetch) lets through.
CAPACITY = 100_000
#: Bytes of an item in a message beside what it carries, roughly.
OVERHEAD = 200
#: Seconds that items which can wait gather, so that many travel in one frame: a frame costs a millisecond of CPU.
LAZY_FOR = 0.1


class Window:
    """Bounds how many frames are in flight over all of an actor's links; a silent peer does not count."""

    def __init__(self, limit: int) -> None:
        self._limit = self._free = limit
        self._waiting: dict[Peer, None] = {}

    @property
    def scarce(self) -> bool:
        """Whether places are to be given back soon."""
        return 2 * self._free < self._limit

    def enter(self, peer: "Peer") -> bool:
        """Take a place; without one, the peer is pumped once there is."""
        if self._free > 0:
            self._free -= 1
            return True
        self._waiting[peer] = None
        return False

    def leave(self) -> None:
        """Give a place back."""
        self._free += 1
        if self._waiting:
            peer = next(iter(self._waiting))
            del self._waiting[peer]
            peer.pump()

    def forget(self, peer: "Peer") -> None:
        """A closed peer waits no more."""
        self._waiting.pop(peer, None)


class Peer:
    """A link to one actor: `post` items to it, get its items by `on_item`, in order, each once."""

    def __init__(
        self,
        outlet: Outlet,
        address: Address,
        own_epoch: int,
        peer_epoch: int,
        settings: ActorSettings,
        on_item: Callable[[object], None],
        registry: MetricsRegistry,
        window: Window | None = None,
    ) -> None:
        self._registry = registry
        self._outlet = outlet
        self._address = address
        self._on_item = on_item
        self._window = window
        self._in_window = False
        self._resend_after = settings.resend_after
        self._link: Link[object] = Link(
            own_epoch, peer_epoch, size=_size, max_items=settings.batch_events, max_bytes=settings.batch_bytes,
            resend_after=settings.resend_after, capacity=CAPACITY,
        )  # fmt: skip
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._pumping = False
        #: Something of what was posted is not to wait, or has waited long enough.
        self._urgent = False
        self._max_items = settings.batch_events
        self._gathering: asyncio.TimerHandle | None = None
        self._closed = False

    @property
    def epoch(self) -> int:
        """The peer's epoch."""
        return self._link.peer_epoch

    def silent_for(self) -> float:
        """Return for how many seconds an acknowledgement has been missing."""
        return self._link.silent_for(self._loop.time())

    def post(self, item: object, *, lazy: bool = False) -> None:
        """Queue an item; what is posted in one go travels in one frame. Raises `OutboxFull`.

        A `lazy` item waits up to `LAZY_FOR` seconds for others; it keeps its place before what is posted later.
        """
        self._link.post(item)
        if lazy and not self._urgent and self._link.waiting < self._max_items:
            if self._gathering is None:
                self._gathering = self._loop.call_later(LAZY_FOR, self._gathered)
            return
        self._urgent = True
        if not self._pumping:
            self._pumping = True
            self._loop.call_soon(self.pump)

    def _gathered(self) -> None:
        self._urgent = True
        self.pump()

    def receive(self, message: Frame | FrameAck) -> None:
        """Take a frame or an acknowledgement from the peer."""
        try:
            if isinstance(message, FrameAck):
                self._link.on_ack(message)
            else:
                for item in self._link.on_frame(message, self._loop.time()):
                    self._on_item(item)
        finally:
            self.pump()

    def greet(self) -> None:
        """Let the peer know that this end is there."""
        self._outlet.send(self._address, FrameAck(self._link.own_epoch, self._link.peer_epoch, 0))

    def pump(self) -> None:
        """Send what is due, and come back when more will be."""
        self._pumping = False
        if self._closed:
            return
        now = self._loop.time()
        if not self._link.flying or self._link.silent_for(now) > self._resend_after:
            self._leave_window()
        frame = self._link.resend(now)
        if frame is not None:
            self._registry.count(LINK_RESENDS)
            self._send(frame)
        if self._link.owes_ack(now):
            self._urgent = True  # what waits for others takes the acknowledgement along
        self._launch(now)
        ack = self._link.acknowledge(now)
        if ack is not None:
            self._outlet.send(self._address, ack)
        self._schedule()

    def _launch(self, now: float) -> None:
        if self._urgent and self._link.may_launch(now) and self._enter_window():
            frame = self._link.launch(now, awaited=self._window is not None and self._window.scarce)
            assert frame is not None, "it may be launched"
            self._send(frame)
        if not self._link.waiting:
            self._rest()

    def _send(self, frame: Frame) -> None:
        self._registry.count(LINK_FRAMES)
        self._outlet.send(self._address, frame)

    def _rest(self) -> None:
        """All that was posted is on its way."""
        self._urgent = False
        if self._gathering is not None:
            self._gathering.cancel()
            self._gathering = None

    def _schedule(self) -> None:
        """See to it that `pump` comes in time; one that comes too early does no harm, and costs less than a timer."""
        due = self._link.due(launching=self._urgent and (self._window is None or self._in_window))
        if due is None or (self._timer is not None and self._timer_at <= due):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = due
        self._timer = self._loop.call_at(due, self._rung)

    def _rung(self) -> None:
        self._timer = None
        self.pump()

    def _enter_window(self) -> bool:
        if self._window is None or self._in_window:
            return True
        self._in_window = self._window.enter(self)
        return self._in_window

    def _leave_window(self) -> None:
        if self._window is not None and self._in_window:
            self._in_window = False
            self._window.leave()

    def close(self) -> None:
        """Send nothing any more."""
        self._closed = True
        self._rest()
        self._leave_window()
        if self._window is not None:
            self._window.forget(self)
        if self._timer is not None:
            self._timer.cancel()


def _size(item: object) -> int:
    carried = _CARRIED.get(type(item))
    return OVERHEAD if carried is None else OVERHEAD + carried(item)


def _bytes_of_units(item: EnqueueUnits) -> int:
    return sum(len(event) for _, event in item.units) + sum(len(event) for _, event in item.in_flight)


#: How many bytes an item carries for others; those of no kind that is named here carry next to none.
_CARRIED: Final[Mapping[type, Callable[[Any], int]]] = {
    Arrived: lambda item: len(item.body),
    Park: lambda item: len(item.body),
    DeadLetter: lambda item: len(item.body),
    ErrorsPeeked: lambda item: sum(len(message.body) for message in item.messages),
    EnqueueReprocessing: lambda item: len(item.document),
    DeadLetterDocument: lambda item: len(item.document),
    EnqueueUnits: _bytes_of_units,
}
