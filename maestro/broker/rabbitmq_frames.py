"""AMQP's frames, cut off what is read without a copy of it.

pika cuts each frame off a buffer, and copies the buffer's rest for that: a message of a megabyte is copied five times.
Here the body of a frame is a view of what was read, which pika joins once, when the message is whole.
"""

import struct
from collections.abc import Iterator
from typing import Any, Final

from pika import exceptions, frame, spec

from maestro.broker.rabbitmq_properties import read_header

#: Bytes of a frame around what it carries.
_AROUND: Final = spec.FRAME_HEADER_SIZE + spec.FRAME_END_SIZE
#: What AMQP's own greeting begins with, where a frame has its type.
_GREETING: Final = ord("A")
_HEAD: Final = struct.Struct(">BHL")


class FrameReader:
    """The frames of one connection, in order. A body frame may come in several parts, each a frame of its own."""

    def __init__(self) -> None:
        #: Read, and no whole frame yet.
        self._rest = b""
        #: Of the body frame in hand: its channel, and the bytes that are to come; below 0: there is none in hand.
        self._channel, self._left = 0, -1

    def read(self, data: bytes) -> Iterator[Any]:
        """Yield what pika calls frames. What is behind one is read once it is taken.

        Raises:
            pika.exceptions.InvalidFrameError: it is none.
        """
        if self._rest:
            data, self._rest = self._rest + data, b""
        view, at = memoryview(data), 0
        while at < len(data):
            if self._left < 0:
                kind, channel, size = _HEAD.unpack_from(data, at) if len(data) - at >= _HEAD.size else (0, 0, len(data))
                if kind == _GREETING:
                    size = 0  # it is as long as an empty frame
                if kind == spec.FRAME_BODY:
                    self._channel, self._left = channel, size
                    at += spec.FRAME_HEADER_SIZE
                elif len(data) - at < size + _AROUND:
                    self._rest = data[at:]
                    return
                else:
                    end = at + size + _AROUND
                    yield _whole(data[at:end])
                    at = end
            elif self._left:
                part = view[at : at + self._left]
                self._left -= len(part)
                at += len(part)
                yield frame.Body(self._channel, part)
            else:
                if data[at] != spec.FRAME_END:
                    raise exceptions.InvalidFrameError("Invalid FRAME_END marker")
                self._left = -1
                at += 1


def _whole(data: bytes) -> Any:
    """Return the frame that `data` is; whatever a message carries is no error."""
    _, found = read_header(data) or frame.decode_frame(data)
    return found
