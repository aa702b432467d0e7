"""Ledgers as a store keeps them, written without the runs that would fill them."""

from pathlib import Path

from maestro.rules.ledger import Footprint, Read, Reads, base_key, writer_key
from maestro.rules.ledger_book import Book, Entry, Owed
from maestro.rules.state import Rules
from maestro.rules.step import Save, SaveBook, SaveEntry
from maestro.store.sqlite import open_store
from maestro.system.repository import Repository

SYSTEM = "ledger"
#: Rows that each entry's computation read; its commit changed as many others.
READ = 500


def row_base(number: int) -> int:
    """Return the key of a row that the ledger knows."""
    return base_key("conta", f"known-{number}", "")


def write_ledger(path: Path, rows: int) -> None:
    """Write a store whose ledger has about `rows` rows, half read, half changed; `row_base(0)` and so on were read.

    Each entry is a commit of its own; no row was read by two.
    """
    store = open_store(path)
    repository = Repository(store, SYSTEM, Rules())
    entries = max(1, rows // (2 * READ + 1))
    for number in range(1, entries + 1):
        name = f"{SYSTEM}--known-{number}"
        of = Owed(number, name, (name, "master"), forking=False, reads=True, at=1.5e9 + number)
        read = range((number - 1) * READ, number * READ)
        changed = tuple(base_key("conta", f"changed-{n}", "") for n in read)
        version = writer_key("somebody")
        reads = Reads(tuple(Read(row_base(n), "master", version) for n in read))
        saves: list[Save] = [SaveEntry(Entry(of, Footprint((("master", changed),)), reads))]
        if number == entries:
            saves.append(SaveBook(Book(begun=True, last=entries, size=entries * (2 * READ + 1))))
        store.commit(repository.writes(saves), durable=number == entries)
    store.close()
