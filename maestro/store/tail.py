"""The tail of a store: small commits in a file beside the database, until they are folded into it.

Appending a few hundred bytes costs a tenth of a transaction. What is appended survives the death of the process;
the loss of power only once it is folded and synced. A fold overwrites the file from its beginning: what is left of
earlier commits behind the new ones has lower numbers, or another life's salt, and ends the reading.
"""

import os
import secrets
import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from maestro.store.base import StoreError, StoreFull
from maestro.whole_file import sync_folder

#: One row as it is written: table, key, and its JSON, or None when it is removed.
Row = tuple[str, str, bytes | None]

#: Bytes of one commit, and of all, that are taken; larger ones go to the database at once.
COMMIT_LIMIT: Final = 32 * 1024
LIMIT: Final = 256 * 1024

#: Before each commit: bytes that follow, and the CRC-32 of them. They begin with the salt and the commit's number.
_HEAD: Final = struct.Struct("<II")
_NUMBER: Final = struct.Struct("<8sQ")
_ROWS: Final = msgspec.msgpack.Decoder(list[Row])
_ENCODER: Final = msgspec.msgpack.Encoder()


class Tail:
    """The file at `path`, made with the first commit. For the database's owner only."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd = -1
        self._end = 0
        #: All that the file holds is in the database, as far as is known.
        self._folded = False
        #: Of this life: what another one left in the file is not continued.
        self._salt = secrets.token_bytes(8)

    def read(self, number: int) -> Iterator[tuple[int, list[Row]]]:
        """Yield the commits after the one of that number, each with its own; the first that is not whole ends them.

        Raises:
            StoreError: the file cannot be read.
        """
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return
        except OSError as error:
            raise StoreError(f"{self.path}: cannot be read: {error.strerror}") from error
        salt = content[_HEAD.size : _HEAD.size + len(self._salt)]
        for found, its_salt, rows in _commits(content):
            if its_salt != salt or found > number + 1:
                return
            if found == number + 1:
                number = found
                yield number, rows

    def append(self, number: int, rows: Sequence[Row]) -> bool:
        """Write a commit; False when it is too large for here.

        Raises:
            StoreFull: nothing of it counts; it may be tried again.
        """
        body = _NUMBER.pack(self._salt, number) + _ENCODER.encode(rows)
        size = _HEAD.size + len(body)
        if size > COMMIT_LIMIT or self._end + size > LIMIT:
            return False
        try:
            if self._fd < 0:
                self._fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            written = os.pwrite(self._fd, _HEAD.pack(len(body), zlib.crc32(body)) + body, self._end)
        except OSError as error:
            raise StoreFull(f"{self.path}: {error.strerror}") from error
        if written < size:
            raise StoreFull(f"{self.path}: only {written} of {size} bytes were written")
        self._end += size
        self._folded = False
        return True

    def discard(self) -> None:
        """Remove what another life left, for good: numbers that the loss of power took back are given again.

        Raises:
            StoreError: the file cannot be removed.
        """
        try:
            self.path.unlink()
            sync_folder(self.path.parent)
        except FileNotFoundError:
            return
        except OSError as error:
            raise StoreError(f"{self.path}: cannot be removed: {error.strerror}") from error

    def restart(self) -> None:
        """All of it is in the database: begin again."""
        self._end = 0
        self._folded = True

    def close(self) -> None:
        """Close the file, and remove it if all of it is in the database. Twice is no error."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        if self._folded:
            with suppress(OSError):  # a later reading finds nothing new in it
                self.path.unlink(missing_ok=True)


def _commits(content: bytes) -> Iterator[tuple[int, bytes, list[Row]]]:
    """Yield number, salt and rows of each commit that is whole, up to the first that is not."""
    at = 0
    while at + _HEAD.size <= len(content):
        size, crc = _HEAD.unpack_from(content, at)
        at += _HEAD.size
        body = content[at : at + size]
        if size < _NUMBER.size or len(body) < size or zlib.crc32(body) != crc:
            return
        salt, number = _NUMBER.unpack_from(body)
        yield number, salt, _ROWS.decode(body[_NUMBER.size :])
        at += size
