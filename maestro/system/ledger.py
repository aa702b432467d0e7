"""The ledger's look-ups: what its rules ask, answered from the store. The rules decide what follows."""

import asyncio
from collections.abc import Callable, Container, Iterable
from datetime import UTC
from itertools import islice

from maestro.rules import facts
from maestro.rules.impact import LEDGER, Impacted, UnitKey, parse_timestamp
from maestro.rules.ledger import (
    Footprint,
    Last,
    Missed,
    Reader,
    Reads,
    affected,
    copies,
    missed,
    row_key,
    touched,
    writer_key,
)
from maestro.rules.ledger_book import MissedCommit, Owed
from maestro.store.base import Reading, Store
from maestro.system import ledger_records

#: Seconds that the platform's clock may be off ours; one that is ahead is seen.
CLOCKS = 1.0
#: Commits that Discovery is asked about for the sake of one computation.
MOST_CANDIDATES = 100
#: Rows looked up in one turn of the loop, and entries of the log that are gone through: a few milliseconds.
AT_ONCE = 2000
LOG_AT_ONCE = 200


class Ledger:
    """Looks the ledger's rows up. `store_all` makes the store know all entries that were decided."""

    def __init__(self, store: Store, store_all: Callable[[], None]) -> None:
        self._store = store
        self._store_all = store_all

    async def named(self, footprint: Footprint, branch: str) -> tuple[Impacted, ...]:
        """Return the units that a commit on `branch` impacts by what their last computations read."""
        found = await self._affected(footprint, branch)
        return tuple(Impacted(*one.unit, one.forking, named=LEDGER) for one in found)

    async def not_overtaken(self, owed: Owed, footprint: Footprint) -> Footprint:
        """Return what a commit changed without what later ones did: only one that was in doubt can have been overtaken.

        These rows keep their last commit. All who read them were compared with that.
        """
        if owed.in_doubt_since < 0:
            return footprint
        self._store_all()
        later: set[int] = set()
        for some in _slices(sorted(footprint.keys(owed.branch))):
            lasts = self._store.last_writes(some).items()
            later |= {row for row, last in lasts if last.number > owed.in_doubt_since}
            await asyncio.sleep(0)
        return footprint.without(later, owed.branch)

    async def overlooked(self, owed: Owed, footprint: Footprint) -> tuple[Reader, ...]:
        """Return who read what a commit changed, before it, and came after the question whom it impacts."""
        own = writer_key(owed.instance_id)

        def late(reading: Reading) -> bool:
            return reading.number > owed.asked and reading.number != owed.number and reading.version != own

        found = await self._affected(footprint, owed.branch, late)
        return tuple(one for one in found if one.unit != owed.unit)

    async def _affected(
        self, footprint: Footprint, branch: str, counts: Callable[[Reading], bool] | None = None
    ) -> tuple[Reader, ...]:
        if not footprint.changed:
            return ()
        self._store_all()
        rows = touched(footprint, branch)
        found: dict[UnitKey, Reader] = {}
        #: Unit, and whether it opened its branch, by the number of a reading; None: its entry is gone.
        units: dict[int, tuple[UnitKey, bool] | None] = {}
        for some in _slices(sorted(rows)):  # those that share a page of the store are looked up together
            readings = self._store.readings(some)
            readers = self._readers(readings if counts is None else filter(counts, readings), units, found)
            own = self._store.last_writes(copies(rows, readers))
            for one in affected(rows, readers, {row: Last(*last) for row, last in own.items()}):
                found[one.unit] = one
            await asyncio.sleep(0)
        return tuple(found.values())

    def _readers(
        self, readings: Iterable[Reading], units: dict[int, tuple[UnitKey, bool] | None], known: Container[UnitKey]
    ) -> list[Reader]:
        """Return whose readings these are, but for units that are known to be affected, by one of their others.

        One whose entry is gone was of a unit that is not remembered.
        """
        found = []
        for row, number, _, wrote in readings:
            if number not in units:
                entry = self._store.get(ledger_records.LOG, ledger_records.key(number))
                units[number] = ((entry["unit"][0], entry["unit"][1]), bool(entry["forking"])) if entry else None
            of = units[number]
            if of is not None and of[0] not in known:
                found.append(Reader(row, *of[0], of[1], wrote))
        return found

    async def missed(self, owed: Owed, reads: Reads | None) -> tuple[Missed, ...]:
        """Return the later commits of rows that an entry's computation read, and that came after it began."""
        if reads is None or not reads.rows:
            return ()
        self._store_all()
        since = max(owed.since, ledger_records.whole_from(self._store))
        lasts: dict[int, Last] = {}
        keys = {key for read in reads.rows for key in (read.row, row_key(read.base, owed.branch))}
        for some in _slices(sorted(keys)):
            writes = self._store.last_writes(some).items()
            lasts |= {row: Last(*last) for row, last in writes if last.number > since}
            await asyncio.sleep(0)
        found = missed(reads.rows, owed.branch, owed.instance_id, lasts)
        if found:
            places = ledger_records.places(self._store)
            found = missed(reads.rows, owed.branch, owed.instance_id, lasts, places)
        if owed.in_doubt_since < 0:
            return found
        # What it wrote while it was in doubt replaced nothing of a later commit.
        return tuple(one for one in found if not (one.overwrite and one.number > owed.in_doubt_since))

    async def candidates(self, owed: Owed, timestamp: str) -> tuple[MissedCommit, ...] | None:
        """Return the commits of others that changed rows since a computation began, or may have, newest first.

        `timestamp`: of its origin event; one ahead of our clock is taken for as much earlier, and a second more. None:
        it does not parse, or the log does not reach back so far, or there are too many to ask about.
        """
        began = parse_timestamp(timestamp)
        if began is None:
            return None
        moment = began[0].replace(tzinfo=UTC).timestamp() + began[1] / 1e9
        since = moment - CLOCKS - max(0.0, moment - owed.at)
        found: list[MissedCommit] = []
        self._store_all()
        for number in range(owed.number - 1, ledger_records.whole_from(self._store), -1):
            if number % LOG_AT_ONCE == 0:
                await asyncio.sleep(0)
            log = self._store.get(ledger_records.LOG, ledger_records.key(number))
            if log is None or not log.get("at") or len(found) > MOST_CANDIDATES:
                return None
            if log["at"] < since:
                return tuple(found)
            changes = log["size"] - log["reads"] > 1 or log.get("more", False)
            if changes and log["instance"] != owed.instance_id:
                found.append(MissedCommit(number, log["instance"], log["generation"]))
        return None

    async def fetched(
        self,
        owed: Owed,
        footprint: Footprint,
        reads: Reads | None,
        candidates: tuple[MissedCommit, ...] | None = None,
        problem: str = "",
    ) -> facts.OwedFetched:
        """Return the fact that everything is known about an entry, with what the ledger says of it.

        `problem`: why it is not known what was read.
        """
        missed_rows = await self.missed(owed, reads)
        own = await self.not_overtaken(owed, footprint)
        overlooked = await self.overlooked(owed, own)
        replaces = ledger_records.replaced(self._store, owed.unit) if reads is not None else None
        missed_commits = self._commits(one.number for one in missed_rows if not one.overwrite)
        overwritten = self._commits(one.number for one in missed_rows if one.overwrite)
        return facts.OwedFetched(
            owed.number, own, reads, missed_commits, overwritten, replaces, overlooked, candidates, problem
        )

    def _commits(self, numbers: Iterable[int]) -> tuple[MissedCommit, ...]:
        found = []
        for number in sorted(set(numbers)):
            log = self._store.get(ledger_records.LOG, ledger_records.key(number)) or {}
            found.append(MissedCommit(number, log.get("instance", ""), log.get("generation", 0)))
        return tuple(found)

    def oldest(self, rows: int) -> facts.OldestEntriesFound:
        """Return the oldest entries that take at least `rows` rows, or the first thousand of them."""
        self._store_all()
        return facts.OldestEntriesFound(tuple(islice(ledger_records.oldest(self._store, rows), 1000)))


def _slices(rows: Iterable[int]) -> Iterable[list[int]]:
    left = iter(rows)
    while some := list(islice(left, AT_ONCE)):
        yield some
