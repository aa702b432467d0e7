"""A page of a large JSON array, read while it arrives: neither the array nor its other rows are ever held."""

from collections.abc import Sequence
from typing import Final

import msgspec

from maestro.json_text import without_surrogates
from maestro.platform.array import ArrayReader
from maestro.platform.errors import WrongShapeError

#: Bytes of a page's rows; a page ends before the row that would make it larger.
MAX_PAGE: Final = 8 * 1024 * 1024
_ROWS: Final = msgspec.json.Decoder(list[msgspec.Raw])


class Page(msgspec.Struct, frozen=True):
    """Some rows of an array, each byte for byte as it came, and how many there are in all."""

    rows: Sequence[bytes]
    total: int


class PageReader(ArrayReader):
    """Reads rows number `after` to `after + limit` (counted from 0)."""

    def __init__(self, after: int, limit: int) -> None:
        super().__init__(_ROWS)
        self._after = after
        self._limit = limit
        self._total = 0
        self._rows: list[bytes] = []
        self._size = 0

    def end(self) -> Page:
        """Return the page: the answer is complete. Raises as `take_rest`."""
        self.take_rest()
        return Page(tuple(self._rows), self._total)

    def note(self, rows: Sequence[msgspec.Raw], part: bytes) -> None:
        """Keep the rows of the page, each byte for byte as it came."""
        first = max(0, self._after - self._total)
        wanted = rows[first : first + self._limit - len(self._rows)] if len(self._rows) < self._limit else ()
        at = 0
        if wanted and (lenient := without_surrogates(part)) is not part:
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
