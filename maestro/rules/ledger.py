"""The ledger's rules: who read which row in which version, and who changed it last (semantics: The ledger).

Pure. A *row* is known by what it is on every branch (`base_key`: type and id, or rid where it has no id) and by the
branch its copy stands on (`row_key`). Both, and the instances that wrote a version, are kept as 64-bit hashes: of a
million rows two collide with a probability of one in thirty million, and then a unit too many is asked about.

- A *footprint* is what a commit does to rows that exist: the rows that it changes or destroys.
- A *read* is one row as a computation saw it: which copy, which version, and whether it wrote the row as well.

Two questions are answered here: whom a commit impacts (`affected`, before it is made), and what a computation missed
(`missed`, after its commit).
"""

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from hashlib import blake2b
from types import MappingProxyType
from typing import NamedTuple

from msgspec import Struct, structs

from maestro.events import MASTER
from maestro.rules.impact import BOTH, Impacted, UnitKey


def _hash(*parts: str) -> int:
    text = "\0".join(parts).encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "big", signed=True)


def base_key(type_: str, id_: str, rid: str) -> int:
    """Return the key of a row on every branch: by its id, which its copies share, or by its rid without one."""
    return _hash("id", type_, id_) if id_ else _hash("rid", type_, rid)


@lru_cache(maxsize=4096)
def _branch_key(branch: str) -> int:
    return 0 if branch == MASTER else _hash("branch", branch)


def row_key(base: int, branch: str) -> int:
    """Return the key of a row's copy on one branch."""
    return base ^ _branch_key(branch)


def writer_key(instance_id: str) -> int:
    """Return the key of the instance that wrote a version; 0 when it is not known."""
    return _hash("instance", instance_id) if instance_id else 0


class Footprint(Struct, frozen=True):
    """What a commit does to rows: those it changes or destroys, as base keys by branch, and how many it creates.

    A branch may be empty: the row stands on the branch of the instance that commits.
    """

    changed: tuple[tuple[str, tuple[int, ...]], ...] = ()
    created: int = 0
    #: Number of the entry up to which the ledger was whole when it was asked whom the commit impacts; 0: it was not.
    asked: int = 0
    #: Rows that it changed, and a later commit did since: these are not among `changed`.
    overtaken: int = 0

    def without(self, keys: Container[int], branch: str) -> "Footprint":
        """Return it without these copies, which later commits changed."""
        left = tuple(
            (where, tuple(base for base in bases if row_key(base, where or branch) not in keys))
            for where, bases in self.changed
        )
        gone = sum(len(bases) for _, bases in self.changed) - sum(len(bases) for _, bases in left)
        return structs.replace(self, changed=left, overtaken=gone)

    def rows(self, branch: str) -> Iterator[tuple[int, str]]:
        """Yield (base key, branch) of each row that a commit on `branch` changes or destroys."""
        for where, bases in self.changed:
            for base in bases:
                yield base, where or branch

    def keys(self, branch: str) -> tuple[int, ...]:
        """Return the keys of those rows."""
        return tuple(row_key(base, where) for base, where in self.rows(branch))


class Read(Struct, frozen=True):
    """One row as a computation read it."""

    base: int
    #: The branch that the copy stood on.
    branch: str
    #: Key of the instance that wrote the version; 0: not known.
    version: int
    #: The same computation changes or destroys the row.
    wrote: bool = False

    @property
    def row(self) -> int:
        """Key of the copy that was read."""
        return row_key(self.base, self.branch)


class Reads(Struct, frozen=True):
    """All that one computation read, and how many rows it creates."""

    rows: tuple[Read, ...] = ()
    created: int = 0


class Last(NamedTuple):
    """The last commit that changed a row: its number in the ledger, and the key of its instance."""

    number: int
    writer: int


class Reader(Struct, frozen=True, gc=False):
    """A unit whose last computation read a row; `row` is the key of the copy."""

    row: int
    instance_id: str
    branch: str
    forking: bool
    wrote: bool
    #: Number of the entry of its computation, and key of the instance that wrote the version; 0: not known.
    number: int = 0
    version: int = 0

    @property
    def unit(self) -> UnitKey:
        """The unit."""
        return (self.instance_id, self.branch)


class Missed(Struct, frozen=True):
    """A commit that a computation should have seen and did not, and the row that it changed."""

    row: int
    number: int
    #: The computation wrote the row itself: its commit replaced the other's value.
    overwrite: bool


def touched(footprint: Footprint, branch: str) -> dict[int, list[tuple[int, str]]]:
    """Return the key of each copy whose readers a commit may impact, with the rows (base, branch) behind it.

    A row that is changed on a branch was read there, or as the trunk's while the branch had no copy.
    """
    found: dict[int, list[tuple[int, str]]] = {}
    for named, bases in footprint.changed:
        where = named or branch
        if where == MASTER and not found:  # nearly always, and there may be a hundred thousand
            found = {base: [(base, MASTER)] for base in bases}
            continue
        for base in bases:
            found.setdefault(row_key(base, where), []).append((base, where))
            if where != MASTER:
                found.setdefault(base, []).append((base, where))
    return found


def copies(touched_rows: Mapping[int, list[tuple[int, str]]], readers: Iterable[Reader]) -> tuple[int, ...]:
    """Return the copies to look for that would hide a changed row of the trunk from its readers on branches."""
    return tuple(
        row_key(base, reader.branch)
        for reader in readers
        if reader.branch != MASTER
        for base, where in touched_rows[reader.row]
        if where == MASTER
    )


def affected(
    touched_rows: Mapping[int, list[tuple[int, str]]], readers: Iterable[Reader], own_copies: Mapping[int, Last]
) -> tuple[Reader, ...]:
    """Return the units that a commit impacts by what their last computations read, each by one of its readings.

    One that wrote the row itself is not impacted: its replay would build on its own result.

    Args:
        touched_rows: of `touched`.
        readers: all readers of these rows.
        own_copies: which of `copies` were written.
    """
    found: dict[UnitKey, Reader] = {}
    for reader in readers:
        if reader.wrote or reader.unit in found:
            continue
        for base, where in touched_rows[reader.row]:
            on_its_branch = where == reader.branch
            shows_through = where == MASTER and row_key(base, reader.branch) not in own_copies
            if on_its_branch or shows_through:
                found[reader.unit] = reader
                break
    return tuple(found.values())


def missed(
    reads: Iterable[Read],
    branch: str,
    instance_id: str,
    lasts: Mapping[int, Last],
    places: Mapping[int, int] = MappingProxyType({}),
) -> tuple[Missed, ...]:
    """Return what a computation of `instance_id` on `branch` did not see although it is in the ledger.

    Args:
        reads: what it read.
        branch: the branch it computed on.
        instance_id: whose computation it is.
        lasts: the last commit of each row, but for its own, which is not in the ledger yet.
        places: where in the log commits are that may have changed any row, by their writers: a version of theirs is
            newer than what came before.
    """
    own = writer_key(instance_id)
    found = []
    for read in reads:
        here = row_key(read.base, branch)
        for key in (here,) if read.branch == branch else (here, read.row):
            last = lasts.get(key)
            if last is None:
                continue
            older = last.number <= places.get(read.version, -1)
            if read.version and last.writer not in (read.version, own) and not older:
                found.append(Missed(key, last.number, overwrite=read.wrote))
            break
    return tuple(found)


def merged(by_discovery: Iterable[Impacted], by_ledger: Iterable[Impacted]) -> tuple[Impacted, ...]:
    """Return the units that either names, Discovery's first, each saying who named it."""
    ledger = {unit.key: unit for unit in by_ledger}
    units = [replace(unit, named=BOTH) if unit.key in ledger else unit for unit in by_discovery]
    known = {unit.key for unit in units}
    return (*units, *(unit for key, unit in ledger.items() if key not in known))
