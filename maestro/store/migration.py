"""A stopped installation's stores from files into PostgreSQL, and back. Each system is compared row by row afterwards.

What is at the target and was used since is replaced only when that is asked for. A migration that broke off is begun
again: systems that are the same on both sides are left as they are. The source stays, out of the way of a start.
"""

from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Final
from uuid import uuid4

from maestro.store.base import StoreDamaged, StoreError
from maestro.store.copies import restore_store
from maestro.store.installation import Installation
from maestro.store.places import elsewhere_mark, store_files, store_path
from maestro.store.postgres.store import PostgresStore
from maestro.store.postgres.stores import PostgresStores
from maestro.store.row_store import RowStore, contents
from maestro.store.rows import Source
from maestro.store.sqlite import open_store
from maestro.store.tail import Row
from maestro.whole_file import sync_folder

#: In the place of an owner: a copy that is not complete, and one that nobody has used yet.
_BEGUN: Final = "migrating "
_MIGRATED: Final = "migrated"
#: Likewise, of systems that are being copied from PostgreSQL: their owners are fenced by then.
_LEAVING: Final = "moving to files"
#: What is kept of a store's file once its system is in PostgreSQL.
KEPT: Final = ".migrated"
_TABLES: Final = (
    "SELECT tbl, key, json, crc FROM rows ORDER BY tbl, key",
    "SELECT row, number, writer, crc FROM ledger_writes ORDER BY row",
    "SELECT row, number, version, wrote, crc FROM ledger_reads ORDER BY row, number",
)
#: Rows and bytes of one commit.
_ROWS: Final = 2000
_BYTES: Final = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Moved:
    """What became of one system."""

    system_id: str
    rows: int
    #: It was there already, the same in each row.
    same: bool = False
    #: Why it was not moved; empty: it was, or would be.
    problem: str = ""


async def to_postgres(
    data_dir: Path, stores: PostgresStores, installation: Installation, *, dry: bool, replace: bool
) -> AsyncGenerator[Moved, None]:
    """Copy the data folder's stores into PostgreSQL. No Maestro may run.

    Raises:
        StoreError: the database cannot be used, or a store cannot be read. What was told before stays done.
    """
    there: dict[str, str] = {}
    if not dry:
        await stores.take_to_move(installation)
        there = await stores.lives()
    elif await stores.version():
        await stores.refuse_others(installation)
        there = await stores.lives()
    whole = True
    for path in store_files(data_dir):
        source = open_store(path)
        try:
            _sound(source)
            moved = await _into_postgres(source, stores, path.stem, there.get(path.stem), dry=dry, replace=replace)
        finally:
            source.close()
        whole = whole and not moved.problem
        yield moved
    if whole and not dry:
        await stores.settled([path.stem for path in store_files(data_dir)], _MIGRATED)
        # First of all: a start on half of the files would take the others for systems without a store.
        elsewhere_mark(data_dir).touch(mode=0o600)
        sync_folder(data_dir)
        for path in store_files(data_dir):
            path.replace(_unused(path.with_name(path.name + KEPT)))
            path.with_name(path.name + ".last").unlink(missing_ok=True)


async def to_files(
    data_dir: Path, stores: PostgresStores, installation: Installation, *, dry: bool, replace: bool
) -> AsyncGenerator[Moved, None]:
    """Copy the stores of PostgreSQL into files of the data folder. No Maestro may run.

    Raises:
        StoreError: as `to_postgres`.
    """
    if not await stores.refuse_others(installation):
        raise StoreError("PostgreSQL: no Maestro has stores there: is the URL the right one?")
    async with nullcontext() if dry else stores.moving_to_files(installation):
        whole = True
        systems, lives = await stores.systems(), await stores.lives()
        if not dry:
            await stores.settled([one for one in systems if not lives.get(one, "").startswith(_BEGUN)], _LEAVING)
        for system_id in systems:
            if lives.get(system_id, "").startswith(_BEGUN):
                whole = False
                yield Moved(
                    system_id, 0, problem="a migration to PostgreSQL broke off there: it has not all of its rows"
                )
                continue
            source = await stores.read(system_id)
            try:
                moved = _into_file(source, store_path(data_dir, system_id), dry=dry, replace=replace)
            finally:
                source.close()
            whole = whole and not moved.problem
            yield moved
        if whole and not dry:
            await _left(stores, installation)
            elsewhere_mark(data_dir).unlink(missing_ok=True)


async def _left(stores: PostgresStores, installation: Installation) -> None:
    """Leave the stores that were copied. Raises `StoreError` when somebody used them meanwhile."""
    if not await stores.leave(installation, _LEAVING, _MIGRATED):
        used = sorted(one for one, life in (await stores.lives()).items() if life != _LEAVING)
        raise StoreError(
            f"PostgreSQL: somebody used the stores while they were copied ({', '.join(used) or 'by a claim'}); they "
            f"stay in use there. Stop Maestro everywhere, then run it again with --replace"
        )


async def _into_postgres(
    source: RowStore, stores: PostgresStores, system_id: str, life: str | None, *, dry: bool, replace: bool
) -> Moved:
    rows = _count(source.source)
    if life is not None and not life.startswith(_BEGUN):
        present = await stores.read(system_id)
        try:
            difference = _difference(source.source, present)
        finally:
            present.close()
        if not difference:
            return Moved(system_id, rows, same=True)
        if life != _MIGRATED and not replace:
            problem = f"PostgreSQL has other rows of it ({difference}); --replace drops them"
            return Moved(system_id, rows, problem=problem)
    if dry:
        return Moved(system_id, rows)
    target = await stores.open_as(system_id, f"{_BEGUN}{uuid4().hex}")
    try:
        await _refill(target, await stores.places(system_id), source.source)
    finally:
        target.close()
        await target.ended()
    written = await stores.read(system_id)
    try:
        if difference := _difference(source.source, written):
            raise StoreDamaged(f"PostgreSQL, system {system_id}: is not what was written to it: {difference}")
    finally:
        written.close()
    await stores.settled([system_id], _MIGRATED)
    return Moved(system_id, rows)


async def _refill(target: PostgresStore, places: Iterable[tuple[str, str]], source: Source) -> None:
    """Take away what is at these places, which are all that PostgreSQL has, and write what the source has.

    The target's copy does not tell them all: an entry of the ledger is in none of its rows once later ones wrote them.
    """
    for some in _some((table, key, None) for table, key in places):
        await target.save(some, durable=True)
    for some in _some(contents(source)):
        await target.save(some, durable=True)


def _into_file(source: Source, path: Path, *, dry: bool, replace: bool) -> Moved:
    system_id, count = path.stem, _count(source)
    if path.exists():
        present = open_store(path)
        try:
            difference = _difference(source, present.source)
        finally:
            present.close()
        if not difference:
            return Moved(system_id, count, same=True)
        if not replace:
            return Moved(system_id, count, problem=f"{path} has other rows ({difference}); --replace puts it aside")
    if dry:
        return Moved(system_id, count)
    candidate = path.with_name(path.name + ".migrating")
    try:
        _remove(candidate)
        target = open_store(candidate)
        try:
            for some in _some(contents(source)):
                target.save(some, durable=False)
            target.save((), durable=True)
            if difference := _difference(source, target.source):
                raise StoreDamaged(f"{candidate}: is not what was written to it: {difference}")
        finally:
            target.close()
        restore_store(candidate, path)
    except OSError as problem:
        raise StoreError(f"{candidate}: {problem.strerror}") from problem
    finally:
        _remove(candidate)
    return Moved(system_id, count)


def _unused(path: Path) -> Path:
    """Return this path, or the next one that nothing is at: what was kept before is kept on."""
    found, number = path, 1
    while found.exists():
        number += 1
        found = path.with_name(f"{path.name}-{number}")
    return found


def _remove(path: Path) -> None:
    for suffix in ("", "-wal", "-tail", ".lock", ".last"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _sound(store: RowStore) -> None:
    problems = store.check()
    if problems:
        raise StoreDamaged(problems[0])


def _some(rows: Iterable[Row]) -> Iterator[Sequence[Row]]:
    """Cut rows into commits that are not too large."""
    some: list[Row] = []
    size = 0
    for row in rows:
        some.append(row)
        size += len(row[2] or b"")
        if len(some) == _ROWS or size > _BYTES:
            yield some
            some, size = [], 0
    if some:
        yield some


def _count(source: Source) -> int:
    source.fold()
    tables = ("rows", "ledger_writes", "ledger_reads")
    return sum(int(source.query(f"SELECT count(*) FROM {table}")[0][0]) for table in tables)  # noqa: S608 - constants


def _difference(one: Source, other: Source) -> str:
    """Compare two systems row by row, bytes and checksums; return the first row that differs, empty without one."""
    one.fold()
    other.fold()
    for table in _TABLES:
        for here, there in zip_longest(one.connection.execute(table), other.connection.execute(table)):
            if here != there:
                place = (here or there)[:2]
                return " ".join(str(part) for part in place)
    return ""
