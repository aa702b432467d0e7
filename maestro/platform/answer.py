"""Reads HTTP/1.1 answers from bytes as they come: httptools parses, this bounds and says when one is complete.

No I/O. It takes what servers of the siblings' kind send: a body of known length, in chunks, or up to the end of the
connection, compressed or not. All else is an error, never a guess.
"""

import zlib
from collections.abc import Callable
from typing import Final

import httptools

from maestro.platform.errors import WrongShapeError

#: Bytes of an answer's head.
HEAD_LIMIT: Final = 64 * 1024
#: Statuses whose answers have no body, whatever their head says.
_BODILESS: Final = frozenset({204, 304})
#: zlib's word for "gzip or zlib, see for yourself".
_ANY_WINDOW: Final = 47


class BadAnswerError(Exception):
    """What came is no HTTP/1.1 answer, or ended too early."""


class AnswerReader:
    """The answers on one connection: `feed` until it returns True, then ask for `status`, `body()` and `reusable`.

    `begin` before the next answer, if the connection is `reusable`.

    Args:
        limit: bytes of body that are accepted, before and after decompression.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._parser = httptools.HttpResponseParser(self)
        self.begin()

    def begin(self, sink: Callable[[bytes], None] | None = None) -> None:
        """Wait for another answer; `sink` takes the parts of a body that says yes, in place of `body`."""
        self._sink = sink
        self._size = 0
        self._body = bytearray()
        self._fed = 0
        self._framed = False
        self._encoding = b""
        self._complete = False
        #: Of the answer, once its head is there; interim answers say nothing.
        self.status = 0
        #: Whether the connection may carry another request.
        self.reusable = False

    @property
    def begun(self) -> bool:
        """Whether anything has come."""
        return self._fed > 0

    def feed(self, data: bytes) -> bool:
        """Take bytes; return whether the answer is complete.

        Raises:
            BadAnswerError: it is no HTTP answer.
            WrongShapeError: it is too large.
        """
        self._fed += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserCallbackError as problem:
            raise problem.__context__ or problem from None
        except httptools.HttpParserError as problem:
            if not self._complete:
                raise BadAnswerError(f"what came is no HTTP answer ({problem})") from problem
            self.reusable = False  # more than was asked for
        if not self.status and self._fed > HEAD_LIMIT:
            raise BadAnswerError("its head is too long")
        return self._complete

    def end(self) -> None:
        """The connection ended. Raises `BadAnswerError` unless that is how this answer ends."""
        if not self.status or self._framed:
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

    # --- called by httptools ---------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """An answer begins: the one asked for, or one that nobody asked for."""
        if self._complete:
            self.reusable = False
        self._framed, self._encoding = False, b""

    def on_header(self, name: bytes, value: bytes) -> None:
        """A field of the head (or of the trailers)."""
        name = name.lower()
        if name == b"content-encoding":
            self._encoding = value.lower()
        elif name == b"content-length":
            self._framed = True
            self._check_size(int(value))
        elif name == b"transfer-encoding":
            self._framed = True

    def on_headers_complete(self) -> None:
        """The head is there."""
        status = self._parser.get_status_code()
        if status >= 200 and not self._complete:  # noqa: PLR2004 - below are interim answers
            self.status = status
            self._framed = self._framed or status in _BODILESS

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        if self._complete:
            return
        self._size += len(body)
        self._check_size(self._size)
        if self._sink is not None and self.status < 300 and self._encoding in (b"", b"identity"):  # noqa: PLR2004
            self._sink(body)
        else:
            self._body += body

    def on_message_complete(self) -> None:
        """An answer is complete; an interim one is not the one waited for."""
        if self.status and not self._complete:
            self._complete = True
            self.reusable = self._framed and self._parser.should_keep_alive()

    def _check_size(self, size: int) -> None:
        if size > self._limit:
            raise WrongShapeError(f"it is larger than {self._limit} bytes")
