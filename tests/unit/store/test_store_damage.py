"""Bytes that changed on disk are noticed, and named."""

import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from maestro.store.base import LEDGER_READS, LEDGER_WRITES, Put, StoreDamaged, StoreError, StoreFull, StoreLocked
from maestro.store.errors import translated
from maestro.store.rows import end_of
from maestro.store.sqlite import SystemStore, open_store

TRIALS = 60


@pytest.fixture
def filled(path: Path) -> dict[str, dict[str, object]]:
    """A closed file of rows that SQLite's own check cannot vouch for; returns what is in it."""
    rows: dict[str, dict[str, object]] = {f"{number:03d}": {"n": number, "text": "x" * 200} for number in range(200)}
    store = open_store(path)
    store.commit([Put("units", key, fields) for key, fields in rows.items()], durable=True)
    store.close()
    return rows


def _edit(path: Path, sql: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(sql)


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE rows SET json = replace(json, 'x', 'y') WHERE key = '042'",
        "UPDATE rows SET crc = crc + 1 WHERE key = '042'",
        "UPDATE rows SET json = 7 WHERE key = '042'",
        """UPDATE rows SET json = other.json, crc = other.crc
           FROM (SELECT json, crc FROM rows WHERE key = '041') AS other WHERE key = '042'""",
    ],
    ids=["content", "checksum", "type", "another row's content"],
)
def test_a_changed_row_is_named(path: Path, filled: object, damage: str) -> None:
    _edit(path, damage)
    store = open_store(path)

    for read in (lambda: store.get("units", "042"), lambda: list(store.rows("units"))):
        with pytest.raises(StoreDamaged, match=r"system\.db: table 'units', key '042'"):
            read()
    assert store.get("units", "041") == {"n": 41, "text": "x" * 200}
    [problem] = store.check()
    assert "key '042'" in problem
    store.close()


def test_a_key_that_is_no_text_any_more_is_noticed(path: Path, filled: object) -> None:
    _edit(path, "UPDATE rows SET key = CAST(x'30FF32' AS TEXT) WHERE key = '042'")
    store = open_store(path)
    with pytest.raises(StoreDamaged, match="table 'units'"):
        list(store.rows("units"))
    assert len(store.check()) == 1
    store.close()


def test_flipped_bits_never_change_what_is_read(path: Path, filled: dict[str, dict[str, object]]) -> None:
    """Each trial flips one bit anywhere in the file: the rows read are the ones written, or the damage is noticed."""
    pick = random.Random(4)
    sound = path.read_bytes()
    noticed = 0
    for _ in range(TRIALS):
        content = bytearray(sound)
        content[pick.randrange(len(content))] ^= 1 << pick.randrange(8)
        path.write_bytes(content)
        try:
            store = open_store(path)
        except StoreError:
            noticed += 1
            continue
        try:
            rows = dict(store.rows("units"))
            assert rows == filled or store.check()
        except StoreDamaged:
            noticed += 1
            assert store.check()
        finally:
            store.close()
    assert noticed > TRIALS / 2  # most of the file is rows


@pytest.mark.parametrize("column", ["row", "number", "version", "wrote", "crc"])
def test_damage_to_what_was_read_is_noticed(path: Path, column: str) -> None:
    store = open_store(path)
    store.commit([Put(LEDGER_READS, "1", {"reads": [[5, 70, False]]})], durable=True)
    store.close()
    _edit(path, f"UPDATE ledger_reads SET {column} = {column} + 1")
    store = open_store(path)
    with pytest.raises(StoreDamaged, match="ledger_reads"):
        store.readings([5, 6])
    assert len(store.check()) == 1
    store.close()


@pytest.mark.parametrize("value", ["'text'", "x'00'", "1.5"])
def test_damage_to_the_type_of_what_was_written_is_noticed(path: Path, value: str) -> None:
    store = open_store(path)
    store.commit([Put(LEDGER_WRITES, "1", {"writer": 70, "rows": [5]})], durable=True)
    store.close()
    _edit(path, f"UPDATE ledger_writes SET writer = {value}")
    store = open_store(path)
    with pytest.raises(StoreDamaged, match="ledger_writes"):
        store.last_writes([5])
    store.close()


def test_a_file_that_is_no_database(path: Path) -> None:
    path.write_bytes(b"not a database, but long enough to be asked whether it is one" * 100)
    with pytest.raises(StoreDamaged, match=r"system\.db"):
        open_store(path)
    path.unlink()
    open_store(path).close()  # the failed opening left nothing locked


def test_a_truncated_file(path: Path, filled: object) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2 // 4096 * 4096])
    with pytest.raises(StoreDamaged):
        list(open_store(path).rows("units"))


def test_a_sound_store_has_no_problems(store: SystemStore) -> None:
    store.commit([Put("t", "k", {"a": 1})], durable=False)
    assert store.check() == []


@pytest.mark.parametrize("version", [0, -7])
def test_a_version_no_store_has(path: Path, filled: object, version: int) -> None:
    _edit(path, f"PRAGMA user_version = {version}")
    with pytest.raises(StoreDamaged, match=f"schema version {version}"):
        open_store(path)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (sqlite3.SQLITE_BUSY, StoreLocked),
        (sqlite3.SQLITE_FULL, StoreFull),
        (sqlite3.SQLITE_IOERR_WRITE, StoreFull),
        (sqlite3.SQLITE_IOERR_FSYNC, StoreError),  # not to be tried again: see `errors`
        (sqlite3.SQLITE_CORRUPT_INDEX, StoreDamaged),
        (sqlite3.SQLITE_READONLY, StoreError),
    ],
)
def test_what_sqlite_reports(code: int, kind: type[StoreError]) -> None:
    error = sqlite3.OperationalError("text")
    error.sqlite_errorcode, error.sqlite_errorname = code, "NAME"
    result = translated(Path("system.db"), error)
    assert type(result) is kind
    assert str(result) == "system.db: text (NAME)"


@pytest.mark.parametrize(
    ("prefix", "end"),
    [("", b""), ("a", "b"), ("ab\U0010ffff", "ac"), ("\U0010ffff", b""), ("\ud7ff", "\ue000"), ("a\ud7ff", "a\ue000")],
)
def test_the_end_of_a_prefix(prefix: str, end: str | bytes) -> None:
    assert end_of(prefix) == end


def test_a_failing_disk(path: Path, run: Callable[[str], str]) -> None:
    """A limit on the file's size makes the system call itself fail, as a broken disk does."""
    output = run("""
        import resource
        store = open_store(path)
        store.commit([Put("t", "k", {"n": 1})], durable=True)
        large = [Put("t", "k", {"n": 2}), Put("t", "large", {"text": "x" * 200_000})]
        for durable in (True, False):
            resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, resource.RLIM_INFINITY))
            try:
                store.commit(large, durable=durable)
            except StoreFull as error:
                print("full", store.get("t", "k"), store.count("t"))
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (4_000, resource.RLIM_INFINITY))
            store.backup(str(path.with_name("backup")))
        except StoreFull:
            print("no backup", sorted(file.name for file in path.parent.iterdir() if "backup" in file.name))
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        store.commit(large, durable=False)
        print(store.get("t", "k"), store.count("t"), store.check())
        sys.stdout.flush()
        os._exit(0)
    """)
    assert output.splitlines() == ["full {'n': 1} 1"] * 2 + ["no backup []", "{'n': 2} 2 []"]
    store = open_store(path)
    assert store.count("t") == 2
    assert store.check() == []
    store.close()
