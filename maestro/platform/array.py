"""A large JSON array of objects, read while it arrives: part by part, and never held whole.

A part takes a fraction of a millisecond to decode, so nobody on the event loop waits for the rest.
"""

from typing import Any, Final

import msgspec

from maestro.json_text import without_surrogates
from maestro.platform.errors import WrongShapeError

#: Bytes that are gathered before they are decoded.
PART: Final = 128 * 1024
#: Bytes of one row.
MAX_ROW: Final = 8 * 1024 * 1024
#: Places where a part may end that are tried before more bytes are waited for.
_TRIES: Final = 16


class ArrayReader:
    """Splits an array into lists of whole rows. `feed` it all bytes as they come, then `take_rest`.

    `feed` never raises: it is called between a socket and its parser. `decoder` decodes a list of rows.
    """

    def __init__(self, decoder: msgspec.json.Decoder[Any]) -> None:
        self._decoder = decoder
        self._buffer = bytearray()
        self._wanted = PART
        self._begun = False
        self._problem: Exception | None = None

    def note(self, rows: Any, part: bytes) -> None:
        """Keep what is wanted of the next rows; `part` is what they were decoded from, as it came."""
        raise NotImplementedError

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

    def take_rest(self) -> None:
        """Take what is left: the answer is complete.

        Raises:
            WrongShapeError, msgspec.DecodeError, UnicodeDecodeError, RecursionError: it is no array of rows, or one of
                them is larger than `MAX_ROW`.
        """
        if self._problem is not None:
            raise self._problem
        # What is left begins with the array's opening, or with the comma between two rows.
        if self._begun:
            self._buffer[0:1] = b"["
        rest = bytes(self._buffer)
        rows = self._decoder.decode(without_surrogates(rest))
        if self._begun and not rows:
            raise WrongShapeError("nothing comes after a comma")
        self.note(rows, rest)

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
                rows = self._decoder.decode(without_surrogates(part))
            except msgspec.ValidationError:
                raise
            except msgspec.DecodeError:
                continue
            self.note(rows, part)
            del buffer[: end + 1]
            self._begun = True
            self._wanted = PART
            return len(buffer) >= PART
        if len(buffer) >= MAX_ROW + PART:
            raise WrongShapeError(f"a row is larger than {MAX_ROW} bytes")
        self._wanted = min(2 * len(buffer), MAX_ROW + PART)
        return False
