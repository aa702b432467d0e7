"""The ledger's records as rows of the store, and back."""

from collections.abc import Iterator
from typing import Final

import msgspec

from maestro.rules.ledger import writer_key
from maestro.rules.ledger_book import Book, Entry, Oldest, Owed, Replaced, Stale
from maestro.rules.step import DropEntry, DropStale, SaveBook, SaveEntry, SaveOwed, SaveStale
from maestro.store.base import LEDGER_READS, LEDGER_WRITES, Delete, Put, Store, Write

BOOK: Final = "ledger"
OWED: Final = "ledger_owed"
LOG: Final = "ledger_log"
UNITS: Final = "ledger_units"
UNKNOWN: Final = "ledger_unknown"
STALE: Final = "ledger_stale"

LedgerSave = SaveBook | SaveOwed | SaveEntry | DropEntry | SaveStale | DropStale


def writes(save: LedgerSave) -> list[Write]:
    """Return the rows to write for a record of the ledger."""
    match save:
        case SaveBook(found):
            row = {"begun": found.begun, "last": found.last, "size": found.size, "noted": found.noted}
            row["left"] = found.stale_left
            if found.whole_from:
                row["whole_from"] = found.whole_from
            return [Put(BOOK, BOOK, row)]
        case SaveOwed(owed):
            debt = {"instance": owed.instance_id, "unit": owed.unit, "forking": owed.forking, "reads": owed.reads}
            debt |= {"generation": owed.generation, "since": owed.since, "asked": owed.asked, "at": owed.at}
            if owed.in_doubt_since >= 0:
                debt["in_doubt_since"] = owed.in_doubt_since
            return [Put(OWED, key(owed.number), debt)]
        case SaveEntry(entry):
            return _entry(entry)
        case DropEntry(oldest):
            return _dropped(oldest)
        case SaveStale(stale):
            return [Put(STALE, _unit(stale.unit), msgspec.to_builtins(stale))]
        case DropStale(unit):
            return [Delete(STALE, _unit(unit))]


def identity(save: LedgerSave) -> tuple[str, object]:
    """Return which record it is: only the last one of a step is written."""
    match save:
        case SaveBook():
            return (BOOK, BOOK)
        case SaveOwed(owed):
            return (OWED, owed.number)
        case SaveEntry(entry):
            return (LOG, entry.of.number)
        case DropEntry(oldest):
            return (LOG, oldest.number)
        case SaveStale(stale):
            return (STALE, stale.unit)
        case DropStale(unit):
            return (STALE, unit)


def key(number: int) -> str:
    """Return the key of an entry: they sort by number."""
    return f"{number:015d}"


def _unit(unit: tuple[str, str]) -> str:
    return "/".join(unit)


def _entry(entry: Entry) -> list[Write]:
    """Return the writes that keep an entry, and take the place of its debt and of the unit's former reads."""
    of, number = entry.of, key(entry.of.number)
    rows = entry.footprint.keys(of.branch) if entry.footprint else ()
    reads = entry.reads.rows if entry.reads else ()
    log = {
        "instance": of.instance_id, "unit": of.unit, "forking": of.forking, "size": entry.size, "reads": len(reads),
        "generation": of.generation, "at": of.at,
        "created": entry.reads.created if entry.reads else entry.footprint.created if entry.footprint else 0,
    }  # fmt: skip
    if entry.footprint is None or entry.footprint.overtaken:
        log["more"] = True  # it changed rows, or may have, that it does not take
    writes: list[Write] = [Put(LOG, number, log)]
    if entry.footprint is None:
        place = of.number if of.in_doubt_since < 0 else of.in_doubt_since
        writes.append(Put(UNKNOWN, number, {"writer": writer_key(of.instance_id), "place": place}))
    if of.incomplete:
        writes.append(Delete(OWED, number))
    if rows:
        writes.append(Put(LEDGER_WRITES, number, {"writer": writer_key(of.instance_id), "rows": rows}))
    if entry.reads is not None:
        found = [(read.row, read.version, read.wrote) for read in reads]
        writes += [Put(LEDGER_READS, number, {"reads": found}), Put(UNITS, _unit(of.unit), {"number": of.number})]
    if entry.replaces is not None:
        writes.append(Delete(LEDGER_READS, key(entry.replaces.number)))
    return writes


def _dropped(oldest: Oldest) -> list[Write]:
    """Return the writes that take an entry away."""
    number = key(oldest.number)
    writes: list[Write] = [Delete(LOG, number), Delete(LEDGER_WRITES, number), Delete(UNKNOWN, number)]
    if oldest.unit is not None:
        writes += [Delete(LEDGER_READS, number), Delete(UNITS, _unit(oldest.unit))]
    return writes


def load(store: Store, book: Book) -> None:
    """Read extent and debts, as a restart finds them. Raises `StoreDamaged`."""
    row = store.get(BOOK, BOOK)
    if row is not None:
        book.begun, book.last, book.size = row["begun"], row["last"], row["size"]
        book.noted, book.stale_left = row["noted"], row["left"]
        book.whole_from = row.get("whole_from", 0)
    stale = [msgspec.convert(row, Stale) for _, row in store.rows(STALE)]
    for one in sorted(stale, key=lambda one: one.number):
        book.put(one)
        if one.to_ask:
            book.to_ask[one.unit] = None
    for number, found in store.rows(OWED):
        instance, branch = found["unit"]
        book.owed[int(number)] = Owed(
            int(number),
            found["instance"],
            (instance, branch),
            found["forking"],
            found["reads"],
            found["generation"],
            found["since"],
            found["asked"],
            found.get("in_doubt_since", -1),
            found.get("at", 0.0),
        )


def whole_from(store: Store) -> int:
    """Return the number of the entry from which on none is left out. Raises `StoreDamaged`."""
    row = store.get(BOOK, BOOK) or {}
    return int(row.get("whole_from", 0))


def places(store: Store) -> dict[int, int]:
    """Return where in the log the last commits are whose rows could not be had, by writer. Raises `StoreDamaged`."""
    return {row["writer"]: row["place"] for _, row in store.rows(UNKNOWN)}


def computation(store: Store, unit: tuple[str, str]) -> str:
    """Return the instance of the unit's last remembered computation; empty without one. Raises `StoreDamaged`."""
    found = store.get(UNITS, _unit(unit))
    log = store.get(LOG, key(found["number"])) if found else None
    return log["instance"] if log else ""


def replaced(store: Store, unit: tuple[str, str]) -> Replaced | None:
    """Return the entry with the unit's last reads, if there is one. Raises `StoreDamaged`."""
    found = store.get(UNITS, _unit(unit))
    log = store.get(LOG, key(found["number"])) if found else None
    return Replaced(found["number"], log["reads"]) if found and log else None


def oldest(store: Store, rows: int) -> Iterator[Oldest]:
    """Yield the oldest entries, until they take at least `rows` rows. Raises `StoreDamaged`."""
    for number, log in store.rows(LOG):
        unit = (log["unit"][0], log["unit"][1])
        last = store.get(UNITS, _unit(unit))
        reads = last is not None and last["number"] == int(number)
        # Reads that gave way to those of a replay were taken off when that was.
        size = log["size"] if reads else log["size"] - log["reads"]
        yield Oldest(int(number), size, unit if reads else None, log["forking"], log["instance"])
        rows -= size
        if rows <= 0:
            return
