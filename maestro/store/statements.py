"""What writes one row, in SQL, with the checksum that is verified when it is read.

A row of the ledger (`LEDGER_WRITES`, `LEDGER_READS`) stands for as many as it names, in a table of their own.
"""

import struct
import zlib
from collections.abc import Iterable, Sequence
from typing import Any, Final

import orjson

from maestro.store.base import LEDGER_READS, LEDGER_WRITES

#: SQL and its parameters.
Statement = tuple[str, Sequence[Any]]

_PUT: Final = (
    "INSERT INTO rows (tbl, key, json, crc) VALUES (?, ?, ?, ?) "
    "ON CONFLICT (tbl, key) DO UPDATE SET json = excluded.json, crc = excluded.crc"
)
_DELETE: Final = "DELETE FROM rows WHERE tbl = ? AND key = ?"
_PUT_WRITE: Final = "INSERT OR REPLACE INTO ledger_writes (row, number, writer, crc) VALUES (?, ?, ?, ?)"
_PUT_READ: Final = "INSERT OR REPLACE INTO ledger_reads (row, number, version, wrote, crc) VALUES (?, ?, ?, ?, ?)"
_DELETE_WRITES: Final = "DELETE FROM ledger_writes WHERE number = ?"
_DELETE_READS: Final = "DELETE FROM ledger_reads WHERE number = ?"
#: Packs the integers of a ledger's row, by how many they are.
_PACKED: Final = {3: struct.Struct("<3q").pack, 4: struct.Struct("<4q").pack}


def writing(table: str, key: str, json: bytes | None) -> Statement:
    """Return the statement that writes one row, replacing the one of that key; without JSON, that removes it."""
    if json is None:
        return _DELETE, (table, key)
    return _PUT, (table, key, json, checksum(table, key, json))


def statements(table: str, key: str, json: bytes | None) -> Iterable[Statement]:
    """Return all statements that write a row of any table."""
    if table == LEDGER_WRITES:
        return _writes(int(key), json)
    if table == LEDGER_READS:
        return _reads(int(key), json)
    return (writing(table, key, json),)


def _writes(number: int, json: bytes | None) -> Iterable[Statement]:
    yield _DELETE_WRITES, (number,)
    if json is not None:
        fields = orjson.loads(json)
        writer = fields["writer"]
        for row in fields["rows"]:
            yield _PUT_WRITE, (row, number, writer, ledger_checksum(row, number, writer))


def _reads(number: int, json: bytes | None) -> Iterable[Statement]:
    yield _DELETE_READS, (number,)
    if json is not None:
        for row, version, wrote in orjson.loads(json)["reads"]:
            values = (row, number, version, int(wrote))
            yield _PUT_READ, (*values, ledger_checksum(*values))


def ledger_checksum(*values: int) -> int:
    """Return the CRC-32 over the integers of one row of the ledger. Raises `struct.error` for what is no integer."""
    return zlib.crc32(_PACKED[len(values)](*values))


def checksum(table: str, key: str, json: bytes) -> int:
    """Return the CRC-32 over a row and its place, so that a row under another's key is noticed as well."""
    return zlib.crc32(json, zlib.crc32(f"{table}\0{key}".encode("utf-8", "surrogateescape")))
