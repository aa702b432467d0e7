"""One connection between two processes: items in order, each once, for as long as it lasts.

A session is the unit of loss. While it lasts the kernel keeps order and loses nothing; when it ends, what was posted
and not taken is gone, and its owner hands over again in the next one whatever is not settled. Nothing is acknowledged
here: a delivery is by its verdict, an operation by its end, a question by its answer.

    post ──> items ──encode, up to the high water──> transport ──> the other end's buffer ──> on_item
               ^ wait as they are while the other end takes nothing

The first item each way is a `Hello`. What cannot be read ends the session, after a word to the other end why.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final, cast

import structlog

from maestro.links.codec import HEAD, LIMIT, Decoder, decode, encode, pieces
from maestro.links.items import Hello, Refused
from maestro.links.sizes import size_of
from maestro.settings.model import ActorSettings
from maestro.telemetry.definitions import LINK_FRAMES, LINK_REFUSED
from maestro.telemetry.metrics import MetricsRegistry

#: Items that wait for an end which takes nothing. Far above what credit (prefetch, open questions) lets through; one
#: more ends the session.
CAPACITY: Final = 100_000
#: Encoded bytes on their way beyond which nothing more is encoded.
HIGH_WATER: Final = 256 * 1024
#: Seconds that items which can wait gather, so that many travel in one frame.
LAZY_FOR: Final = 0.1
#: Bytes that a session has room for while it waits for a frame; a larger frame gets room of its own, up to `AT_ONCE`
#: before any of it has come.
ROOM: Final = 16 * 1024
AT_ONCE: Final = 4 * 1024 * 1024
#: Most bytes of the first frame.
_HELLO_LIMIT: Final = 1024
#: Seconds that the last word to the other end may take.
_LAST_WORD: Final = 1.0


class Session(asyncio.BufferedProtocol):
    """One end of a session. Its owner sets `on_item` and `on_lost` when `met` is called.

    Args:
        decoder: of what the other end may send.
        settings: how much a frame, and a turn of the loop, carries.
        met: called with the other end's `Hello`; it may `refuse`.
        ended: called once when the session is over.
    """

    def __init__(
        self,
        decoder: Decoder,
        settings: ActorSettings,
        registry: MetricsRegistry,
        met: "Callable[[Session, Hello], None]",
        ended: "Callable[[Session], None]",
    ) -> None:
        self._decoder = decoder
        self._max_items = settings.batch_events
        self._max_bytes = settings.batch_bytes
        self._registry = registry
        self._met = met
        self._ended = ended
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        #: What the other end said of itself; None before.
        self.peer: Hello | None = None
        #: Why the session ended, when not by a close; empty: the connection just ended.
        self.reason = ""
        self.on_item: Callable[[object], None] = _ignore
        self.on_lost: Callable[[], None] = _nothing
        #: Set once the connection is gone.
        self.gone: Final = asyncio.Event()
        self._items: deque[object] = deque()
        #: What has come and is not taken: from `_from` to `_upto`. The kernel writes behind that.
        self._buffer = bytearray(ROOM)
        self._from = self._upto = 0
        #: A turn that takes what has come is planned; meanwhile nothing more is read.
        self._taking = self._paused = False
        self._flushing = False
        #: Something of what was posted is not to wait, or has waited long enough.
        self._urgent = False
        self._gathering: asyncio.TimerHandle | None = None
        self._full = False
        self._closed = False
        self._log = structlog.get_logger()

    # --- sending ------------------------------------------------------------------------------------------------

    @property
    def waiting(self) -> int:
        """Items posted and not encoded yet."""
        return len(self._items)

    def post(self, item: object, *, lazy: bool = False) -> None:
        """Send an item; what is posted in one go travels together. Of a session that ended it is dropped.

        A `lazy` item waits up to `LAZY_FOR` seconds for others; it keeps its place before what is posted later.
        """
        if self._closed:
            return
        if len(self._items) >= CAPACITY:
            self.refuse(f"{CAPACITY} items wait, and the other end takes none")
            return
        self._items.append(item)
        if lazy and not self._urgent and len(self._items) < self._max_items:
            if self._gathering is None:
                self._gathering = self._loop.call_later(LAZY_FOR, self._flush)
        elif not self._flushing:
            self._urgent = self._flushing = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = False
        self._urgent = True
        if self._gathering is not None:
            self._gathering.cancel()
            self._gathering = None
        while self._items and not self._full and not self._closed:
            self._write(self._next())
        self._urgent = bool(self._items)

    def _next(self) -> list[object]:
        """Take the items of one frame off the queue."""
        items = [self._items.popleft()]
        size = size_of(items[0])
        while self._items and len(items) < self._max_items:
            size += size_of(self._items[0])
            if size > self._max_bytes:
                break
            items.append(self._items.popleft())
        return items

    def _write(self, items: list[object]) -> None:
        assert self._transport is not None, "items are posted once both ends have said Hello"
        try:
            frame = pieces(items)
        except ValueError as problem:
            if len(items) > 1:
                for item in items:
                    self._write([item])
            else:
                self._registry.count(LINK_REFUSED)
                self._log.error("an item cannot be sent", item=type(items[0]).__name__, cause=str(problem))
            return
        self._registry.count(LINK_FRAMES)
        self._transport.writelines(frame)

    def pause_writing(self) -> None:
        """Stop encoding: the other end is behind."""
        self._full = True

    def resume_writing(self) -> None:
        """Go on."""
        self._full = False
        self._flush()

    # --- receiving ----------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are no subclasses
        self._transport.set_write_buffer_limits(high=HIGH_WATER)
        if self._closed:
            self._transport.abort()

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - the protocol's
        """Return where what comes next is put."""
        if self._upto == len(self._buffer):
            self._make_room(self._upto - self._from + ROOM)
        return memoryview(self._buffer)[self._upto :]

    def buffer_updated(self, nbytes: int) -> None:
        """Take bytes; at most about a frame's number of items in a turn of the loop."""
        self._upto += nbytes
        if not self._taking:
            self._take()

    def _make_room(self, size: int) -> None:
        """Have room for `size` bytes from `_from` on, or for twice as many as have come if that is a lot less."""
        come = self._upto - self._from
        size = max(ROOM, min(size, max(AT_ONCE, 2 * come)))
        if len(self._buffer) - self._from < size:
            buffer = bytearray(size)
            buffer[:come] = memoryview(self._buffer)[self._from : self._upto]
            self._buffer, self._from, self._upto = buffer, 0, come

    def _take(self) -> None:
        self._taking = False
        taken = 0
        while not self._closed and (items := self._frame()):
            for item in items:
                self._give(item)
            taken += len(items)
            if taken >= self._max_items and self._upto - self._from > HEAD:
                self._take_later()
                return
        if self._paused and self._transport is not None and not self._closed:
            self._paused = False
            self._transport.resume_reading()

    def _take_later(self) -> None:
        if self._closed or self._transport is None:
            return
        self._taking = True
        if not self._paused:
            self._paused = True
            self._transport.pause_reading()
        self._loop.call_soon(self._take)

    def _frame(self) -> list[object]:
        """Take one whole frame off the buffer; empty while there is none."""
        come = self._upto - self._from
        if come < HEAD:
            return []
        length = int.from_bytes(self._buffer[self._from : self._from + HEAD], "big", signed=True)
        if not 0 < length <= (LIMIT if self.peer is not None else _HELLO_LIMIT):
            self.refuse(f"a frame of {length} bytes")
            return []
        if come < HEAD + length:
            self._make_room(HEAD + length)
            return []
        begin = self._from + HEAD
        try:
            items = decode(self._decoder, memoryview(self._buffer)[begin : begin + length])
        except ValueError as problem:
            self.refuse(str(problem))
            return []
        if not items:
            self.refuse("a frame without an item")
            return []
        self._from = begin + length
        if self._from == self._upto:
            self._from = self._upto = 0
            if len(self._buffer) > ROOM:
                self._buffer = bytearray(ROOM)
        return items

    def _give(self, item: object) -> None:
        if self._closed:
            return
        if isinstance(item, Refused):
            self.reason = f"refused by the other end: {item.reason}"
            self._end()
        elif self.peer is None or isinstance(item, Hello):
            self._meet(item)
        else:
            try:
                self.on_item(item)
            except Exception:  # noqa: BLE001 - one item's trouble is not the others'
                self._log.exception("an item could not be handled", item=type(item).__name__)

    def _meet(self, item: object) -> None:
        if self.peer is not None or not isinstance(item, Hello):
            self.refuse("it begins without a greeting" if self.peer is None else "a second greeting")
            return
        self.peer = item
        self._met(self, item)

    # --- its end ------------------------------------------------------------------------------------------------

    def say(self, item: Hello | Refused) -> None:
        """Send a greeting, or a last word, at once."""
        if self._transport is not None and not self._closed:
            self._transport.write(encode([item]))

    def refuse(self, reason: str) -> None:
        """End the session for a reason that the other end is told, and the log."""
        if self._closed:
            return
        self._registry.count(LINK_REFUSED)
        self.reason = reason
        self.say(Refused(reason))
        self._end()

    def finish(self) -> None:
        """End a session that is superseded: what has come is taken first; then its owner hears of the end."""
        while not self._closed and (items := self._frame()):
            for item in items:
                self._give(item)
        self._end()

    def close(self) -> None:
        """End the session in good order: what was posted is sent; its owner, who closes it, is not called."""
        self.on_lost = _nothing
        if not self._closed:
            self._flush()
            self._end()

    async def over(self) -> None:
        """Return once the connection of a session that was closed is gone: what was sent is out, or given up."""
        if self._transport is not None:
            await self.gone.wait()

    def _end(self) -> None:
        """Close: what was written goes out, for a moment."""
        if self._closed:
            return
        self._closed = True
        self._items.clear()
        self._buffer, self._from, self._upto = bytearray(ROOM), 0, 0
        if self._gathering is not None:
            self._gathering.cancel()
        if self._transport is not None:
            self._transport.close()
            self._loop.call_later(_LAST_WORD, self._transport.abort)
        self.on_lost()
        self._ended(self)

    def connection_lost(self, _problem: Exception | None) -> None:
        """The other end is gone: take what it sent before."""
        self.finish()
        self.gone.set()


def _ignore(_item: object) -> None:
    return


def _nothing() -> None:
    return
