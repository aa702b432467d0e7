"""What writes one row, in SQL, with the checksum that is verified when it is read."""

import zlib
from collections.abc import Sequence
from typing import Any, Final

#: SQL and its parameters.
Statement = tuple[str, Sequence[Any]]

_PUT: Final = (
    "INSERT INTO rows (tbl, key, json, crc) VALUES (?, ?, ?, ?) "
    "ON CONFLICT (tbl, key) DO UPDATE SET json = excluded.json, crc = excluded.crc"
)
_DELETE: Final = "DELETE FROM rows WHERE tbl = ? AND key = ?"


def writing(table: str, key: str, json: bytes | None) -> Statement:
    """Return the statement that writes one row, replacing the one of that key; without JSON, that removes it."""
    if json is None:
        return _DELETE, (table, key)
    return _PUT, (table, key, json, checksum(table, key, json))


def checksum(table: str, key: str, json: bytes) -> int:
    """Return the CRC-32 over a row and its place, so that a row under another's key is noticed as well."""
    return zlib.crc32(json, zlib.crc32(f"{table}\0{key}".encode("utf-8", "surrogateescape")))
