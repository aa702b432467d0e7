"""Reads one HTTP/1.1 answer from bytes as they come. Pure: no I/O.

It takes what servers of the siblings' kind send: a body of known length, in chunks, or up to the end of the
connection, compressed or not. All else is an error, never a guess.
"""

import zlib
from typing import Final

from maestro.platform.errors import WrongShapeError

#: Bytes of an answer's head, and of one chunk's first line.
HEAD_LIMIT: Final = 64 * 1024
LINE_LIMIT: Final = 4096
#: Statuses whose answers have no body, whatever their head says.
_BODILESS: Final = frozenset({204, 304})
#: zlib's word for "gzip or zlib, see for yourself".
_ANY_WINDOW: Final = 47


class BadAnswerError(Exception):
    """What came is no HTTP/1.1 answer, or ended too early."""


class AnswerReader:
    """One answer. `feed` until it returns True; then `status`, `body()` and `reusable` say what came.

    Args:
        limit: bytes of body that are accepted, before and after decompression.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._buffer = bytearray()
        self._body = bytearray()
        #: Bytes of the body (or of the present chunk) still to come; None: up to the end of the connection.
        self._left: int | None = 0
        self._chunked = False
        self._between_chunks = False
        self._encoding = b""
        self._complete = False
        self.status = 0
        #: Whether the connection may carry another request.
        self.reusable = False

    @property
    def begun(self) -> bool:
        """Whether anything has come."""
        return bool(self.status or self._buffer)

    def feed(self, data: bytes) -> bool:
        """Take bytes; return whether the answer is complete.

        Raises:
            BadAnswerError: it is no HTTP answer.
            WrongShapeError: it is too large.
        """
        self._buffer += data
        while not self.status:
            if not self._read_head():
                return False
        if self._chunked:
            self._read_chunks()
        else:
            self._read_plain()
        if self._complete and self._buffer:
            self.reusable = False  # more than was asked for
        return self._complete

    def end(self) -> None:
        """The connection ended. Raises `BadAnswerError` unless that is how this answer ends."""
        if self.status and self._left is None and not self._chunked:
            return
        raise BadAnswerError("the connection ended within the answer" if self.begun else "the server hung up")

    def body(self) -> bytes:
        """Return the body, decompressed. Raises `WrongShapeError` when it cannot be, or is too large."""
        if self._encoding in (b"", b"identity"):
            return bytes(self._body)
        try:
            body = zlib.decompressobj(_ANY_WINDOW).decompress(bytes(self._body), self._limit + 1)
        except zlib.error as problem:
            raise WrongShapeError(f"its {self._encoding.decode(errors='replace')} is damaged ({problem})") from problem
        self._check_size(len(body))
        return body

    # --- head ----------------------------------------------------------------------------------------------------

    def _read_head(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > HEAD_LIMIT or (len(self._buffer) > 5 and self._buffer[:5] != b"HTTP/"):  # noqa: PLR2004
                raise BadAnswerError("what came is no HTTP head")
            return False
        lines = bytes(self._buffer[:end]).split(b"\r\n")
        del self._buffer[: end + 4]
        version, status = _status_line(lines[0])
        if 100 <= status < 200:  # noqa: PLR2004 - interim answers say nothing
            return True
        self._read_fields(version, status, dict(map(_field, lines[1:])))
        self.status = status
        return True

    def _read_fields(self, version: bytes, status: int, fields: dict[bytes, bytes]) -> None:
        self._chunked = fields.get(b"transfer-encoding", b"").lower().endswith(b"chunked")
        self._encoding = fields.get(b"content-encoding", b"").lower()
        closes = b"close" in fields.get(b"connection", b"").lower()
        self.reusable = version == b"HTTP/1.1" and not closes
        if status in _BODILESS:
            self._chunked, self._left = False, 0
        elif not self._chunked:
            length = fields.get(b"content-length")
            self._left = None if length is None else _number(length, 10)
            self.reusable = self.reusable and length is not None
            self._check_size(self._left or 0)

    # --- body ----------------------------------------------------------------------------------------------------

    def _read_plain(self) -> None:
        if self._left is None:
            self._take(len(self._buffer))
            return
        self._left -= self._take(min(self._left, len(self._buffer)))
        self._complete = self._left == 0

    def _read_chunks(self) -> None:
        while not self._complete:
            if self._left:
                self._left -= self._take(min(self._left, len(self._buffer)))
                if self._left:
                    return
                self._between_chunks = True
            line = self._line()
            if line is None:
                return
            if self._between_chunks:
                if line:
                    raise BadAnswerError("a chunk is longer than it said")
                self._between_chunks = False
            elif self._left is None:  # among the trailers
                self._complete = not line
            else:
                size = _number(line.partition(b";")[0], 16)
                self._check_size(len(self._body) + size)
                self._left = size or None

    def _line(self) -> bytes | None:
        end = self._buffer.find(b"\r\n")
        if end < 0:
            if len(self._buffer) > LINE_LIMIT:
                raise BadAnswerError("a chunk's first line is too long")
            return None
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        return line

    def _take(self, count: int) -> int:
        self._check_size(len(self._body) + count)
        self._body += self._buffer[:count]
        del self._buffer[:count]
        return count

    def _check_size(self, size: int) -> None:
        if size > self._limit:
            raise WrongShapeError(f"it is larger than {self._limit} bytes")


def _status_line(line: bytes) -> tuple[bytes, int]:
    version, _, rest = line.partition(b" ")
    if version not in (b"HTTP/1.1", b"HTTP/1.0") or not rest[:3].isdigit() or rest[3:4] not in (b"", b" "):
        raise BadAnswerError(f"no HTTP status line: {line[:40]!r}")
    return version, int(rest[:3])


def _field(line: bytes) -> tuple[bytes, bytes]:
    name, colon, value = line.partition(b":")
    if not colon or not name or name != name.strip():
        raise BadAnswerError(f"no HTTP field: {line[:40]!r}")
    return name.lower(), value.strip()


def _number(text: bytes, base: int) -> int:
    text = text.strip()
    if not text.isalnum():
        raise BadAnswerError(f"no length: {text[:20]!r}")
    try:
        return int(text, base)
    except ValueError:
        raise BadAnswerError(f"no length: {text[:20]!r}") from None
