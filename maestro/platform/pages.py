"""A page of a large JSON array, read while it arrives: neither the array nor its other rows are ever held."""

import re
from collections.abc import Sequence
from typing import Final

import msgspec

from maestro.platform.errors import WrongShapeError

#: Bytes that are gathered before they are decoded: a part takes a fraction of a millisecond.
PART: Final = 128 * 1024
#: Bytes of one row, and of a page's rows; a page ends before the row that would make it larger.
MAX_ROW, MAX_PAGE = 8 * 1024 * 1024, 8 * 1024 * 1024
#: Places where a part may end that are tried before more bytes are waited for.
_TRIES: Final = 16
_SURROGATE: Final = re.compile(rb"\\u[dD]")
_ROWS: Final = msgspec.json.Decoder(list[msgspec.Raw])


def decodable(part: bytes) -> bytes:
    """Return JSON without escapes of surrogates, which may stand alone (as Node writes a cut emoji); as long as before.

    Another character in their place is as good where only the end of a text matters.
    """
    return _SURROGATE.sub(rb"\\u0", part) if _SURROGATE.search(part) else part


class Page(msgspec.Struct, frozen=True):
    """Some rows of an array, each byte for byte as it came, and how many there are in all."""

    rows: Sequence[bytes]
    total: int


class PageReader:
    """Reads rows number `after` to `after + limit` (counted from 0) of a JSON array of objects.

    `feed` it all bytes as they come, then `end`. `feed` never raises: it is called between a socket and its parser.
    """

    def __init__(self, after: int, limit: int) -> None:
        self._after = after
        self._limit = limit
        self._buffer = bytearray()
        self._wanted = PART
        self._begun = False
        self._total = 0
        self._rows: list[bytes] = []
        self._size = 0
        self._problem: Exception | None = None

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""
        if self._problem is not None:
            return
        self._buffer += data
        try:
            while len(self._buffer) >= self._wanted and self._take_part():
                pass
        except (WrongShapeError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
            self._problem = problem
            self._buffer.clear()

    def end(self) -> Page:
        """Return the page: the answer is complete.

        Raises:
            WrongShapeError, msgspec.DecodeError, UnicodeDecodeError, RecursionError: it is no array of objects, or one
                of them is too large.
        """
        if self._problem is not None:
            raise self._problem
        # What is left begins with the array's opening, or with the comma between two rows.
        if self._begun:
            self._buffer[0:1] = b"["
        rest = bytes(self._buffer)
        rows = _ROWS.decode(decodable(rest))
        if self._begun and not rows:
            raise WrongShapeError("nothing comes after a comma")
        self._note(rows, rest)
        return Page(tuple(self._rows), self._total)

    def _take_part(self) -> bool:
        """Decode what is complete, up to the last comma between two rows; where there is none yet wait for more.

        A place is right exactly when all before it is an array: a brace and a comma within a row or a text leave
        something open.
        """
        buffer, end = self._buffer, len(self._buffer)
        if self._begun:
            buffer[0:1] = b"["
        for _ in range(_TRIES):
            end = buffer.rfind(b"},", 0, end)
            if end < 0:
                break
            part = bytes(buffer[: end + 1]) + b"]"
            try:
                rows = _ROWS.decode(decodable(part))
            except msgspec.ValidationError:
                raise
            except msgspec.DecodeError:
                continue
            self._note(rows, part)
            del buffer[: end + 1]
            self._begun = True
            self._wanted = PART
            return len(buffer) >= PART
        if len(buffer) >= MAX_ROW + PART:
            raise WrongShapeError(f"a row is larger than {MAX_ROW} bytes")
        self._wanted = min(2 * len(buffer), MAX_ROW + PART)
        return False

    def _note(self, rows: Sequence[msgspec.Raw], part: bytes) -> None:
        """Take note of rows; `part` is what they were decoded from, as it came."""
        first = max(0, self._after - self._total)
        wanted = rows[first : first + self._limit - len(self._rows)] if len(self._rows) < self._limit else ()
        at = 0
        if wanted and (lenient := decodable(part)) is not part:
            for raw in rows[:first]:
                at = lenient.index(bytes(raw), at) + len(bytes(raw))
        else:
            lenient = part
        for raw in wanted:
            row = bytes(raw)
            if lenient is not part:  # it is as long there, and in the same place
                at = lenient.index(row, at)
                row = part[at : at + len(row)]
                at += len(row)
            if not row.startswith(b"{"):
                raise WrongShapeError("a row is no object")
            if self._rows and self._size + len(row) > MAX_PAGE:
                self._limit = len(self._rows)  # it is full; the next page begins here
                break
            self._rows.append(row)
            self._size += len(row)
        self._total += len(rows)
