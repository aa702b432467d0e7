"""The ledger's rows in their own tables: integers, found by the thousand, each with a checksum."""

import sqlite3
import struct
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, islice
from operator import itemgetter
from typing import Any, Final

import orjson

from maestro.store.base import LEDGER_READS, LEDGER_WRITES, LastWrite, Reading, StoreDamaged
from maestro.store.rows import Source
from maestro.store.statements import ledger_checksum
from maestro.store.tail import Row

#: Rows looked up by one query: enough to make its cost small, few enough for a few milliseconds.
_AT_ONCE: Final = 2000
#: Entries of the tail that a look-up reads beside the file. For more it has the tail folded in, which costs as much.
_BESIDE: Final = 16

_LAST_WRITES: Final = (
    "SELECT w.row, w.number, w.writer, w.crc FROM json_each(?) j CROSS JOIN ledger_writes w ON w.row = j.value"
)
_READINGS: Final = (
    "SELECT r.row, r.number, r.version, r.wrote, r.crc FROM json_each(?) j CROSS JOIN ledger_reads r ON r.row = j.value"
)
_ALL_WRITES: Final = "SELECT row, number, writer, crc FROM ledger_writes"
_ALL_READS: Final = "SELECT row, number, version, wrote, crc FROM ledger_reads"


class LedgerRows:
    """Looks the ledger's rows up in one database; `statements` writes them."""

    def __init__(self, database: Source) -> None:
        self._database = database

    def last_writes(self, rows: Iterable[int]) -> dict[int, LastWrite]:
        """See `Store.last_writes`."""
        found, wanted = {}, set(rows)
        beside = self._beside(LEDGER_WRITES)
        for some in self._look_up(_LAST_WRITES, wanted):
            for row, number, writer, crc in some:
                if not _sound(crc, row, number, writer):
                    raise self._damage(LEDGER_WRITES, row)
                if number not in beside:
                    found[row] = LastWrite(number, writer)
        for number, entry in beside.items():
            if entry is not None:
                last = LastWrite(number, entry["writer"])
                found.update(dict.fromkeys(wanted.intersection(entry["rows"]), last))
        return found

    def readings(self, rows: Iterable[int]) -> list[Reading]:
        """See `Store.readings`."""
        found, wanted = [], set(rows)
        beside = self._beside(LEDGER_READS)
        for some in self._look_up(_READINGS, wanted):
            for row, number, version, wrote, crc in some:
                if not _sound(crc, row, number, version, wrote):
                    raise self._damage(LEDGER_READS, row)
                if number not in beside:
                    found.append(Reading(row, number, version, bool(wrote)))
        for number, entry in beside.items():
            reads = entry["reads"] if entry is not None else ()
            found += {
                one[0]: Reading(one[0], number, one[1], bool(one[2])) for one in reads if one[0] in wanted
            }.values()
        return sorted(found) if beside else found

    def contents(self) -> Iterator[Row]:
        """Yield what was put under each number, as far as it still counts. Raises `StoreDamaged`."""
        self._database.fold()
        writes = self._database.connection.execute(
            "SELECT number, row, writer, crc FROM ledger_writes ORDER BY number, row"
        )
        for number, some in groupby(writes, key=itemgetter(0)):
            rows, writer = [], 0
            for _, row, writer, crc in some:
                if not _sound(crc, row, number, writer):
                    raise self._damage(LEDGER_WRITES, row)
                rows.append(row)
            yield LEDGER_WRITES, f"{number:015d}", orjson.dumps({"writer": writer, "rows": rows})
        reads = self._database.connection.execute(
            "SELECT number, row, version, wrote, crc FROM ledger_reads ORDER BY number, row"
        )
        for number, some in groupby(reads, key=itemgetter(0)):
            found = []
            for _, row, version, wrote, crc in some:
                if not _sound(crc, row, number, version, wrote):
                    raise self._damage(LEDGER_READS, row)
                found.append([row, version, bool(wrote)])
            yield LEDGER_READS, f"{number:015d}", orjson.dumps({"reads": found})

    def problems(self) -> Iterator[str]:
        """Yield a line for each row whose content is not what was written. Raises as `Database.fold`."""
        self._database.fold()
        for table, query in ((LEDGER_WRITES, _ALL_WRITES), (LEDGER_READS, _ALL_READS)):
            try:
                for *values, crc in self._database.connection.execute(query):
                    if not _sound(crc, *values):
                        yield str(self._damage(table, values[0]))
            except sqlite3.DatabaseError as error:
                yield f"{self._database.name}: reading all of {table} ended early: {error}"

    def _beside(self, table: str) -> dict[int, dict[str, Any] | None]:
        """Return the tail's entries of a table, by number: they take the place of the file's. Many are folded in."""
        rows = self._database.unfolded_rows(table)
        if len(rows) > _BESIDE:
            self._database.fold(table)
            return {}
        return {int(key): None if json is None else orjson.loads(json) for _, key, json in rows}

    def _look_up(self, query: str, rows: Iterable[int]) -> Iterator[Sequence[Sequence[Any]]]:
        ordered = iter(sorted(rows))  # neighbours share pages
        while some := list(islice(ordered, _AT_ONCE)):
            yield self._database.query(query, (orjson.dumps(some).decode(),))

    def _damage(self, table: str, row: object) -> StoreDamaged:
        return StoreDamaged(f"{self._database.name}: table {table!r}, row {row!r}: the checksum does not match")


def _sound(crc: Any, *values: Any) -> bool:
    """Whether a row is what was written. A damaged record header changes types, too."""
    try:
        return bool(ledger_checksum(*values) == crc)
    except struct.error:
        return False
