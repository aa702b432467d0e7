"""The ledger's rows in their own tables: integers, found by the thousand, each with a checksum."""

import sqlite3
import struct
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import groupby, islice
from operator import itemgetter
from typing import Any, Final, TypeVar

import orjson

from maestro.store.base import LEDGER_READS, LEDGER_WRITES, LastWrite, Reading, StoreDamaged
from maestro.store.rows import Source
from maestro.store.statements import ledger_checksum
from maestro.store.tail import Row

#: Rows looked up by one query: enough to make its cost small, few enough for a few milliseconds.
_AT_ONCE: Final = 2000

_LAST_WRITES: Final = (
    "SELECT w.row, w.number, w.writer, w.crc FROM json_each(?) j CROSS JOIN ledger_writes w ON w.row = j.value"
)
_READINGS: Final = (
    "SELECT r.row, r.number, r.version, r.wrote, r.crc FROM json_each(?) j CROSS JOIN ledger_reads r ON r.row = j.value"
)
#: The same for one row: a third of the cost.
_LAST_WRITE: Final = "SELECT row, number, writer, crc FROM ledger_writes WHERE row = ?"
_READINGS_OF_ONE: Final = "SELECT row, number, version, wrote, crc FROM ledger_reads WHERE row = ?"
_ALL_WRITES: Final = "SELECT row, number, writer, crc FROM ledger_writes"
_ALL_READS: Final = "SELECT row, number, version, wrote, crc FROM ledger_reads"


class _Beside:
    """What the tail says of one table of the ledger: each entry is read once, not with each look-up."""

    def __init__(self) -> None:
        self._rows: Sequence[Row] = ()
        self._taken = 0
        #: Numbers of which the tail says something.
        self.numbers: set[int] = set()
        self.clear()

    def takes(self, rows: Sequence[Row]) -> bool:
        """Take what is new among the tail's rows; False: a number comes again, and it is to be folded in."""
        if rows is not self._rows:
            self._rows, self._taken, self.numbers = rows, 0, set()
            self.clear()
        for _, key, json in rows[self._taken :]:
            number = int(key)
            if number in self.numbers:
                return False
            self.numbers.add(number)
            if json is not None:
                self.add(number, orjson.loads(json))
            self._taken += 1
        return True

    def clear(self) -> None:
        """Forget what was taken: it is in the file."""
        raise NotImplementedError

    def add(self, number: int, entry: dict[str, Any]) -> None:
        """Take what is put under a number."""
        raise NotImplementedError


class _WritesBeside(_Beside):
    """The last write of each row that the tail has one of."""

    def clear(self) -> None:
        self.last: dict[int, LastWrite] = {}

    def add(self, number: int, entry: dict[str, Any]) -> None:
        self.last.update(dict.fromkeys(entry["rows"], LastWrite(number, entry["writer"])))


class _ReadsBeside(_Beside):
    """Who read each row that the tail has a reading of, by the row and the number."""

    def clear(self) -> None:
        self.readings: dict[int, dict[int, Reading]] = {}

    def add(self, number: int, entry: dict[str, Any]) -> None:
        for row, version, wrote in entry["reads"]:
            self.readings.setdefault(row, {})[number] = Reading(row, number, version, bool(wrote))


_B = TypeVar("_B", bound=_Beside)


class LedgerRows:
    """Looks the ledger's rows up in one database; `statements` writes them."""

    def __init__(self, database: Source) -> None:
        self._database = database
        self._writes_beside = _WritesBeside()
        self._reads_beside = _ReadsBeside()

    def last_writes(self, rows: Iterable[int]) -> dict[int, LastWrite]:
        """See `Store.last_writes`."""
        found, wanted = {}, dict.fromkeys(rows)
        beside = self._beside(LEDGER_WRITES, self._writes_beside)
        for some in self._look_up(_LAST_WRITES, _LAST_WRITE, wanted):
            for row, number, writer, crc in some:
                if not _sound(crc, row, number, writer):
                    raise self._damage(LEDGER_WRITES, row)
                if number not in beside.numbers:
                    found[row] = LastWrite(number, writer)
        if beside.last:
            found.update((row, beside.last[row]) for row in wanted if row in beside.last)
        return found

    def readings(self, rows: Iterable[int]) -> list[Reading]:
        """See `Store.readings`."""
        found, wanted = [], dict.fromkeys(rows)
        beside = self._beside(LEDGER_READS, self._reads_beside)
        newer, row = beside.numbers, 0
        try:
            for some in self._look_up(_READINGS, _READINGS_OF_ONE, wanted):
                for row, number, version, wrote, crc in some:
                    if ledger_checksum(row, number, version, wrote) != crc:
                        raise self._damage(LEDGER_READS, row)
                    if number not in newer:
                        found.append(Reading(row, number, version, wrote != 0))
        except struct.error:  # a damaged record header changes types
            raise self._damage(LEDGER_READS, row) from None
        if not beside.numbers:
            return found
        for row in wanted:
            found += beside.readings.get(row, {}).values()
        return sorted(found)

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

    def _beside(self, table: str, beside: _B) -> _B:
        """Return what the tail says of a table: it takes the place of what the file says of the same numbers."""
        if not beside.takes(self._database.unfolded_rows(table)):
            self._database.fold(table)
            beside.takes(self._database.unfolded_rows(table))
        return beside

    def _look_up(self, query: str, of_one: str, rows: Collection[int]) -> Iterator[Sequence[Sequence[Any]]]:
        if len(rows) == 1:
            yield self._database.query(of_one, tuple(rows))
            return
        ordered = iter(sorted(rows))  # neighbours share pages; next to nothing to do where the caller has sorted them
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
